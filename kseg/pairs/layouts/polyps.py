"""Polyps: Kvasir-SEG (images/X.jpg, masks/X.jpg, kavsir_bboxes.json) and CVC-ClinicDB (Original/1.tif, Ground Truth/1.tif).

The masks of Kvasir-SEG are JPEG, so a threshold restores their two levels.
"""

from __future__ import annotations

import dataclasses
import pathlib

from kseg.pairs.derived_masks import Thresholded
from kseg.pairs.folder_files import find_files
from kseg.pairs.layouts.matching import file_in, find_images, find_masks, match, subfolder, without_junk
from kseg.pairs.layouts.recognised import Classes, Recognised
from kseg.pairs.listing import IMAGE_SUFFIXES

ROWS = ((0, "background", (0, 0, 0)), (255, "polyp", (255, 255, 255)))


def recognise_kvasir(root: pathlib.Path) -> Recognised | None:
    """A folder with images/, masks/ and kavsir_bboxes.json, or of the name Kvasir-SEG."""
    images, masks = subfolder(root, "images"), subfolder(root, "masks")
    known = file_in(root, "kavsir_bboxes.json", "kvasir_bboxes.json") or root.name.lower().startswith("kvasir")
    if not (images and masks and known):
        return None
    found = without_junk(find_files(masks, IMAGE_SUFFIXES))
    listing = match(find_images(images), found, "", lambda key: masks / f"{key}.jpg")
    pairs = [dataclasses.replace(pair, mask=Thresholded(pair.mask)) for pair in listing.pairs]
    note = "The masks are JPEG: from 128 on they are polyp, below background."
    return Recognised(
        "Kvasir-SEG", dataclasses.replace(listing, pairs=pairs), root, Classes(ROWS, "Kvasir-SEG"), (note,)
    )


def recognise_cvc(root: pathlib.Path) -> Recognised | None:
    """A folder with Original/ and Ground Truth/, or with both below TIF/ or PNG/."""
    for folder in (root, subfolder(root, "TIF"), subfolder(root, "PNG")):
        images = folder and subfolder(folder, "Original")
        masks = folder and subfolder(folder, "Ground Truth", "GroundTruth", "Ground_Truth")
        if images and masks:
            listing = match(find_images(images), find_masks(masks), "", lambda key, masks=masks: masks / f"{key}.tif")
            return Recognised("CVC-ClinicDB", listing, folder, Classes(ROWS, "CVC-ClinicDB"))
    return None
