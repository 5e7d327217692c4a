"""Any other folder: a pattern of the images and one of the masks, tied together by what their wildcards take.

`left/**/*_rgb.png` and `gt/**/*_label.tif` pair left/a/1_rgb.png with gt/a/1_label.tif. The name of a split that a wildcard
takes, as in left/train/1_rgb.png, is the split.
"""

from __future__ import annotations

import fnmatch
import os
import pathlib
import re

from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import file_key
from kseg.pairs.layouts.class_files import find_classes
from kseg.pairs.layouts.joined_masks import join_classes
from kseg.pairs.layouts.matching import walk
from kseg.pairs.layouts.named_files import Named, examples, list_matched, match_names
from kseg.pairs.layouts.recognised import Recognised
from kseg.pairs.listing import IMAGE_SUFFIXES
from kseg.pairs.split_names import split_of_name


def recognise(root: pathlib.Path, images: str, masks: str) -> Recognised:
    """The pairs of two patterns.

    Args:
        root: the folder that the patterns start from.
        images: pattern of the images: * and ? take parts of a name, ** takes folders; a folder means everything in it.
        masks: pattern of the masks.

    Raises:
        PairError: a pattern finds nothing or leaves the folder, or no image has a mask.
    """
    pictures, found = _find_both(root, images, masks)
    matched = match_names(pictures, found)
    if not matched.pairs:
        raise PairError(
            "missing_mask",
            "Every image must have a mask for which the wildcards take the same. Received: images for "
            f"{examples(pictures)}, masks for {examples(found)}",
            f"{printable(root)}, --images {images!r} --masks {masks!r}",
            "Write the parts in which the names differ into the patterns.",
        )
    notes = [matched.how] if matched.how else []
    name = f"patterns {images} and {masks}"
    return Recognised(name, list_matched(matched), root, find_classes(root), tuple(notes))


def _find_both(root, images, masks) -> tuple[list[Named], list[Named]]:
    """The files of a pattern of images that are not of that of masks, and those."""
    found = find_named(root, masks, "masks")
    taken = {file.path for file in found}
    return [file for file in find_named(root, images, "images") if file.path not in taken], found


def recognise_class_folders(root: pathlib.Path, images: str = "images/**/*", masks: str = "masks/**/*") -> Recognised:
    """Masks of one class each in folders of its name, as masks/road/a.png and masks/tree/a.png, or those of two patterns.

    Raises:
        PairError: a pattern finds nothing or leaves the folder, or no image has a mask.
    """
    pictures, found = _find_both(root, images, masks)
    if reading := join_classes(root, pictures, found):
        return reading
    raise PairError(
        "missing_mask",
        "Masks must lie in folders of their classes, under the names of the images. Received: images for "
        f"{examples(pictures)}, masks for {examples(found)}",
        f"{printable(root)}, --images {images!r} --masks {masks!r}",
        "Rename the folders, or write one mask with a value for each class.",
    )


def find_named(root: pathlib.Path, pattern: str, kind: str) -> list[Named]:
    """The files of a pattern with what its wildcards take.

    Raises:
        PairError: there are none, or the pattern leaves the folder.
    """
    pattern = pattern.replace("\\", "/").strip()
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise PairError(
            "outside_folder",
            f"A pattern must stay inside the data. Received: {pattern!r}",
            printable(root),
            "Shorten it.",
        )
    pattern = pattern.removeprefix("./").rstrip("/")
    found = _find(root, pattern) or _find(root, f"{pattern}/**/*")  # a folder means everything in it
    if not found:
        raise PairError(
            "no_files",
            f"A pattern of {kind} must find files of {', '.join(IMAGE_SUFFIXES)}. Received: none for {pattern!r}",
            printable(root),
            f"There are: {', '.join(printable(name) for name in sorted(os.listdir(root))[:8])}.",
        )
    return found


def _find(root, pattern) -> list[Named]:
    start = root
    for part in pattern.split("/")[:-1]:
        if any(letter in part for letter in "*?["):
            break
        start = start / part
    expression = re.compile(translate(pattern), re.DOTALL)
    found = []
    for path in walk(start) if start.is_dir() else ():
        if path.suffix.lower() in IMAGE_SUFFIXES and (match := expression.fullmatch(path.relative_to(root).as_posix())):
            found.append(_named(match, path, root))
    return found


def _named(match, path, root) -> Named:
    split, parts = "", []
    for part in "/".join(group for group in match.groups() if group).split("/"):
        if not split and split_of_name(part):
            split = split_of_name(part)
        elif part:
            parts.append(part)
    if not split:  # that of a folder which the pattern spells out
        split = next(filter(None, map(split_of_name, path.relative_to(root).parent.parts)), "")
    key = "/".join(parts) or file_key(path, root)
    suffix = path.suffix
    return Named(split, key.removesuffix(suffix) if suffix else key, path)


def translate(pattern: str) -> str:
    """A pattern as a regular expression with a group for each wildcard.

    Example:
        >>> import re
        >>> re.fullmatch(translate("gt/**/*_label.tif"), "gt/a/b/1_label.tif").groups()
        ('a/b/', '1')
    """
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]/]+\])", pattern)
    groups = {"**/": "((?:[^/]+/)*)", "**": "(.*)", "*": "([^/]*)", "?": "([^/])"}
    return "".join(
        groups[piece]
        if piece in groups
        else f"({fnmatch.translate(piece)[4:-3]})"
        if piece.startswith("[")
        else re.escape(piece)
        for piece in pieces
    )
