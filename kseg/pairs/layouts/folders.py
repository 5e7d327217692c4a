"""The layout images/ and masks/: a mask has the path of its image, except the suffix. Standard library only.

    images/<split>/<key>.jpg + masks/<split>/<key>.png         splits train, val (or validation) and test
    images/<key>.jpg + masks/<key>.png                         split by a hash of the key

An image that cannot be paired is a fault of its pair; a missing or empty folder is an error.
"""

from __future__ import annotations

import os
import pathlib

from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import FolderFiles, find_files, walk_files
from kseg.pairs.layouts.recognised import Recognised
from kseg.pairs.listing import IMAGE_SUFFIXES, MASK_SUFFIXES, SPLITS, Fault, Listing, Pair
from kseg.pairs.sides import PlainFile


def recognise(root: pathlib.Path) -> Recognised | None:
    """A folder with images/.

    Raises:
        PairError: a folder is missing, empty or of an unknown split, or no image has a mask.
    """
    return Recognised("images/ and masks/", list_folders(root), root) if (root / "images").is_dir() else None


def list_folders(root: pathlib.Path) -> Listing:
    """Lists the pairs of root/images and root/masks, with or without folders of splits.

    Raises:
        PairError: a folder is missing, empty or of an unknown split, or no image has a mask.
    """
    images, masks = root / "images", root / "masks"
    entries = [images / name for name in sorted(os.listdir(images)) if not name.startswith(".")]
    if not any(entry.is_dir() and entry.name in SPLITS for entry in entries):
        return _match(images, masks, "")
    listings, foreign, splits = [], [], {entry.name for entry in entries}
    for entry in entries:
        if entry.name in SPLITS and entry.is_dir():
            listings.append(_match(entry, masks / entry.name, SPLITS[entry.name]))
        elif entry.is_dir():
            raise PairError(
                "unknown_split",
                "Next to folders of splits there must be no other folder. Received: one of another name",
                printable(entry),
                f"Move it into one of {', '.join(SPLITS)}, or rename it to one of them.",
            )
        else:
            foreign.append(entry)
    foreign += [path for path in walk_files(masks) if path.relative_to(masks).parts[0] not in splits]
    return Listing(
        pairs=[pair for listing in listings for pair in listing.pairs],
        faults=[fault for listing in listings for fault in listing.faults],
        unused_masks=[path for listing in listings for path in listing.unused_masks],
        foreign_files=[*foreign, *(path for listing in listings for path in listing.foreign_files)],
    )


def _match(image_folder, mask_folder, split) -> Listing:
    """The pairs whose image and mask have the same key."""
    images = _require_files(image_folder, IMAGE_SUFFIXES)
    masks = _require_files(mask_folder, MASK_SUFFIXES)
    pairs, faults = [], []
    for key, (image, error) in images.faults.items():
        faults.append(Fault(_pair(key, split, image, mask_folder / f"{key}.png"), error))
    for key, image in images.files.items():
        if key in masks.files:
            pairs.append(_pair(key, split, image, masks.files[key]))
        elif key in masks.faults:
            mask, error = masks.faults[key]
            faults.append(Fault(_pair(key, split, image, mask), error))
        else:
            mask = mask_folder / f"{key}.png"
            faults.append(Fault(_pair(key, split, image, mask), _missing_mask_error(image, mask)))
    if not pairs and images.files and not masks.faults:
        raise _no_mask_error(images.files, mask_folder)
    masks_by_key = masks.files | {key: path for key, (path, _) in masks.faults.items()}
    unused = [path for key, path in masks_by_key.items() if key not in images.files and key not in images.faults]
    return Listing(pairs, faults, sorted(unused), [*images.foreign, *masks.foreign])


def _pair(key, split, image, mask) -> Pair:
    return Pair(key, split, PlainFile(image), PlainFile(mask))


def _require_files(folder, suffixes) -> FolderFiles:
    """The files of a folder, which must not be empty."""
    if not folder.is_dir():
        raise PairError(
            "no_folder",
            "Images and masks must lie in folders of the same names. Received: no such folder",
            printable(folder),
            "Add the folder; the masks of images/<split> belong in masks/<split>.",
        )
    found = find_files(folder, suffixes)
    if not found.files and not found.faults:
        raise PairError(
            "empty_folder",
            f"A folder of pairs must not be empty. Received: no {' or '.join(suffixes)} in it",
            printable(folder),
            "Add pairs, or remove the folder.",
        )
    return found


def _missing_mask_error(image, mask) -> PairError:
    return PairError(
        "missing_mask",
        f"Every image must have a mask of the same name. Received: no {printable(mask)}",
        printable(image),
        "Add the mask, remove the image, or list pairs with different names in a CSV file.",
    )


def _no_mask_error(images, masks) -> PairError:
    """The error that no image has a mask; it names a file with the right name elsewhere, if there is one."""
    image = next(iter(images.values()))
    above = masks if masks.name == "masks" else masks.parent
    others = {above / split for split in SPLITS} - {masks}
    found = (path for path in walk_files(above) if path.stem == image.stem and not others & set(path.parents))
    elsewhere = next(found, None)
    cure = "Give images and masks the same names, or list the pairs in a CSV file."
    if elsewhere:
        cure = (
            f"Found {printable(elsewhere)}: put masks into the same folders as images, or list the pairs in a CSV file."
        )
    return PairError(
        "missing_mask",
        f"Every image must have a mask of the same name. Received: none of {len(images)} has one below {printable(masks)}",
        printable(image),
        cure,
    )
