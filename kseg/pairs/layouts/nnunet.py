"""nnU-Net's raw data: imagesTr/X_0000.png, labelsTr/X.png and dataset.json, for pictures of two dimensions."""

from __future__ import annotations

import dataclasses
import pathlib

from kseg.pairs.errors import PairError, printable
from kseg.pairs.layouts.class_files import read_dataset_json, read_json
from kseg.pairs.layouts.matching import file_in, find_images, find_masks, join, keep_ending, match, subfolder
from kseg.pairs.layouts.recognised import Recognised

FOLDERS = (("imagesTr", "labelsTr", ""), ("imagesTs", "labelsTs", "test"))


def recognise(root: pathlib.Path) -> Recognised | None:
    """A folder with imagesTr/, labelsTr/ and dataset.json.

    Raises:
        PairError: the pictures are volumes or have several files, or dataset.json is another.
    """
    table = file_in(root, "dataset.json")
    if not (table and subfolder(root, "imagesTr") and subfolder(root, "labelsTr")):
        return None
    content = read_json(table)
    _check_pictures(content, subfolder(root, "imagesTr"), table)
    listings, notes = [], []
    for images, masks, split in FOLDERS:
        pictures, labels = subfolder(root, images), subfolder(root, masks)
        if pictures and labels:
            found = keep_ending(find_images(pictures), "_0000")
            listing = match(found, find_masks(labels), split, lambda key, labels=labels: labels / f"{key}.png")
            listings.append(dataclasses.replace(listing, foreign_files=[]))
        elif pictures:
            notes.append(f"{pictures.name} has no {masks} and is left out.")
    return Recognised("nnU-Net, raw data", join(listings), root, read_dataset_json(table), tuple(notes))


def _check_pictures(content, folder, table):
    volume = next(
        (path for path in folder.iterdir() if path.name.lower().endswith((".nii", ".nii.gz", ".nrrd", ".mha"))), None
    )
    second = next(folder.glob("*_0001.*"), None)
    if volume or second:
        raise PairError(
            "unsupported_format",
            "Pictures must be one file of two dimensions each. Received: "
            + (
                f"volumes such as {printable(volume.name)}"
                if volume
                else f"several channels, such as {printable(second.name)}"
            ),
            printable(folder),
            "Write the slices, or the channels together, as PNG, and list them as images/ and masks/.",
        )
