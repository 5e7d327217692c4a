"""Several masks of one image, joined into one: of its objects, or of one class each. Standard library only.

    case7/images/a.png + case7/masks/1.png, 2.png, ...       objects, which become one class
    case7/image.png + case7/masks/liver.png, spleen.png      classes, by the names of the files
    images/a.png + masks/road/a.png, masks/tree/a.png        classes, by the names of the folders
    images/a.png + masks/a_road.png, masks/a_tree.png        classes, by what the names have more

A mask is 0 outside and has one other value inside.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import re

from kseg.labels import VOID, LabelMap, voc_colour
from kseg.pairs.derived_masks import JoinedMasks
from kseg.pairs.errors import PairError, printable
from kseg.pairs.layouts.class_files import find_classes, read_known_file
from kseg.pairs.layouts.matching import file_in
from kseg.pairs.layouts.named_files import Matched, Named, group_by_folder, list_matched, match_names
from kseg.pairs.layouts.recognised import Classes, Recognised
from kseg.pairs.layouts.words import MASK_WORDS
from kseg.pairs.listing import Fault, Listing, Pair
from kseg.pairs.other_formats import side_of

OBJECT = "object"
OBJECTS = Classes(((0, "background", (0, 0, 0)), (1, OBJECT, voc_colour(1))), "the layout: a mask an object")


def kinds_by_folder(files: list[Named]) -> dict[str, list[Named]]:
    """Files by the folder that tells them apart; nothing where it is one."""
    found = collections.defaultdict(list)
    for file in files:
        found[file.key.rpartition("/")[0].rpartition("/")[2]].append(file)
    return dict(found) if len(found) > 1 else {}


def join_objects(root: pathlib.Path, images: list[Named], masks: list[Named]) -> Recognised | None:
    """Folders of one image each and the masks of its objects, or of its classes where their names come again; else None.

    Args:
        root: of the data.
        images: files of images.
        masks: files of masks.
    """
    by_folder = {place: files for place, files in group_by_folder(images, masks).items() if place[1]}
    every = [files for files in by_folder.values() if files[0]]
    if sum(len(of_image) + len(of_mask) for of_image, of_mask in by_folder.values()) < len(images) + len(masks):
        return None
    if (
        len(every) < 2
        or any(len(of_image) != 1 for of_image, _ in every)
        or not any(len(files[1]) > 1 for files in every)
    ):
        return None
    if any(of_mask and not of_image for of_image, of_mask in by_folder.values()):
        return None
    names = _class_names([of_mask for _, of_mask in every])
    classes = _find_table(root, names) if names else OBJECTS
    numbers = _values(classes)
    pairs, faults = [], []
    for (split, place), (of_image, of_mask) in sorted(by_folder.items()):
        for image in of_image:
            sides = tuple((numbers.get(_name(mask), 1), side_of(mask.path)) for mask in of_mask)
            pair = Pair(place, split, side_of(image.path), JoinedMasks(sides, printable(image.path), binary=True))
            if of_mask:
                pairs.append(pair)
            else:
                faults.append(Fault(pair, _no_masks_error(image)))
    kind = "a mask for each class" if names else "a mask for each object"
    note = f"Each folder holds an image and {kind}; they are joined to one mask."
    return Recognised(f"a folder for each image with {kind}", Listing(pairs, faults), root, classes, (note,))


def _name(file: Named) -> str:
    return file.path.stem.lower()


def _class_names(cases: list[list[Named]]) -> list[str]:
    """The names of masks where they are words without numbers, each of which comes in several folders."""
    counts = collections.Counter(name for masks in cases for name in {_name(mask) for mask in masks})
    words = all(not re.search(r"[0-9]", name) and count > 1 for name, count in counts.items())
    return sorted(counts) if words and len(counts) < VOID else []


def _find_table(root: pathlib.Path, names: list[str]) -> Classes:
    """The table that lies in the folder, which must have these names; where there is none, the names in this order.

    Raises:
        PairError: the table lacks one.
    """
    path = file_in(root, "classes.csv")
    table = read_known_file(path) if path else find_classes(root)
    if path and table is None:
        labels = LabelMap.from_csv(path, void_is_class=True)
        table = Classes(tuple(zip(labels.values, labels.names, labels.colours, strict=True)), path.name)
    if table is None:
        rows = (
            (0, "background", (0, 0, 0)),
            *((value, name, voc_colour(value)) for value, name in enumerate(names, 1)),
        )
        return Classes(rows, "the layout: a mask a class", void=VOID)
    missing = [name for name in names if name.casefold() not in _values(table)]
    if missing:
        raise PairError(
            "two_tables",
            f"Masks of one class each must be named after classes of the table. Received: {', '.join(missing)}, which "
            f"{table.source} lacks",
            printable(root),
            "Rename the masks or the classes, or remove the table: then the classes are the masks in order of their names.",
        )
    taken = {value for value, _, _ in table.rows}
    return table if table.void is not None or VOID in taken else dataclasses.replace(table, void=VOID)


def _values(table: Classes) -> dict[str, int]:
    return {name.casefold(): value for value, name, _ in table.rows}


def join_classes(root: pathlib.Path, images: list[Named], masks: list[Named]) -> Recognised | None:
    """Images with a mask for each class, told by the last folder or by what its name has behind that of the image; or None.

    Masks of an image whose names end in numbers, as a_1.png and a_2.png, are of objects, which are one class.

    Args:
        root: of the data.
        images: files of images.
        masks: files of masks.

    Raises:
        PairError: a table of classes in the folder lacks one.
    """
    named = _named_by_folder(images, masks) or _named_by_suffix(images, masks)
    names = sorted({name for name, _, _ in named})
    if not names or len(names) >= VOID:
        return None
    classes = OBJECTS if names == [OBJECT] else _find_table(root, names)
    values, of_image = _values(classes), collections.defaultdict(list)
    for name, image, mask in named:
        of_image[image].append((values[name.casefold()], side_of(mask.path)))
    left = list_matched(Matched([], [image for image in images if image not in of_image], []))
    pairs = [
        Pair(image.key, image.split, side_of(image.path), JoinedMasks(tuple(sides), printable(image.path), binary=True))
        for image, sides in of_image.items()
    ]
    used = {mask for _, _, mask in named}
    unused = sorted(mask.path for mask in masks if mask not in used)
    notes = ["Pixels of several classes are void, pixels of none are background."]
    fewer = sum(len({value for value, _ in sides}) < len(names) for sides in of_image.values())
    if fewer:
        notes.append(f"{fewer} images lack the mask of a class, which is taken for absent there.")
    kind = "one mask for each object" if names == [OBJECT] else "one mask for each class"
    return Recognised(kind, Listing(pairs, left.faults, unused), root, classes, tuple(notes))


def _named_by_folder(images, masks) -> list[tuple[str, Named, Named]]:
    """Class, image and mask, where the last folders of masks are classes; nothing where they do not pair so."""
    found = []
    for folder, files in sorted(kinds_by_folder(masks).items()):
        by_path = {file.path: file for file in files}
        without = [Named(file.split, _without_last_folder(file.key), file.path) for file in files]
        try:
            matched = match_names(images, without)
        except PairError:
            return []
        name = re.sub(r"^[0-9]+[.)_\- ]+", "", folder) or folder
        found += [(name, image, by_path[mask.path]) for image, mask in matched.pairs]
    return found


def _named_by_suffix(images, masks) -> list[tuple[str, Named, Named]]:
    """Class, image and mask, where the names of masks are those of images with a suffix more, which is none for all."""
    by_address, found = {image.address: image for image in images}, []
    for mask in masks:
        bounds = [match.start() for match in re.finditer(r"[_\-. ]+", mask.address)]
        base = next((mask.address[:bound] for bound in reversed(bounds) if mask.address[:bound] in by_address), None)
        if base:
            suffix = mask.address[len(base) :].strip("_-. ")
            name = re.sub(r"[_\-. ]*[0-9]+$", "", suffix)
            found.append((name if name.casefold() not in MASK_WORDS and name else OBJECT, by_address[base], mask))
    return found


def _without_last_folder(key: str) -> str:
    folders, _, name = key.rpartition("/")
    above = folders.rpartition("/")[0]
    return f"{above}/{name}" if above else name


def _no_masks_error(image: Named) -> PairError:
    return PairError(
        "missing_mask",
        "Every image must have a mask. Received: none in its folder",
        printable(image.path),
        "Add the masks, or remove the image.",
    )
