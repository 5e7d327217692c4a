"""The layout of PASCAL VOC: JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/<split>.txt. Standard library only.

A name in a list that cannot be used is a fault of its pair; a missing or unreadable list is an error.
"""

from __future__ import annotations

import pathlib

from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import find_file_error
from kseg.pairs.layouts.recognised import Recognised
from kseg.pairs.listing import IMAGE_SUFFIXES, SPLITS, Fault, Listing, Pair
from kseg.pairs.sides import PlainFile


def recognise(root: pathlib.Path) -> Recognised | None:
    """A folder with JPEGImages/.

    Raises:
        PairError: there is no list, or one is empty or not UTF-8.
    """
    return Recognised("PASCAL VOC", list_voc(root), root) if (root / "JPEGImages").is_dir() else None


def list_voc(root: pathlib.Path) -> Listing:
    """Lists the pairs named in root/ImageSets/Segmentation; other files are ignored.

    Raises:
        PairError: there is no list, or one is empty or not UTF-8.
    """
    lists = root / "ImageSets" / "Segmentation"
    found = [(split, lists / f"{name}.txt") for name, split in SPLITS.items() if (lists / f"{name}.txt").is_file()]
    if not found:
        raise PairError(
            "bad_list",
            "The VOC layout must list its splits. Received: no train.txt or val.txt",
            printable(lists),
            "Add a text file for each split, with one file name without suffix per line.",
        )
    pairs, faults = {}, []
    for split, path in found:
        for number, key in enumerate(_read_names(path), start=1):
            pair = _voc_pair(root, split, key)
            error = _voc_error(pair, (split, key) in pairs, f"{printable(path)}, name {number}")
            if error:
                faults.append(Fault(pair, error))
            else:
                pairs[split, key] = pair
    return Listing(list(pairs.values()), faults)


def _read_names(path) -> list[str]:
    """The names in a list; at least one."""
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise PairError(
            "bad_list", f"A list must be UTF-8. Received: {error}", printable(path), "Save it as UTF-8."
        ) from error
    if not names:
        raise PairError(
            "bad_list",
            "The lists of the VOC layout must not be empty. Received: no name",
            printable(path),
            "Remove it.",
        )
    return names


def _voc_pair(root, split, key) -> Pair:
    images = [root / "JPEGImages" / f"{key}{suffix}" for suffix in IMAGE_SUFFIXES]
    image = next((candidate for candidate in images if candidate.is_file()), images[0])
    return Pair(key, split, PlainFile(image), PlainFile(root / "SegmentationClass" / f"{key}.png"))


def _voc_error(pair, seen, where) -> PairError | None:
    if seen:
        return PairError(
            "listed_twice",
            f"A list must not repeat names. Received: {printable(pair.key)} again",
            where,
            "Remove one.",
        )
    if ".." in pathlib.PurePath(pair.key).parts or pathlib.PurePath(pair.key).is_absolute() or "\0" in pair.key:
        return PairError(
            "outside_folder",
            f"A list must name files inside its data set. Received: {printable(pair.key)}",
            where,
            "Copy the files into the data set.",
        )
    error = find_file_error(pair.image.path) or find_file_error(pair.mask.path)
    return error and PairError(error.name, error.what, f"{error.where}, named in {where}", error.cure)
