"""Images without masks from example_gen to transform: for training alone, counted apart, and none of validation or test."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from kseg.labels import VOID, LabelMap
from kseg.pairs.channels import encode_pixels
from kseg.pairs.image_files import decode_image
from pipeline.components.example_gen import example_gen
from pipeline.components.statistics_gen import statistics_gen
from pipeline.components.transform import transform
from pipeline.examples import prepared
from pipeline.settings.example_gen import ExampleGen
from pipeline.settings.example_validator import ExampleValidator
from pipeline.settings.statistics_gen import StatisticsGen
from pipeline.settings.transform import Transform
from pipeline.validation.checks.all_checks import find_anomalies
from pipeline.validation.schema import infer_schema


@pytest.fixture
def others(tmp_path):
    """A folder of 5 images without masks, RGB, in two folders."""
    for number in range(5):
        path = tmp_path / "others" / f"{'day' if number % 2 else 'night'}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(100 + number).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "others"


@pytest.fixture
def ingest(tmp_path, photos):
    """Runs example_gen on `photos`; returns its folder and ingestion.json."""

    def run(**places):
        out = tmp_path / "examples"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        example_gen(out, ExampleGen(ignore_value=9), source=photos, **places)
        return out, json.loads((out / "ingestion.json").read_text())

    return run


def fit(tmp_path, examples):
    """Runs statistics_gen and transform; returns statistics.json, the folder of transform, and its plan."""
    statistics, out = tmp_path / "statistics", tmp_path / "transform"
    for folder in (statistics, out):
        folder.mkdir()
    statistics_gen(statistics, StatisticsGen(), examples=examples)
    transform(out, Transform(image_size=(12, 16)), examples=examples, statistics=statistics)
    return json.loads((statistics / "statistics.json").read_text()), out, json.loads((out / "plan.json").read_text())


def records(folder, split):
    return [
        prepared.from_record(record)
        for path in prepared.shard_paths(folder)[split]
        for record in prepared.read_records(path)
    ]


def test_without_such_images_the_data_set_is_the_same_and_with_them_its_pairs_are(ingest, others, tmp_path):
    out, plain = ingest()
    alone = {path.name: path.read_bytes() for path in out.glob("*.tfrecord*")}
    out, ingestion = ingest(unlabelled=others)
    assert {path.name: path.read_bytes() for path in out.glob("*.tfrecord*") if "unlabelled" not in path.name} == alone
    assert "unlabelled" not in plain
    assert ingestion == plain | {
        "unlabelled": {"domain": "same", "images": 5, "reencoded": {}, "unread_masks": [], "foreign_files": []}
    }
    assert ingest(target=others)[1]["unlabelled"]["domain"] == "target"


def test_they_are_void_and_fitted_like_the_pairs_and_count_in_no_statistics_of_labels(ingest, others, tmp_path):
    examples, _ = ingest(target=others)
    stored = {key: (image, decode_image(label_map)) for key, image, label_map in records(examples, "unlabelled")}
    assert sorted(stored) == ["day/1", "day/3", "night/0", "night/2", "night/4"]
    assert stored["day/1"][0] == (others / "day" / "1.png").read_bytes()
    assert all((label_map == VOID).all() and label_map.shape == (24, 32, 1) for _, label_map in stored.values())
    statistics, out, plan = fit(tmp_path, examples)
    assert plan["examples"] == {"test": 2, "train": 6, "unlabelled": 5, "validation": 2}
    assert statistics["unlabelled"]["domain"] == plan["unlabelled_domain"] == "target"
    assert list(statistics["splits"]) == ["train", "validation", "test"] and statistics["all"]["images"] == 10
    assert statistics["unlabelled"]["images"] == 5 and statistics["unlabelled"]["held_out"] == []
    assert statistics["empty_masks"] == []
    fitted = [(decode_image(image).shape, decode_image(mask).shape) for _, image, mask in records(out, "unlabelled")]
    assert fitted == [((12, 16, 3), (12, 16, 1))] * 5


def test_copies_of_scored_images_are_left_out_by_name_and_copies_of_training_images_are_not(
    ingest, others, photos, tmp_path
):
    copies = {"seen.png": "train/00.png", "held.png": "val/06.png", "again.png": "test/09.png"}
    for name, image in copies.items():
        shutil.copy(photos / "images" / image, others / name)
    examples, ingestion = ingest(unlabelled=others)
    statistics, out, plan = fit(tmp_path, examples)
    assert statistics["unlabelled"]["held_out"] == ["again", "held"]
    assert plan["examples"]["unlabelled"] == 6 and prepared.split_sizes(out)["unlabelled"] == 6
    assert {key for key, *_ in records(out, "unlabelled")} == {
        "day/1",
        "day/3",
        "night/0",
        "night/2",
        "night/4",
        "seen",
    }
    labels = LabelMap.load(examples)
    schema, place = infer_schema(statistics, labels), {"place": examples, "schema_place": examples}
    found = find_anomalies(ingestion, statistics, schema, labels, ExampleValidator(), **place)
    (warning,) = [one for one in found if "without masks" in str(one)]
    assert (warning.severity, warning.name) == ("warn", "unlabelled_held_out")
    assert re.search(r"Received: 2 of 8 images without masks.*\[again, held\]", str(warning))


def test_the_folder_of_the_pairs_themselves_is_refused(ingest, photos, tmp_path):
    examples, ingestion = ingest(target=photos / "images")
    statistics, _, _ = fit(tmp_path, examples)
    labels = LabelMap.load(examples)
    schema, place = infer_schema(statistics, labels), {"place": examples, "schema_place": examples}
    found = find_anomalies(ingestion, statistics, schema, labels, ExampleValidator(), **place)
    (refused,) = [one for one in found if one.name == "unlabelled_pairs"]
    assert refused.severity == "stop"
    assert "must be others than those of --data. Received: 10 images, all of which are of pairs" in str(refused)


def test_a_folder_of_nothing_but_scored_images_is_refused(ingest, photos, tmp_path):
    examples, _ = ingest(unlabelled=photos / "images" / "val")
    with pytest.raises(ValueError, match=r"none of validation and test\. Received: 2 images, all of which are"):
        fit(tmp_path, examples)


def test_damaged_images_are_quarantined_by_name(ingest, others):
    (others / "day" / "1.png").write_bytes((others / "day" / "1.png").read_bytes()[:-50])
    (others / "x.heic").write_bytes(b"x")
    out, ingestion = ingest(target=others)
    assert ingestion["unlabelled"]["images"] == 4
    rows = [(row["split"], row["key"], row["name"]) for row in ingestion["quarantined"]]
    assert rows == [("unlabelled", "day/1", "damaged_file"), ("unlabelled", "x", "unsupported_format")]
    assert (out / "quarantine" / "000" / "image.png").is_file()


def test_unusable_ones_are_not_counted_as_pairs_where_no_pair_is_usable(ingest, others, photos):
    (others / "day" / "1.png").write_bytes((others / "day" / "1.png").read_bytes()[:-50])
    masks = list((photos / "masks").rglob("*.png"))
    for path in masks:
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        ValueError, match=f"At least one pair must be usable. Received: {len(masks)} pairs that are not"
    ):
        ingest(target=others)


def test_masks_that_lie_beside_them_are_not_read_and_the_run_says_so(ingest, others, photos, capsys):
    for number in range(5):
        (others / "labels").mkdir(exist_ok=True)
        shutil.copy(photos / "masks" / "train" / "00.png", others / "labels" / f"{number}.png")
    _, ingestion = ingest(target=others)
    assert (ingestion["unlabelled"]["images"], len(ingestion["unlabelled"]["unread_masks"])) == (5, 5)
    assert "--target: masks lie there and are not read, 5 in all" in capsys.readouterr().out


def nothing(folder):
    shutil.rmtree(folder)
    folder.mkdir()
    return r"--target must be a folder of images\. Received: nothing"


def other_files(folder):
    nothing(folder)
    (folder / "notes.txt").write_text("x")
    return r"must be a folder of images\. Received: 1 files, none of them an image"


def grey_images(folder):
    for path in folder.rglob("*.png"):
        Image.open(path).convert("L").save(path)
    return r"must hold what those of --data do: 3 channels of uint8\. Received: 1 channel of uint8"


def images_of_16_bits(folder):
    for path in folder.rglob("*.png"):
        path.with_suffix(".png").write_bytes(encode_pixels(np.asarray(Image.open(path)).astype(np.uint16) * 16))
    return r"must have as many bits as those of --data: 8\. Received: 16"


def grey_images_of_16_bits(folder):
    for path in folder.rglob("*.png"):
        grey = np.asarray(Image.open(path).convert("L"))[..., np.newaxis]
        path.write_bytes(encode_pixels(grey.astype(np.uint16) * 16))
    return r"3 channels of uint8\. Received: 1 channel of uint8, stored from 16 bits"


def damaged_images(folder):
    for path in folder.rglob("*.png"):
        path.write_bytes(b"\x89PNG\r\n\x1a\n")
    return r"At least one image of --target must be usable\. Received: 5 images that are not"


@pytest.mark.parametrize(
    "spoil", [nothing, other_files, grey_images, images_of_16_bits, grey_images_of_16_bits, damaged_images]
)
def test_a_folder_of_no_or_of_other_images_is_refused_in_one_sentence(ingest, others, spoil):
    message = spoil(others)
    with pytest.raises(ValueError, match=message):
        ingest(target=others)
