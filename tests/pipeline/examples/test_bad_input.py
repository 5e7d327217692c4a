"""Every bad input ends in a named anomaly with path and cure, or is read correctly: no traceback, no hang, no silent drop."""

import json
import pathlib
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from kseg.pairs.image_files import decode_image
from kseg.pairs.image_folder import list_pairs
from pipeline.components.example_gen import example_gen
from pipeline.components.example_validator import example_validator
from pipeline.components.schema_gen import schema_gen
from pipeline.components.statistics_gen import statistics_gen
from pipeline.examples import prepared
from pipeline.settings.example_gen import ExampleGen
from pipeline.settings.example_validator import ExampleValidator
from pipeline.settings.schema_gen import SchemaGen
from pipeline.settings.statistics_gen import StatisticsGen
from tests.pipeline.examples.bad_input import MASK_FILE, PAIRS, ROWS, SOURCES, VOID, write_pairs

BAD = [case for case in PAIRS if case.fault]
GOOD = [case for case in PAIRS if not case.fault]
GIBIBYTE = 2**30


def front(folder: pathlib.Path, source, **limits) -> pathlib.Path:
    """Runs the line up to the validator; returns the folder of its artifacts."""
    for name in ("examples", "statistics", "schema", "anomalies"):
        (folder / name).mkdir()
    examples, statistics, schema = folder / "examples", folder / "statistics", folder / "schema"
    example_gen(examples, ExampleGen(ignore_value=VOID), source=source)
    statistics_gen(statistics, StatisticsGen(), examples=examples)
    schema_gen(schema, SchemaGen(), statistics=statistics, examples=examples)
    inputs = {"examples": examples, "statistics": statistics, "schema": schema}
    example_validator(folder / "anomalies", ExampleValidator(**limits), **inputs)
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The artifacts of the line over all pairs of the corpus."""
    folder = tmp_path_factory.mktemp("corpus")
    photos = write_pairs(folder / "photos", PAIRS)
    return front(folder, photos, max_quarantined=1.0, max_leaked=1.0)


@pytest.fixture(scope="module")
def quarantined(corpus) -> dict[str, dict]:
    """The rows of ingestion.json by key."""
    rows = json.loads((corpus / "examples" / "ingestion.json").read_text())["quarantined"]
    return {row["key"]: row for row in rows}


@pytest.fixture(scope="module")
def anomalies(corpus) -> list[dict]:
    return json.loads((corpus / "anomalies" / "anomalies.json").read_text())["anomalies"]


@pytest.fixture(scope="module")
def stored(corpus) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Image and label map by key, as the next components read them."""
    import tensorflow as tf

    found = {}
    for path in prepared.shard_paths(corpus / "examples")["train"]:
        for record in tf.data.TFRecordDataset(str(path)):
            key, image_bytes, label_map_bytes = prepared.from_record(record.numpy())
            found[key] = tf.io.decode_image(image_bytes, channels=3).numpy(), decode_image(label_map_bytes)[..., 0]
    return found


def test_the_corpus_is_large():
    assert len({case.name for case in PAIRS}) == len(PAIRS)
    assert len(BAD) + len(SOURCES) + len(ROWS) >= 60 and len(GOOD) >= 20


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_a_bad_pair_is_quarantined_by_name_with_path_and_cure(case, corpus, quarantined):
    row = quarantined[case.name]
    assert row["name"] == case.fault
    assert str(corpus / "photos") in row["where"] and case.name in row["where"]
    assert "Received: " in row["what"] and row["cure"].endswith(".")
    kept = corpus / "examples" / "quarantine" / row["kept"]
    assert row["what"] in (kept / "reason.txt").read_text()


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_an_unusual_pair_is_read_correctly(case, stored):
    image, label_map = stored[case.name]
    np.testing.assert_array_equal(label_map, case.ids)
    assert image.shape == case.shows.shape
    assert np.abs(image.astype(int) - case.shows).mean() <= case.tolerance


def test_every_pair_is_either_stored_or_quarantined_and_reencoded_images_are_counted(corpus, quarantined, stored):
    assert sorted([*stored, *quarantined]) == sorted(case.name for case in PAIRS)
    reasons = [case.reason for case in GOOD if case.reason]
    ingestion = json.loads((corpus / "examples" / "ingestion.json").read_text())
    assert ingestion["reencoded"] == {reason: reasons.count(reason) for reason in reasons}
    assert ingestion["pairs"] == {"train": len(GOOD), "validation": 4}


def test_statistics_count_unusable_pairs_and_list_empty_masks_and_tiny_images(corpus):
    statistics = json.loads((corpus / "statistics" / "statistics.json").read_text())
    faults = [case.fault for case in BAD]
    assert statistics["unusable"] == {name: faults.count(name) for name in sorted(set(faults))}
    assert statistics["empty_masks"] == ["train/mask_all_void"]
    assert statistics["tiny_images"] == ["train/1x1"]
    assert statistics["splits"]["train"]["single_class_images"] == [1, 1, 0]  # 1x1, mask_of_one_class


