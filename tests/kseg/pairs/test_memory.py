"""What is looked at in every file before pairs are read is not kept: memory must not grow with the number of pairs."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from kseg.labels import LabelMap
from kseg.pairs.conventions import find_conventions, find_pixel_kind
from kseg.pairs.image_folder import recognise_pairs

PAIRS = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pairs whose images are as large as the part of them that is looked at, and a table of classes."""
    root = tmp_path_factory.mktemp("pairs")
    noise = np.random.default_rng(0).integers(0, 256, (80, 70, 3), np.uint8)
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    Image.fromarray(noise).save(root / "images" / "0.png", compress_level=1)
    Image.new("L", (70, 80)).save(root / "masks" / "0.png")
    for number in range(1, PAIRS):
        for kind in ("images", "masks"):
            (root / kind / f"{number}.png").hardlink_to(root / kind / "0.png")
    (root / "classes.csv").write_text("value,name,red,green,blue\n0,ground,9,9,9\n")
    return root


def peak(action) -> int:
    """Bytes a pair that a call takes at most, besides what it returns; and what it returns."""
    action()  # what is kept by modules
    tracemalloc.start()
    try:
        found = action()
        now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (most - now) / PAIRS, found


def test_headers_of_images_are_not_kept(folder):
    pairs, labels = recognise_pairs(folder).listing.pairs, LabelMap(("ground",), ((9, 9, 9),), (0,))
    assert len(pairs) == PAIRS
    bytes_a_pair, _ = peak(lambda: (find_pixel_kind(pairs), find_conventions(pairs, labels)))
    assert bytes_a_pair < 2000  # a header has up to 16 KiB


def test_a_table_that_names_no_images_is_not_compared_with_the_pairs(folder):
    bytes_a_pair, found = peak(lambda: recognise_pairs(folder))
    assert len(found.listing.pairs) == PAIRS
    assert bytes_a_pair < 1000
