"""Stacks of pages: train-volume.tif and train-labels.tif of ISBI 2012, one page a picture. Pillow reads them.

Two multi-page TIFFs of as many pages make pairs by the number of the page.
"""

from __future__ import annotations

import pathlib

from PIL import Image, UnidentifiedImageError

from kseg.pairs.decoding import DECODE_ERRORS
from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import check_file
from kseg.pairs.layouts.matching import file_in
from kseg.pairs.layouts.recognised import Classes, Recognised
from kseg.pairs.listing import Listing, Pair
from kseg.pairs.other_formats import ConvertedFile

TABLE = Classes(((0, "membrane", (0, 0, 0)), (255, "cell interior", (255, 255, 255))), "ISBI 2012 (EM challenge)")
NAMES = {"train-volume": "train-labels", "test-volume": "test-labels"}
SUFFIXES = (".tif", ".tiff")


def recognise(root: pathlib.Path) -> Recognised | None:
    """A folder with train-volume.tif and train-labels.tif.

    Raises:
        PairError: the stacks have different numbers of pages, or one cannot be read.
    """
    pairs, notes = [], []
    for images, masks in NAMES.items():
        volume, labels = (file_in(root, *(name + suffix for suffix in SUFFIXES)) for name in (images, masks))
        split = "" if images.startswith("train") else "test"
        if volume and labels:
            pairs += _pages(volume, labels, split)
        elif volume:
            notes.append(f"{volume.name} has no {masks}.tif and is left out.")
    return Recognised("ISBI 2012, stacks", Listing(pairs, []), root, TABLE, tuple(notes)) if pairs else None


def _pages(volume, labels, split) -> list[Pair]:
    counts = [count_pages(path) for path in (volume, labels)]
    if counts[0] != counts[1]:
        raise PairError(
            "page_mismatch",
            f"Stacks of images and masks must have as many pages. Received: {counts[0]} and {counts[1]}",
            f"{printable(volume)}, {printable(labels)}",
            "Export both again from the same slices.",
        )
    width = len(str(counts[0] - 1))
    return [
        Pair(f"{volume.stem}/{page:0{width}}", split, ConvertedFile(volume, page), ConvertedFile(labels, page))
        for page in range(counts[0])
    ]


def count_pages(path: pathlib.Path) -> int:
    """The number of pages of a TIFF.

    Raises:
        PairError: it cannot or must not be read.
    """
    check_file(path)
    try:
        with Image.open(path, formats=["TIFF"]) as image:
            return image.n_frames
    except (UnidentifiedImageError, *DECODE_ERRORS) as error:
        raise PairError(
            "damaged_file", f"A stack must be a TIFF. Received: {error}", printable(path), "Copy it again."
        ) from error
