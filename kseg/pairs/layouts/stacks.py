"""Stacks of pages, one page a picture: train-volume.tif and train-labels.tif of ISBI 2012, or others. Pillow reads them.

Two multi-page TIFFs of as many pages make pairs by the number of the page. ImageJ writes such, and says in them how many
channels, slices and frames the pages are.
"""

from __future__ import annotations

import pathlib
import re

from PIL import Image, UnidentifiedImageError

from kseg.pairs.decoding import DECODE_ERRORS
from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import check_file, may_list
from kseg.pairs.layouts.class_files import find_classes
from kseg.pairs.layouts.matching import file_in
from kseg.pairs.layouts.recognised import Classes, Recognised
from kseg.pairs.layouts.words import role_of
from kseg.pairs.listing import Listing, Pair
from kseg.pairs.other_formats import ConvertedFile
from kseg.pairs.split_names import split_in_name

TABLE = Classes(((0, "membrane", (0, 0, 0)), (255, "cell interior", (255, 255, 255))), "ISBI 2012 (EM challenge)")
NAMES = {"train-volume": "train-labels", "test-volume": "test-labels"}
SUFFIXES = (".tif", ".tiff")
MAX_STACKS = 6  # in a folder; more are pictures
IMAGE_DESCRIPTION = 270  # tag of TIFF
AXES = re.compile(r"^(images|channels|slices|frames)=(\d{1,9})\s*$", re.MULTILINE)


def recognise(root: pathlib.Path) -> Recognised | None:
    """A folder with train-volume.tif and train-labels.tif, or a stack of images and one of masks: cells.tif, cells_mask.tif.

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
    if pairs:
        return Recognised("ISBI 2012, stacks", Listing(pairs, []), root, TABLE, tuple(notes))
    pairs = [] if root.is_file() else _own_stacks(root)
    return Recognised("stacks of pages", Listing(pairs, []), root, find_classes(root)) if pairs else None


def _own_stacks(root) -> list[Pair]:
    """The pages of a stack of images and one of masks, of each split, by the words in their names."""
    if not may_list(root):
        return []
    paths = [path for path in sorted(root.iterdir()) if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    found: dict[tuple[str, str], list[pathlib.Path]] = {}
    for path in paths if len(paths) <= MAX_STACKS else ():
        split, rest = split_in_name(path.stem) or ("", path.stem)
        found.setdefault((split, "mask" if role_of(rest) == "mask" else "image"), []).append(path)
    pairs = []
    for split in sorted({split for split, _ in found}):
        images, masks = found.get((split, "image"), []), found.get((split, "mask"), [])
        if len(images) == len(masks) == 1 and max(map(_length, (images[0], masks[0]))) > 1:
            pairs += _pages(images[0], masks[0], split)
    return pairs


def _length(path) -> int:
    """The number of pages, or of images that ImageJ says there are; 0 where it cannot be read."""
    try:
        return max(count_pages(path), _imagej(path).get("images", 1))
    except PairError:
        return 0


def _imagej(path) -> dict[str, int]:
    """How many images, channels, slices and frames ImageJ says a stack has; empty where it did not write it."""
    try:
        with Image.open(path, formats=["TIFF"]) as image:
            text = str(image.tag_v2.get(IMAGE_DESCRIPTION, ""))
    except (UnidentifiedImageError, *DECODE_ERRORS):
        return {}
    return {name: int(number) for name, number in AXES.findall(text)} if text.startswith("ImageJ=") else {}


def _pages(volume, labels, split) -> list[Pair]:
    counts = [count_pages(path) for path in (volume, labels)]
    axes = [_imagej(path) for path in (volume, labels)]
    for path, count, stated in zip((volume, labels), counts, axes, strict=True):
        if stated.get("images", count) != count or stated.get("channels", 1) > 1:
            listed = ", ".join(f"{number} {name}" for name, number in stated.items())
            raise PairError(
                "unsupported_format",
                f"A stack must have a page for each picture. Received: {count} pages of ImageJ for {listed}",
                printable(path),
                "Save it with one channel, or channels as RGB, by File > Save As > Tiff; or its pages by File > Save As > Image "
                "Sequence.",
            )
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
