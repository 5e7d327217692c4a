"""Oxford-IIIT Pet: images/X.jpg, annotations/trimaps/X.png of 1 to 3, and the lists annotations/trainval.txt and test.txt."""

from __future__ import annotations

import dataclasses
import pathlib

from kseg.pairs.layouts.matching import file_in, find_images, find_masks, match, read_lines, subfolder
from kseg.pairs.layouts.recognised import Classes, Recognised
from kseg.pairs.listing import TRAIN_OR_VALIDATION

TABLE = Classes(
    ((1, "pet", (128, 0, 0)), (2, "background", (0, 0, 0)), (3, "border", (224, 224, 192))),
    "Oxford-IIIT Pet (annotations/README)",
)
LISTS = {"trainval.txt": TRAIN_OR_VALIDATION, "test.txt": "test"}


def recognise(root: pathlib.Path) -> Recognised | None:
    """A folder with images/ and annotations/trimaps/."""
    images, masks = subfolder(root, "images"), subfolder(root, "annotations/trimaps")
    if not (images and masks):
        return None
    listing = match(find_images(images), find_masks(masks), "", lambda key: masks / f"{key}.png")
    splits = {}
    for name, split in LISTS.items():
        if path := file_in(masks.parent, name):
            splits |= {line.split()[0]: split for line in read_lines(path) if not line.startswith("#")}
    if not splits:
        return Recognised("Oxford-IIIT Pet", listing, root, TABLE, ("There are no lists of splits.",))

    def assign(pair):
        return dataclasses.replace(pair, split=splits[pair.key]) if pair.key in splits else None

    listed = listing.map_pairs(assign)
    left_out = len(listing.pairs) - len(listed.pairs)
    notes = ["Validation is drawn from trainval by a hash."]
    if left_out:
        notes.append(f"{left_out} pairs are in neither trainval.txt nor test.txt and are left out.")
    return Recognised("Oxford-IIIT Pet", listed, root, TABLE, tuple(notes))
