"""The layout images/ and masks/: a mask has the path of its image, except the suffix. Standard library only.

    images/<split>/<key>.jpg + masks/<split>/<key>.png         splits by their names; see `kseg.pairs.split_names`
    images/train_<key>.jpg + masks/train_<key>.png             likewise, where every file name has the name of a split
    images/<key>.jpg + masks/<key>.png                         split by a hash of the key

An image that cannot be paired is a fault of its pair; a missing or empty folder is an error, and so are a few folders that may be
splits of unknown names, since a hash would mix them.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re

from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import FolderFiles, check_inside, find_files, keep_lossy_masks, walk_files
from kseg.pairs.layouts.class_files import find_classes
from kseg.pairs.layouts.implied_splits import (
    MAX_UNKNOWN_SPLITS,
    split_by_file_names,
    two_folders_error,
    unknown_splits_error,
)
from kseg.pairs.layouts.matching import join, match, without_junk
from kseg.pairs.layouts.recognised import Recognised
from kseg.pairs.listing import IMAGE_SUFFIXES, MASK_SUFFIXES, Listing
from kseg.pairs.split_names import KNOWN, split_of_name


def recognise(root: pathlib.Path) -> Recognised | None:
    """A folder with images/.

    Raises:
        PairError: a folder is missing, empty or of an unknown split, or no image has a mask.
    """
    if not (root / "images").is_dir():
        return None
    return Recognised("images/ and masks/", list_folders(root), root, find_classes(root))


def list_folders(root: pathlib.Path) -> Listing:
    """Lists the pairs of root/images and root/masks, with or without folders of splits.

    Raises:
        PairError: a folder is missing, empty or of an unknown split, or no image has a mask.
    """
    images, masks = root / "images", root / "masks"
    check_inside(images)
    check_inside(masks)
    entries = [images / name for name in sorted(os.listdir(images)) if not name.startswith(".")]
    folders = [entry for entry in entries if entry.is_dir()]
    if not any(split_of_name(folder.name) for folder in folders):
        _refuse_unknown_splits(entries, folders)
        return split_by_file_names(_match(images, masks, ""))
    listings, used, unused = [], set(), []
    for folder, split in _split_folders(folders).items():
        mask_folder = _mask_folder(masks, folder, split)
        if split == "test" and masks.is_dir() and not mask_folder.is_dir():  # masks of test sets are often kept back
            unused.append(printable(folder))
            continue
        used.add(mask_folder.name)
        listings.append(_match(folder, mask_folder, split))
    foreign = [entry for entry in entries if entry not in folders]
    foreign += [path for path in walk_files(masks) if path.relative_to(masks).parts[0] not in used]
    listing = join(listings)
    return dataclasses.replace(listing, foreign_files=[*foreign, *listing.foreign_files], unused_splits=unused)


def _split_folders(folders) -> dict[pathlib.Path, str]:
    """The split of each folder; every folder must be one, and each another."""
    found = {}
    for folder in folders:
        split = split_of_name(folder.name)
        if split is None:
            raise PairError(
                "unknown_split",
                "Next to folders of splits there must be no other folder. Received: one of another name",
                printable(folder),
                f"Rename it, or move it into {' or '.join(other.name for other in folders if split_of_name(other.name))}; known "
                f"are {KNOWN}.",
            )
        if split in found.values():
            first = next(other for other, known in found.items() if known == split)
            raise two_folders_error([first.name, folder.name], split, folder.parent)
        found[folder] = split
    return found


def _mask_folder(masks, image_folder, split) -> pathlib.Path:
    """The folder of masks of the same name, or else the only one of the same split."""
    same = masks / image_folder.name
    if same.is_dir() or not masks.is_dir():
        return same
    others = [path for path in masks.iterdir() if path.is_dir() and split_of_name(path.name) == split]
    return others[0] if len(others) == 1 else same


def _refuse_unknown_splits(entries, folders):
    """Raises an error if all images lie in a few folders, which may be splits."""
    loose = [entry for entry in entries if entry not in folders and entry.suffix.lower() in IMAGE_SUFFIXES]
    if loose or not 2 <= len(folders) <= MAX_UNKNOWN_SPLITS:
        return
    options = ("--images", "images/**/*", "--masks", "masks/**/*")
    raise unknown_splits_error([folder.name for folder in folders], folders[0].parent, options)


def _match(image_folder, mask_folder, split) -> Listing:
    """The pairs whose image and mask have the same key."""
    images = _require_files(image_folder, IMAGE_SUFFIXES)
    masks = keep_lossy_masks(_require_files(mask_folder, MASK_SUFFIXES))
    listing = match(images, masks, split, lambda key: mask_folder / f"{key}.png", missing=_missing_mask_error)
    if not listing.pairs and images.files and not masks.faults:
        raise _no_mask_error(images.files, mask_folder)
    return listing


def _cure_of_coco(root) -> str:
    """Where JSON files beside images/ belong, if they hold the polygons; "" where there are none."""
    names = [name for name in sorted(os.listdir(root)) if name.lower().endswith(".json")] if root.is_dir() else []
    if not names:
        return ""
    listed = ", ".join(map(printable, names[:3])) + (", ..." if len(names) > 3 else "")
    return f" If there are polygons as COCO has them in {listed}, move each to annotations/instances_NAME.json."


def _require_files(folder, suffixes) -> FolderFiles:
    """The files of a folder, which must not be empty."""
    if not folder.is_dir():
        raise PairError(
            "no_folder",
            "Images and masks must lie in folders of the same names. Received: no such folder",
            printable(folder),
            f"Add the folder; the masks of images/<split> belong in masks/<split>.{_cure_of_coco(folder.parent)}",
        )
    found = without_junk(find_files(folder, suffixes))
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
    of_image = re.compile(re.escape(image.stem) + r"[\W_].*")
    several = [path for path in walk_files(masks) if of_image.fullmatch(path.stem)]
    if len(several) > 1:
        return PairError(
            "several_masks",
            f"Each image must have one mask of its name. Received: {', '.join(printable(path.name) for path in several[:3])}",
            printable(image),
            "If each is of a class, or of an object where the names end in numbers, add --layout class-folders to the command; "
            "otherwise write one mask for each image, with a value for each class.",
        )
    above = masks if masks.name == "masks" else masks.parent
    found = (
        path
        for path in walk_files(above)
        if path.stem == image.stem
        and (masks in path.parents or split_of_name(path.relative_to(above).parts[0]) is None)
    )
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
