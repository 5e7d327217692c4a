"""Every replica of a public layout is recognised, by exactly one recogniser, with the pairs and pixels of its generator."""

import collections
import importlib
import os
import pathlib
import sys

import numpy as np
import pytest

from kseg.pairs.image_files import decode_image
from kseg.pairs.image_folder import count_channels, find_readings, read_pair, recognise_pairs

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
}


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
    assert list(find_readings(root)) == [layout]
    found = recognise_pairs(root)
    labels = found.classes.label_map()
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
