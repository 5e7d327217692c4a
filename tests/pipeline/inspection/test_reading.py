"""Reading without Beam: the order is fair, every split is there, and the counts are those of all pairs."""

import itertools

import numpy as np
import pytest
from PIL import Image

from pipeline.examples.sources.opening import open_source
from pipeline.inspection import reading
from pipeline.inspection.file_copies import find_copies
from pipeline.inspection.headers import read_headers
from pipeline.settings.example_gen import ExampleGen


@pytest.fixture
def source(photos):
    return open_source(photos, ExampleGen(ignore_value=9), None)


def test_the_order_is_made_of_runs_of_neighbours_and_begins_with_one_of_each_split():
    elements = [("train", n) for n in range(22)] + [("test", n) for n in range(3)]
    order = reading.reading_order(elements, seed=0)
    assert sorted(order) == list(range(25)) and order != sorted(order)
    assert {elements[position][0] for position in order[:8]} == {"train", "test"}
    neighbours = sum(after == before + 1 for before, after in itertools.pairwise(order))
    assert neighbours >= 18  # 25 positions in 7 runs
    assert reading.reading_order(elements, seed=1) != order == reading.reading_order(elements, seed=0)


def test_names_with_numbers_are_in_the_order_of_the_numbers(photos):
    for kind in ("images", "masks"):
        for number in range(6):
            place = photos / kind / "train" / f"{number:02}.png"
            place.rename(place.with_name(f"f{2 * number}.png"))
    elements = reading.elements_in_order(open_source(photos, ExampleGen(ignore_value=9), None))
    keys = [pair.key for pair in elements if pair.split == "train"]
    assert keys == ["f0", "f2", "f4", "f6", "f8", "f10"]


def test_neighbours_are_read_together_though_a_hash_assigns_their_splits(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for number in range(12):
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / kind / f"{number}.png")
    (tmp_path / "classes.csv").write_text("value,name,red,green,blue\n0,ground,90,90,90\n")
    elements = reading.elements_in_order(open_source(tmp_path, ExampleGen(), None))
    assert [pair.key for pair in elements] == [str(number) for number in range(12)]
    assert len({pair.split for pair in elements}) == 3


def test_all_pairs_are_counted_where_the_time_suffices(source, photos):
    sample = reading.read_sample(source, reading.elements_in_order(source), seconds=60, seed=0)
    masks = [np.asarray(Image.open(path)) for path in sorted(photos.glob("masks/*/*"))]
    pixels = [sum(int(np.sum(mask == value)) for mask in masks) for value in (0, 5, 200, 9)]
    total = sample.counts[reading.TOTAL]
    assert sample.complete and (sample.read, total.images) == (10, 10)
    assert [*total.classes[0].tolist(), total.void_pixels] == pixels
    assert sample.counts["train"].images == 6 and len(sample.outlines) == 10


def test_without_time_one_run_of_each_split_is_read(source):
    elements = reading.elements_in_order(source)
    sample = reading.read_sample(source, elements, seconds=0, seed=0)
    assert set(sample.counts) == {"train", "validation", "test", reading.TOTAL}


def test_unusable_and_reencoded_pairs_are_counted(photos):
    (photos / "images" / "train" / "05.png").write_bytes(b"")
    Image.open(photos / "images" / "val" / "06.png").convert("RGBA").save(photos / "images" / "val" / "06.png")
    source = open_source(photos, ExampleGen(ignore_value=9), None)
    sample = reading.read_sample(source, reading.elements_in_order(source), seconds=60, seed=0)
    assert [row["name"] for row in sample.quarantined] == ["empty_file"]
    assert sample.reencoded == {"alpha channel": 1} and sample.counts["train"].images == 5


def test_headers_tell_sizes_kinds_and_turned_images(source, photos):
    path = photos / "images" / "train" / "00.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(path, exif=exif)  # 30x20 in the file
    Image.fromarray(np.zeros((20, 30), np.uint16)).save(photos / "images" / "train" / "01.png")
    (photos / "images" / "train" / "02.png").write_bytes(b"no picture")
    found = read_headers(source.sides.values())
    assert (found.read, found.total, found.turned) == (10, 10, 1)
    assert found.sizes[20, 30] == 1 and found.sizes.total() == 9
    assert found.images == {"PNG, RGB, 8 bits": 8, "PNG, grey, 16 bits": 1, "png without a readable header": 1}
    assert found.masks == {"PNG, grey, 8 bits": 10}


def test_copies_of_image_files_are_found_without_decoding(source, photos):
    data = (photos / "images" / "train" / "00.png").read_bytes()
    (photos / "images" / "val" / "07.png").write_bytes(data)
    rows = {(row["split"], row["key"]): row for row in find_copies(source.sides)}
    assert rows["train", "00"]["pixels"] == rows["validation", "07"]["pixels"]
    assert len({row["pixels"] for row in rows.values()}) == len(rows) - 1


def test_headers_are_read_without_decoding(source, photos, monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("pixels were decoded"))
    assert read_headers(source.sides.values()).sizes.total() == 10
