"""Every replica of a public layout is recognised, by exactly one recogniser, with the pairs and pixels of its generator."""

import collections
import importlib
import os
import pathlib
import sys

import numpy as np
import pytest

from kseg.labels import LabelMap
from kseg.pairs.conventions import count_channels
from kseg.pairs.errors import PairError, SeveralReadingsError
from kseg.pairs.image_files import decode_image
from kseg.pairs.image_folder import read_pair, recognise_pairs
from kseg.pairs.recognisers import find_readings

SHARED = pathlib.Path(os.environ.get("KSEG_DATA") or pathlib.Path(__file__).parents[5] / "shared" / "data").parent
REPLICAS = SHARED / "layouts"
pytestmark = pytest.mark.skipif(not REPLICAS.is_dir(), reason="the replicas of public layouts are not there")

BINARY = ((0, 255), {0: 0, 255: 1})
CITY = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
CITY_VALUES = [0, 1, 2, 3, 4, *CITY]
CITY_IDS = {value: CITY.index(value) if value in CITY else 255 for value in CITY_VALUES}


def same(count, void=()):
    """Values 0, 1, ... that are the ids, and void ones."""
    return [*range(count), *void], {**{value: value for value in range(count)}, **dict.fromkeys(void, 255)}


def numbered(train=(), validation=(), test=()):
    return {"train": list(train), "validation": list(validation), "test": list(test)}


CASES = {
    # case, folder below it: (recogniser, numbers of the masks of each split or all, values in a mask, ids by value)
    "case01_camvid_original": ("camvid", 8, *same(7, [7])),
    "case01b_camvid_kaggle": ("camvid", numbered(range(6), range(6, 9), range(9, 12)), *same(7, [7])),
    "case02_cityscapes": ("cityscapes", numbered(range(1, 9), range(9, 13)), CITY_VALUES, CITY_IDS),
    "case03_voc/VOCdevkit/VOC2012": ("voc", numbered(range(6), range(6, 9)), *same(21, [255])),
    "case04_ade20k": (
        "ade20k",
        numbered(range(8), range(8, 12)),
        [0, 1, 2, 3, 4, 150],
        {0: 255, 1: 0, 2: 1, 3: 2, 4: 3, 150: 149},
    ),
    "case08_kvasir/Kvasir-SEG": ("kvasir-seg", 8, *BINARY),
    "case08_kvasir/CVC-ClinicDB": ("cvc-clinicdb", 8, *BINARY),
    "case09_drive": ("drive", numbered(range(21, 25), test=range(1, 5)), *BINARY),
    "case10_isbi_stack": ("isbi2012", 8, *BINARY),
    "case13_polygons/labelme_voc": ("voc", 8, *same(2, [255])),
    "case14_cvat/task": ("voc", 8, *same(3)),
    "case14_cvat/project": ("voc", numbered(range(6), range(6, 9)), *same(3)),
    "case16_labelstudio": ("label-studio", 8, *same(3)),
    "case18_huggingface/folder": ("hugging-face", numbered(range(8), range(8, 11)), *same(2)),
    "case18_huggingface/parquet": ("parquet", 8, *same(2)),
    "case22_numpy/data.npz": ("numpy", 8, *same(2)),
    "case22_numpy": ("folders", 8, *same(2)),
    "case23_common_folders/a": ("", numbered(range(30), range(30, 40)), *same(2)),
    "case23_common_folders/b": ("folders", numbered(range(30), range(30, 40)), *same(2)),
    "case23_common_folders/c": ("", 40, *same(2)),
    "case23_common_folders/d": ("", numbered(range(30), range(30, 40)), *same(2)),
    "case23_common_folders/e": ("", 40, *same(2)),
    "case23_common_folders/f": ("folders", numbered(range(30), range(30, 40)), *same(2)),
    "case23_common_folders/g": ("folders", numbered(range(30), (), range(30, 40)), *same(2)),
    "case23_common_folders/h": ("", 40, *same(2)),
    "case23_common_folders/i": ("folders", numbered(range(30), range(30, 40)), *same(2)),
}
PAIRS = LabelMap(("a", "b"), ((0, 0, 0), (255, 0, 0)), (0, 1))


