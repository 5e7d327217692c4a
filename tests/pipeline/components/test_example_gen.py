"""example_gen: every source becomes a prepared data set; bad pairs are quarantined, bad sources refused."""

import io
import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from kseg.labels import LabelMap
from kseg.pairs.image_files import decode_image
from pipeline.components.example_gen import example_gen
from pipeline.engine.fingerprints import external
from pipeline.engine.store import Store
from pipeline.examples import prepared
from pipeline.settings.example_gen import ExampleGen


@pytest.fixture
def ingest(tmp_path):
    """Runs the component; returns the folder that it wrote and ingestion.json."""

    def run(source, *, classes=None, **settings):
        out = tmp_path / "examples"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        example_gen(out, ExampleGen(**settings), source=source, classes=classes)
        return out, json.loads((out / "ingestion.json").read_text())

    return run


def stored(out) -> dict[str, dict[str, tuple[bytes, np.ndarray]]]:
    """Image bytes and label map (H, W) by split and key."""
    import tensorflow as tf

    found = {}
    for split, paths in prepared.shard_paths(out).items():
        for record in tf.data.TFRecordDataset([str(path) for path in paths]):
            key, image_bytes, label_map_bytes = prepared.from_record(record.numpy())
            found.setdefault(split, {})[key] = image_bytes, decode_image(label_map_bytes)[..., 0]
    return found


def test_a_folder_becomes_a_data_set_with_unchanged_image_bytes_and_class_ids(ingest, photos):
    out, ingestion = ingest(photos, ignore_value=9)
    assert ingestion == {
        "pairs": {"test": 2, "train": 6, "validation": 2},
        "channels": 3,
        "reencoded": {},
        "quarantined": [],
        "unused_masks": [],
        "foreign_files": [],
        "unused_splits": [],
        "conventions": {"mask_reading": None, "reordered_masks": 0, "image_range": None, "dtype": "uint8"},
    }
    labels = LabelMap.load(out)
    assert (labels.names, labels.void_colour) == (("ground", "left", "right"), (0, 0, 0))
    found = stored(out)
    assert sorted(found["validation"]) == ["06", "07"]
    image_bytes, label_map = found["validation"]["07"]
    assert image_bytes == (photos / "images" / "val" / "07.png").read_bytes()
    np.testing.assert_array_equal(label_map, labels.to_ids(np.asarray(Image.open(photos / "masks" / "val" / "07.png"))))
    assert {path.name for path in out.iterdir() if "tfrecord" not in path.name} == {
        "dataset_info.json",
        "features.json",
        "labels.json",
        "ingestion.json",
    }


def test_reencoded_images_are_counted_by_reason(ingest, photos):
    train = photos / "images" / "train"
    for name in ("00", "01"):
        Image.open(train / f"{name}.png").convert("L").save(train / f"{name}.png")
    Image.open(train / "02.png").convert("RGBA").save(train / "02.png")
    _, ingestion = ingest(photos, ignore_value=9)
    assert ingestion["reencoded"] == {"grey among colour": 2, "alpha channel": 1}


def test_grey_images_are_stored_with_one_channel(ingest, photos):
    import tensorflow_datasets as tfds

    for path in (photos / "images").rglob("*.png"):
        Image.open(path).convert("L").save(path)
    out, ingestion = ingest(photos, ignore_value=9)
    assert (ingestion["channels"], ingestion["reencoded"]) == (1, {})
    assert tfds.builder_from_directory(out).info.features["image"].shape == (None, None, 1)


def truncated_jpeg(photos):
    stream = io.BytesIO()
    Image.open(photos / "images" / "train" / "03.png").save(stream, "JPEG")
    (photos / "images" / "train" / "03.png").unlink()
    (photos / "images" / "train" / "03.jpg").write_bytes(stream.getvalue()[:-200])
    return "images/train/03.jpg", "damaged_file", "must be whole"


def mask_of_another_size(photos):
    Image.new("L", (5, 4)).save(photos / "masks" / "train" / "03.png")
    return "masks/train/03.png", "size_mismatch", "Received: mask 5x4"


def unknown_label(photos):
    mask = np.array(Image.open(photos / "masks" / "train" / "03.png"))
    mask[2, 2:4] = 77
    Image.fromarray(mask).save(photos / "masks" / "train" / "03.png")
    return "masks/train/03.png", "unknown_values", "Received: 77 (2 pixels)"


