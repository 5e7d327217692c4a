"""Carvana: train/X.jpg and train_masks/X_mask.gif; nothing else has masks, so a hash splits train."""

from __future__ import annotations

import dataclasses
import pathlib

from kseg.pairs.layouts.matching import find_images, find_masks, match, subfolder
from kseg.pairs.layouts.recognised import Classes, Recognised

TABLE = Classes(((0, "background", (0, 0, 0)), (255, "car", (255, 255, 255))), "Carvana")
IMAGES = ("train", "train_hq", "train/train", "train_hq/train_hq")


def recognise(root: pathlib.Path) -> Recognised | None:
    """A folder with train/ and train_masks/ of files *_mask.gif."""
    masks = subfolder(root, "train_masks/train_masks", "train_masks")
    images = next((folder for name in reversed(IMAGES) if (folder := subfolder(root, name))), None)
    found = find_masks(masks, ending="_mask") if masks and images else None
    if found is None or not any(path.suffix.lower() == ".gif" for path in found.files.values()):
        return None
    listing = match(find_images(images), found, "", lambda key: masks / f"{key}_mask.gif")
    notes = tuple(f"{name} has no masks and is left out." for name in ("test", "test_hq") if subfolder(root, name))
    return Recognised("Carvana", dataclasses.replace(listing, foreign_files=[]), root, TABLE, notes)