def test_doubtful_data_are_warnings(anomalies):
    warnings = {anomaly["name"]: anomaly for anomaly in anomalies if anomaly["severity"] == "warn"}
    assert {"empty_masks", "tiny_images", "dark_16_bit", "duplicates", "conflicting_labels"} <= set(warnings)
    assert warnings["empty_masks"]["where"] == "train/mask_all_void"
    assert all(anomaly["where"] and anomaly["cure"] for anomaly in anomalies)


def test_quarantined_pairs_above_the_limit_stop_the_run(corpus, tmp_path):
    inputs = {name: corpus / name for name in ("examples", "statistics", "schema")}
    with pytest.raises(ValueError, match=r"(?s)at most 1\.0% may be.*copies of the quarantined pairs") as raised:
        example_validator(tmp_path, ExampleValidator(), **inputs)
    assert list(tmp_path.iterdir()) == []
    faults = [
        line.split()[1].rstrip(":") for line in str(raised.value).splitlines() if line.startswith("  quarantined")
    ]
    assert sorted(faults) == sorted({case.fault for case in BAD})  # one line each


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_is_wrong_as_a_whole_is_refused_with_path_and_cure(name, tmp_path):
    spoil, message = SOURCES[name]
    photos = write_pairs(tmp_path / "photos", [])
    for kind in ("images", "masks"):
        for number in range(3):
            path = photos / kind / "train" / f"{number}.png"
            path.write_bytes((photos / kind / "val" / f"{number}.png").read_bytes())
    source = spoil(photos) or photos
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ValueError, match=message):
        example_gen(out, ExampleGen(ignore_value=VOID), source=source)
    assert list(out.iterdir()) == []


def test_a_bad_row_of_a_table_is_a_fault_and_the_others_are_read(tmp_path):
    photos = write_pairs(tmp_path / "photos", [])
    for kind in ("images", "masks"):
        for number in range(2):
            (photos / kind / "train" / f"{number}.png").write_bytes(MASK_FILE)
    good = "images/train/0.png,masks/train/0.png,train"
    lines = ["image,mask,split", good, *(line for line, _ in ROWS.values())]
    (photos / "pairs.csv").write_text("\n".join(lines))
    listing = list_pairs(photos / "pairs.csv")
    assert [pair.key for pair in listing.pairs] == ["images/train/0"]
    found = {}
    for fault in listing.faults:
        assert "pairs.csv, line " in fault.error.where and fault.error.cure.endswith(".")
        found[int(fault.error.where.rpartition("line ")[2])] = fault.error.name
    assert found == {number: name for number, (_, name) in enumerate(ROWS.values(), start=3)}


def test_nothing_outside_the_folder_of_a_table_is_opened(tmp_path):
    photos = write_pairs(tmp_path / "photos", [])
    (tmp_path / "secret.png").write_bytes(MASK_FILE)
    (photos / "pairs.csv").write_text("image,mask\n../secret.png,images/../../secret.png\n")
    with pytest.raises(ValueError, match=r"must lie below its folder\. Received: \.\./secret\.png \[.*line 2\]"):
        example_gen(tmp_path, ExampleGen(ignore_value=VOID), source=photos / "pairs.csv")


@pytest.mark.parametrize(
    ("lists", "name", "where"),
    [
        (b"0\n../val/0\n", "outside_folder", "train.txt, name 2"),
        (b"0\n0\n", "listed_twice", "train.txt, name 2"),
        (b"0\n7\n", "missing_file", "JPEGImages/7.jpg, named in "),
    ],
)
def test_a_bad_name_of_a_voc_list_is_a_fault(lists, name, where, tmp_path):
    photos = write_pairs(tmp_path / "photos", [])
    for old, new in (("images", "JPEGImages"), ("masks", "SegmentationClass")):
        (photos / old / "val").rename(photos / new)
        (photos / old).rename(photos / f"other-{old}")
    (photos / "ImageSets" / "Segmentation").mkdir(parents=True)
    (photos / "ImageSets" / "Segmentation" / "train.txt").write_bytes(lists)
    listing = list_pairs(photos)
    (fault,) = listing.faults
    assert [pair.key for pair in listing.pairs] == ["0"]
    assert fault.error.name == name and where in fault.error.where


def test_a_bomb_of_200_megapixels_is_refused_in_little_memory(tmp_path):
    cases = [case for case in PAIRS if "megapixels" in case.name or case.name in ("12000x12000", "file_of_a_gigabyte")]
    photos = write_pairs(tmp_path / "photos", cases)
    program = f"""
        import pathlib, re
        from pipeline.components.example_gen import example_gen
        from pipeline.settings.config import ExampleGen
        out = pathlib.Path({str(tmp_path / "out")!r})
        out.mkdir()
        example_gen(out, ExampleGen(ignore_value={VOID}), source=pathlib.Path({str(photos)!r}))
        # Of this process alone: ru_maxrss would be that of the process that started it, where that is larger.
        print(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
    """
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True, timeout=300
    )
    rows = json.loads((tmp_path / "out" / "ingestion.json").read_text())["quarantined"]
    assert sorted(row["name"] for row in rows) == ["too_many_bytes", *["too_many_pixels"] * 3]
    assert int(answer.stdout.split()[-1]) * 1024 < 1.5 * GIBIBYTE
