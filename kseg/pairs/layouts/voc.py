"""The layout of PASCAL VOC: JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/<split>.txt. Standard library only.

A name in a list that cannot be used is a fault of its pair; a missing or unreadable list is an error.
"""

from __future__ import annotations

import pathlib

from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import find_file_error
from kseg.pairs.layouts.recognised import Recognised
from kseg.pairs.listing import IMAGE_SUFFIXES, Fault, Listing, Pair
from kseg.pairs.sides import PlainFile
from kseg.pairs.split_names import KNOWN, splits_of_names


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
    paths = [path for path in sorted(lists.glob("*.txt")) if not path.name.startswith(".")]
    found = _splits_of_lists(lists, paths)
    names = {path: _read_names(path) for path in found}
    pairs, faults = {}, []
    for path, split in found.items():
        for number, key in enumerate(names[path], start=1):
            pair = _voc_pair(root, split, key)
            error = _voc_error(pair, (split, key) in pairs, f"{printable(path)}, name {number}")
            if error:
                faults.append(Fault(pair, error))
            else:
                pairs[split, key] = pair
    unused = _lists_of_others(set(paths) - found.keys(), {key for path in found for key in names[path]})
    return Listing(list(pairs.values()), faults, unused_splits=unused)


def _lists_of_others(paths, listed) -> list[str]:
    """The lists among `paths` that name something which is not in `listed`; trainval.txt, for example, seldom does."""
    found = []
    for path in sorted(paths):
        try:
            others = set(_read_names(path)) - listed
        except PairError:
            others = {"unreadable"}
        if others:
            found.append(printable(path))
    return found


def _splits_of_lists(folder, lists) -> dict[pathlib.Path, str]:
    """The split of each list that is used; "" for the only list, if its name is none of a split."""
    paths = {path.stem: path for path in lists}
    try:
        splits = splits_of_names(paths)
    except ValueError as error:
        raise PairError("bad_list", printable(str(error)), printable(folder), "Remove one, or join them.") from error
    if not splits and len(paths) == 1:
        splits = dict.fromkeys(paths, "")
    if not splits:
        raise PairError(
            "bad_list",
            f"The VOC layout must list its splits, or all its pairs in one list. Received: "
            f"{', '.join(printable(path.name) for path in lists) or 'no lists'}",
            printable(folder),
            f"Add a text file for each split, with one file name without suffix per line; known are {KNOWN}.",
        )
    order = {"train": 0, "validation": 1, "test": 2, "": 3}
    return {paths[name]: split for name, split in sorted(splits.items(), key=lambda item: order[item[1]])}


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
