"""ADE20K of the scene parsing benchmark: images/training/ADE_train_X.jpg and annotations/training/ADE_train_X.png; 0 is void."""

from __future__ import annotations

import pathlib
import re

from kseg.labels import voc_colour
from kseg.pairs.layouts.matching import file_in, find_images, find_masks, join, match, read_lines, subfolder
from kseg.pairs.layouts.recognised import Classes, Recognised

SPLITS = {"training": "train", "validation": "validation"}
COUNT = 150


def recognise(root: pathlib.Path) -> Recognised | None:
    """A folder with images/training/ and annotations/training/ of files ADE_*."""
    listings = []
    for name, split in SPLITS.items():
        images, masks = subfolder(root, f"images/{name}"), subfolder(root, f"annotations/{name}")
        if images and masks and next(images.glob("ADE_*"), None):
            found = find_masks(masks)
            listings.append(match(find_images(images), found, split, lambda key, masks=masks: masks / f"{key}.png"))
    if not listings:
        return None
    return Recognised("ADE20K, scene parsing", join(listings), root, _classes(root))


def _classes(root) -> Classes:
    """The names of objectInfo150.txt, which comes with the data; numbers where it is missing."""
    table, names = file_in(root, "objectInfo150.txt", "objectInfo150.csv"), {}
    for line in read_lines(table) if table else []:
        cells = re.split(r"\t+|,", line)
        if cells[0].isdigit():
            names[int(cells[0])] = cells[-1].split(",")[0].split(";")[0].strip()
    rows = [(value, names.get(value, f"class {value}"), voc_colour(value)) for value in range(1, COUNT + 1)]
    source = table.name if table else "ADE20K, without the names of objectInfo150.txt"
    return Classes(((0, "other", (0, 0, 0)), *rows), source, void=0)
