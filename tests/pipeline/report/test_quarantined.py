"""What was quarantined, as the page shows it: one row per reason, pictures of the copies alone, and nothing from elsewhere."""

import base64
import io
import shutil

import numpy as np
import pytest
from PIL import Image

from kseg.labels import voc_colour
from pipeline.examples.quarantine import copy_quarantined
from pipeline.examples.sources.opening import open_source
from pipeline.report.quarantined import PAIRS, group_by_reason
from pipeline.settings.example_gen import ExampleGen


@pytest.fixture
def quarantined(tmp_path):
    """Reads a source; returns the rows of its quarantined pairs, and the folder of their copies, as example_gen leaves them."""

    def run(place):
        source, folder = open_source(place, ExampleGen(ignore_value=9), None), tmp_path / "examples" / "quarantine"
        found = (output for pair in source.elements.stream() for output in source.reader.process(pair))
        rows = [output.value for output in found if getattr(output, "tag", None) == "quarantined"]
        return copy_quarantined(folder, [*source.faults, *rows], source.sides, 10**6), folder

    return run


def decoded(side) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(side["uri"].partition(",")[2]))))


def write_mask(path, value):
    mask = np.zeros((20, 30), np.uint8)
    mask[:, 15:] = value
    Image.fromarray(mask).save(path)


def test_pairs_are_grouped_by_reason_the_most_common_first(quarantined, photos):
    for number in range(6):
        write_mask(photos / "masks" / "train" / f"{number:02}.png", 77)
    (photos / "masks" / "val" / "06.png").unlink()
    missing, unknown = sorted(group_by_reason(*quarantined(photos)), key=lambda row: row["name"])
    assert (unknown["name"], unknown["count"], missing["name"], missing["count"]) == (
        "unknown_values",
        6,
        "missing_mask",
        1,
    )
    assert len(unknown["pairs"]) == PAIRS and unknown["others"] == ["04", "05"] and not unknown["unlisted"]
    assert group_by_reason([], photos) == []


def test_a_mask_is_drawn_in_colours_and_an_image_as_it_is(quarantined, photos):
    Image.fromarray(np.full((20, 30, 3), (10, 200, 30), np.uint8)).save(photos / "images" / "train" / "00.png")
    write_mask(photos / "masks" / "train" / "00.png", 77)
    (row,) = group_by_reason(*quarantined(photos))
    image, mask = row["pairs"][0]["sides"]
    assert (image["size"], mask["size"]) == ("30x20", "30x20")
    assert np.abs(decoded(image).astype(int) - (10, 200, 30)).max() < 8  # JPEG
    assert decoded(mask)[30, 2].tolist() == list(voc_colour(0)) and decoded(mask)[30, -2].tolist() == list(
        voc_colour(77)
    )
    assert decoded(mask).shape == (64, 96, 3)


def test_sizes_that_differ_are_shown_as_they_are(quarantined, photos):
    Image.fromarray(np.zeros((8, 4), np.uint8)).save(photos / "masks" / "train" / "00.png")
    (row,) = group_by_reason(*quarantined(photos))
    image, mask = row["pairs"][0]["sides"]
    assert row["name"] == "size_mismatch" and (image["size"], mask["size"]) == ("30x20", "4x8")
    assert decoded(mask).shape == (72, 36, 3)


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n half", b"\xff\xd8\xff half", b"GIF89a half"])
def test_what_cannot_be_decoded_has_no_picture(quarantined, photos, data):
    (photos / "images" / "train" / "00.png").write_bytes(data)
    (row,) = group_by_reason(*quarantined(photos))
    image, mask = row["pairs"][0]["sides"]
    assert image["uri"] is None and mask["size"] == "30x20"


def test_files_outside_the_data_are_never_shown(quarantined, photos):
    outside = photos.parent / "secret.png"
    shutil.copy(photos / "images" / "train" / "05.png", outside)
    lines = [f"images/train/0{n}.png,masks/train/0{n}.png,train" for n in range(4)]
    table = [
        "image,mask,split",
        *lines,
        "images/val/06.png,masks/val/06.png,val",
        "../secret.png,../secret.png,train",
        "",
    ]
    (photos / "pairs.csv").write_text("\n".join(table))
    rows, folder = quarantined(photos / "pairs.csv")
    (row,) = group_by_reason(rows, folder)
    assert row["name"] == "outside_folder" and [side["uri"] for side in row["pairs"][0]["sides"]] == [None, None]
    (folder / rows[0]["kept"] / "image.png").symlink_to(outside)  # somebody edits the store
    shutil.copy(outside, folder.parent / "image.png")
    for kept in (rows[0]["kept"], "..", f"{rows[0]['kept']}/../..", str(photos.parent), "", None):
        (row,) = group_by_reason([{**rows[0], "kept": kept}], folder)
        assert [side["uri"] for side in row["pairs"][0]["sides"]] == [None, None]


def test_a_large_picture_is_not_decoded(quarantined, photos, monkeypatch):
    write_mask(photos / "masks" / "train" / "00.png", 77)
    monkeypatch.setattr("pipeline.report.quarantined.MAX_PIXELS", 599)
    (row,) = group_by_reason(*quarantined(photos))
    assert [side["uri"] for side in row["pairs"][0]["sides"]] == [None, None]