def missing_mask(photos):
    (photos / "masks" / "train" / "03.png").unlink()
    return "images/train/03.png", "missing_mask", "Received: no "


@pytest.mark.parametrize("spoil", [truncated_jpeg, mask_of_another_size, unknown_label, missing_mask])
def test_an_unusable_pair_is_quarantined_with_path_and_reason_and_the_others_are_stored(ingest, photos, spoil):
    path, name, what = spoil(photos)
    out, ingestion = ingest(photos, ignore_value=9)
    (row,) = ingestion["quarantined"]
    assert (row["split"], row["key"], row["name"]) == ("train", "03", name)
    assert str(photos / path) in (row["image"], row["mask"]) and str(photos / path) in row["where"]
    assert what in row["what"] and row["cure"]
    kept = out / "quarantine" / row["kept"]
    assert row["what"] in (kept / "reason.txt").read_text()
    copies = {path.stem: path.read_bytes() for path in kept.iterdir() if path.stem != "reason"}
    files = {kind: pathlib.Path(row[kind]) for kind in ("image", "mask")}
    assert copies == {kind: file.read_bytes() for kind, file in files.items() if file.exists()}
    assert ingestion["pairs"] == prepared.split_sizes(out) == {"test": 2, "train": 5, "validation": 2}


@pytest.mark.parametrize(
    "row",
    [
        "../secret.png,../secret.png,train",
        "../secret.png,masks/train/00.png,nowhere",
        "images/train/00.png,../secret.png,x",
    ],
)
def test_files_outside_the_folder_of_a_table_are_not_copied_to_the_quarantine(ingest, photos, row):
    (photos.parent / "secret.png").write_bytes((photos / "images" / "train" / "05.png").read_bytes())
    rows = [
        f"images/train/0{n}.png,masks/train/0{n}.png,{split}" for n, split in enumerate(("train", "train", "val"), 1)
    ]
    (photos / "pairs.csv").write_text("\n".join(["image,mask,split", *rows, row, ""]))
    out, ingestion = ingest(photos / "pairs.csv", ignore_value=9)
    (bad,) = ingestion["quarantined"]
    assert {path.name for path in (out / "quarantine" / bad["kept"]).iterdir()} == {"reason.txt"}


def test_copies_of_quarantined_pairs_are_limited(ingest, photos, monkeypatch):
    for name in ("00", "01", "02"):
        (photos / "images" / "train" / f"{name}.png").write_bytes(b"not a picture" * 100)
    mask = (photos / "masks" / "train" / "00.png").stat().st_size
    monkeypatch.setattr("pipeline.examples.quarantine.MAX_BYTES", 1300 + mask + 1)
    monkeypatch.setattr("pipeline.examples.quarantine.MAX_PAIRS", 2)
    out, ingestion = ingest(photos, ignore_value=9)
    assert [row["kept"] for row in ingestion["quarantined"]] == ["000", "001", None]
    found = {path.relative_to(out / "quarantine").as_posix() for path in (out / "quarantine").glob("*/*")}
    assert found == {"000/image.png", "000/mask.png", "000/reason.txt", "001/reason.txt"}


def test_a_refused_source_leaves_no_artifact(photos, tmp_path):
    (photos / "classes.csv").write_text("value,name,red,green,blue\n0,ground,9,9,9\n")  # no pair can be used
    store = Store(tmp_path / "runs")
    with pytest.raises(ValueError, match="At least one pair must be usable"):
        store.run(example_gen, ExampleGen(), source=external(photos))
    assert not (tmp_path / "runs" / "example_gen").exists()


def test_a_source_without_a_usable_pair_is_refused_with_the_reasons(ingest, photos):
    (photos / "classes.csv").write_text("value,name,red,green,blue\n0,ground,9,9,9\n")
    with pytest.raises(ValueError, match="At least one pair must be usable") as raised:
        ingest(photos)
    head, kind = str(raised.value).splitlines()  # ten pairs of one fault are one line
    assert head.endswith("Received: 10 pairs that are not:")
    assert kind.startswith("  quarantined  unknown_values (10): Mask values must be")
    assert f"; 9 more [{photos}/images/test/08.png, 09.png, {photos}/images/train/00.png, ...]. " in kind


