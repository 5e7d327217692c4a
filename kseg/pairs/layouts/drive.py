"""DRIVE: training/images/21_training.tif, training/1st_manual/21_manual1.gif, and the same below test/.

The files in mask/ are fields of view, not labels.
"""

from __future__ import annotations

import dataclasses
import pathlib

from kseg.pairs.layouts.matching import find_images, find_masks, join, keep_ending, match, subfolder
from kseg.pairs.layouts.recognised import Classes, Recognised

TABLE = Classes(((0, "background", (0, 0, 0)), (255, "vessel", (255, 255, 255))), "DRIVE")
SPLITS = {"training": "train", "test": "test"}


def recognise(root: pathlib.Path) -> Recognised | None:
    """A folder with training/images/ and training/1st_manual/."""
    if not (subfolder(root, "training/images") and subfolder(root, "training/1st_manual")):
        return None
    listings, notes = [], ["mask/ holds fields of view, not labels, and is not read."]
    for name, split in SPLITS.items():
        images, masks = subfolder(root, f"{name}/images"), subfolder(root, f"{name}/1st_manual")
        if images and not masks:
            notes.append(f"{name} has no 1st_manual/ and is left out.")
        elif images:
            pictures, found = keep_ending(find_images(images), f"_{name}"), find_masks(masks, ending="_manual1")
            place = masks / "X_manual1.gif"
            listing = match(pictures, found, split, lambda key, place=place: place.with_name(f"{key}_manual1.gif"))
            listings.append(dataclasses.replace(listing, foreign_files=[]))
    return Recognised("DRIVE", join(listings), root, TABLE, tuple(notes))