def generator(case):
    """The module of a replica; it is imported as its own README does."""
    sys.path.insert(0, str(REPLICAS))
    try:
        return importlib.import_module(case)
    finally:
        sys.path.remove(str(REPLICAS))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Builds a replica once; returns its folder."""
    folders = {}

    def build(case):
        if case not in folders:
            folders[case] = tmp_path_factory.mktemp(case)
            generator(case).build(folders[case])
        return folders[case]

    return build


def pixels_of(listing, labels) -> dict[str, collections.Counter]:
    """Pixels by class id of each split."""
    channels, found = count_channels(listing.pairs), collections.defaultdict(collections.Counter)
    for pair in listing.pairs:
        _, label_map, _ = read_pair(pair, labels, channels)
        values, counts = np.unique(decode_image(label_map), return_counts=True)
        found[pair.split].update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    return dict(found)


def expected_pixels(numbers, values, ids) -> collections.Counter:
    """Pixels by class id of the masks with these numbers, as the generator draws them."""
    common, found = generator("common"), collections.Counter()
    for number in numbers:
        drawn, counts = np.unique(common.labels(number, list(values)), return_counts=True)
        for value, count in zip(drawn.tolist(), counts.tolist(), strict=True):
            found[ids[value]] += count
    return found


@pytest.mark.parametrize("name", CASES)
def test_pairs_and_pixels_are_those_that_the_generator_wrote(name, built):
    layout, numbers, values, ids = CASES[name]
    case, _, below = name.partition("/")
    root = built(case) / below
    assert [reading.layout for reading in find_readings(root)] == [layout]
    found = recognise_pairs(root)
    labels = found.classes.label_map() if found.classes else PAIRS
    pixels = pixels_of(found.listing, labels)
    if isinstance(numbers, dict):
        expected = {split: expected_pixels(these, values, ids) for split, these in numbers.items() if these}
        counts = collections.Counter(pair.split for pair in found.listing.pairs)
        assert counts == {split: len(these) for split, these in numbers.items() if these}
        assert pixels == expected
    else:
        assert len(found.listing.pairs) == numbers
        assert sum(pixels.values(), collections.Counter()) == expected_pixels(range(numbers), values, ids)
    assert found.listing.faults == []


def test_lists_give_the_splits_of_the_pets_and_a_picture_of_another_format_is_set_aside(built):
    found = recognise_pairs(built("case06_oxford_pet"))
    labels = found.classes.label_map()
    assert labels.names == ("pet", "background", "border")
    counts = collections.Counter(pair.split for pair in found.listing.pairs)
    assert counts == {"train": 4, "validation": 1, "test": 5}
    by_key = {pair.key: pair for pair in found.listing.pairs}
    gif = by_key.pop("Abyssinian_5")
    with pytest.raises(PairError, match="of kind GIF"):
        read_pair(gif, labels)
    for key, pair in by_key.items():
        drawn = generator("common").labels(int(key.rpartition("_")[2]) - 1, [1, 2, 3])
        np.testing.assert_array_equal(decode_image(read_pair(pair, labels)[1])[..., 0], drawn - 1)


@pytest.mark.parametrize("place", ["case03_voc", "case03_voc/VOCdevkit", "case03_voc/VOCdevkit/VOC2012"])
def test_a_layout_is_found_in_the_folders_below(place, built):
    case, _, below = place.partition("/")
    found = recognise_pairs(built(case) / below)
    assert (found.layout, found.root.name, len(found.listing.pairs)) == ("voc", "VOC2012", 9)
    augmented = recognise_pairs(built(case) / below, layout="voc-aug")
    assert collections.Counter(pair.split for pair in augmented.listing.pairs) == {"train": 9, "validation": 3}


def test_label_ids_of_cityscapes_give_the_ids_of_train_ids(built, tmp_path):
    generator("case02_cityscapes").build(tmp_path, train_ids=False)
    both = [recognise_pairs(built("case02_cityscapes")), recognise_pairs(tmp_path)]
    both.append(recognise_pairs(built("case02_cityscapes"), layout="cityscapes-labelids"))
    maps = [[read_pair(pair, found.classes.label_map())[1] for pair in found.listing.pairs] for found in both]
    assert maps[0] == maps[1] == maps[2]
    assert any("test is left out" in note for note in both[0].notes)


COCO = {"coco-instances": ["background", "person", "car"], "coco-panoptic": ["person", "car"], "coco-stuff": None}


def test_several_readings_of_coco_are_listed_and_each_works(built):
    root = built("case05_coco")
    with pytest.raises(SeveralReadingsError, match="must have one reading") as raised:
        recognise_pairs(root)
    assert {reading.layout for reading in raised.value.readings} == set(COCO)
    for layout, names in COCO.items():
        found = recognise_pairs(root, layout=layout)
        labels = found.classes.label_map()
        assert names is None or list(labels.names) == names
        assert collections.Counter(pair.split for pair in found.listing.pairs) == {"train": 8, "validation": 4}
        pixels = pixels_of(found.listing, labels)
        if layout == "coco-stuff":
            values = [0, 1, 2, 91, 181, 255]
            expected = expected_pixels(range(8), values, {value: value for value in values})
            assert pixels["train"] == expected
        elif layout == "coco-panoptic":
            assert pixels["train"] == expected_pixels(range(8), [0, 1000, 70000], {0: 255, 1000: 0, 70000: 1})
        else:  # a square of 20x20 each; in the first picture 10x10 of it are a car, too, and 4 columns are a crowd
            size = 64 * 48
            assert pixels["validation"] == {
                1: 4 * 400 - 100,
                2: 100,
                255: 100 + 4 * 48,
                0: 4 * (size - 400) - 100 - 192,
            }


@pytest.mark.parametrize("kind", ["labelme", "supervisely"])
def test_polygons_are_drawn_with_their_outline(kind, built):
    found = recognise_pairs(built("case13_polygons") / kind)
    labels = found.classes.label_map()
    assert (found.layout, labels.names) == (kind, ("background", "cat"))
    total = sum(pixels_of(found.listing, labels).values(), collections.Counter())
    assert total == {1: 8 * 27 * 27, 0: 8 * (64 * 48 - 27 * 27)}


def test_brush_masks_need_the_export_that_ties_them_to_pictures(built, tmp_path):
    generator("case16_labelstudio").build(tmp_path)
    found = recognise_pairs(tmp_path)
    assert found.classes.label_map().names == ("background", "cat", "dog")
    (tmp_path / "export.json").unlink()
    with pytest.raises(PairError, match="must lie beside the JSON export"):
        recognise_pairs(tmp_path)


@pytest.mark.parametrize("case", ["case08_kvasir", "case13_polygons", "case14_cvat"])
def test_several_data_sets_in_one_folder_are_listed(case, built):
    with pytest.raises(SeveralReadingsError) as raised:
        recognise_pairs(built(case))
    folders = {reading.root.name for reading in raised.value.readings}
    assert len(folders) == len(raised.value.readings) >= 2


PLAIN = ["case20_many_bits", "caseB1_palette_order", "caseB2_exif", "caseB3_mask_encodings"]


@pytest.mark.parametrize("case", PLAIN)
def test_no_layout_of_a_data_set_claims_plain_folders(case, built):
    root = built(case)
    for folder in [path for path in sorted(root.iterdir()) if (path / "images").is_dir()] or [root]:
        assert [reading.layout for reading in find_readings(folder)] == ["folders"]