def test_the_table_of_classes_is_given_or_lies_in_the_folder(ingest, photos, tmp_path):
    table = tmp_path / "table.csv"
    shutil.move(photos / "classes.csv", table)
    with pytest.raises(ValueError, match=r"(?s)no .*photos/classes\.csv and no --classes.*value,name,red,green,blue"):
        ingest(photos, ignore_value=9)
    out, _ = ingest(photos, classes=table, ignore_value=9)
    assert LabelMap.load(out).values == (0, 5, 200)


def test_generated_streets_are_those_of_the_generator(ingest):
    from kseg import streets

    counts = {"streets_train": 3, "streets_validation": 1, "streets_test": 2}
    out, ingestion = ingest("streets", **counts, streets_size=(32, 48), streets_seed=5)
    assert ingestion["pairs"] == {"test": 2, "train": 3, "validation": 1}
    assert LabelMap.load(out) == streets.LABELS
    image_bytes, label_map = stored(out)["test"]["test_000001"]
    image, expected = streets.draw(1, split="test", size=(32, 48), seed=5)
    np.testing.assert_array_equal(decode_image(image_bytes), image)
    np.testing.assert_array_equal(label_map, expected)


def test_generated_streets_refuse_other_classes(ingest):
    with pytest.raises(ValueError, match=r"have their own classes and void\. Received: --classes None, ignore_value=9"):
        ingest("streets", ignore_value=9)


@pytest.mark.parametrize("name", ["isbi2012_em", "voc_sample"])
def test_real_data_sets_are_stored_completely(ingest, data, name):
    settings = {"isbi2012_em": {}, "voc_sample": {"ignore_value": 255}}[name]
    out, ingestion = ingest(data / name, **settings)
    assert (
        ingestion["pairs"]
        == {"isbi2012_em": {"train": 20, "validation": 4}, "voc_sample": {"train": 12, "validation": 11}}[name]
    )
    assert (ingestion["channels"], ingestion["reencoded"], ingestion["quarantined"]) == (
        {"isbi2012_em": 1, "voc_sample": 3}[name],
        {},
        [],
    )
    ids = np.unique(np.concatenate([label_map.ravel() for _, label_map in stored(out)["train"].values()]))
    assert ids.tolist() == {"isbi2012_em": [0, 1], "voc_sample": [0, 3, 5, 6, 7, 9, 11, 12, 14, 15, 18, 255]}[name]


def test_two_patterns_on_the_command_line_read_any_folder(photos, ingest):
    from pipeline.line import COMPONENTS
    from pipeline.settings.run_flags import build_parser, read_config

    for kind, other in (("images", "left"), ("masks", "right")):
        (photos / kind).rename(photos / other)
    flags = ["--data", str(photos), "--images", "left/**/*.png", "--masks", "right/**/*.png", "--ignore-value", "9"]
    config = read_config(build_parser("run", COMPONENTS).parse_args(flags))
    _, ingestion = ingest(photos, images=config.example_gen.images, masks=config.example_gen.masks, ignore_value=9)
    assert ingestion["pairs"] == {"test": 2, "train": 6, "validation": 2}


def test_a_quarantined_pair_of_an_array_is_kept_as_pictures_and_its_place_is_said(ingest, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 9, 3), np.uint8)
    masks = np.zeros((6, 8, 9), np.uint8)
    masks[4] = 7
    np.savez(tmp_path / "data.npz", images=images, masks=masks)
    (tmp_path / "classes.csv").write_text("value,name,red,green,blue\n0,ground,9,9,9\n")
    out, ingestion = ingest(tmp_path / "data.npz")
    (row,) = ingestion["quarantined"]
    assert (row["key"], row["mask"], row["name"]) == ("images/4", f"{tmp_path}/data.npz, masks[4]", "unknown_values")
    kept = out / "quarantine" / row["kept"]
    np.testing.assert_array_equal(np.asarray(Image.open(kept / "image.png")), images[4])
    np.testing.assert_array_equal(np.asarray(Image.open(kept / "mask.png")), masks[4])
    assert f"{tmp_path}/data.npz, images[4]" in (kept / "reason.txt").read_text()
    assert sum(ingestion["pairs"].values()) == 5 and ingestion["reencoded"] == {"npz": 5}
