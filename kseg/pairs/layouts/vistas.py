"""Mapillary Vistas: training/images/X.jpg, training/v1.2/labels/X.png, config_v1.2.json, and likewise validation/ and v2.0."""

from __future__ import annotations

import pathlib

from kseg.pairs.layouts.class_files import read_vistas
from kseg.pairs.layouts.matching import file_in, find_images, find_masks, join, match, subfolder
from kseg.pairs.layouts.recognised import Recognised

SPLITS = {"training": "train", "validation": "validation"}


def recognise(root: pathlib.Path) -> Recognised | None:
    """A folder with training/images/ and config_v1.2.json or config.json: labels of version 1.2, or those beside the images."""
    return _recognise(root, "v1.2/labels", "config_v1.2.json") or _recognise(root, "labels", "config.json")


def recognise_v2(root: pathlib.Path) -> Recognised | None:
    """A folder with training/v2.0/labels/ and config_v2.0.json: the labels of version 2.0."""
    return _recognise(root, "v2.0/labels", "config_v2.0.json")


def _recognise(root, place, table) -> Recognised | None:
    config, listings, notes = file_in(root, table), [], []
    for name, split in SPLITS.items():
        images, masks = subfolder(root, f"{name}/images"), subfolder(root, f"{name}/{place}")
        if config and images and masks:
            listings.append(
                match(find_images(images), find_masks(masks), split, lambda key, masks=masks: masks / f"{key}.png")
            )
    if not listings:
        return None
    if subfolder(root, "testing"):
        notes.append("testing is left out: its labels are not published.")
    return Recognised(f"Mapillary Vistas, {place}", join(listings), root, read_vistas(config), tuple(notes))
