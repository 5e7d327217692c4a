"""Cityscapes: leftImg8bit/<split>/<city>/X_leftImg8bit.png and gtFine/<split>/<city>/X_gtFine_labelTrainIds.png or _labelIds.png.

The masks of label ids hold 34 values, of which 19 are classes of the benchmark and the others are void; read by this module's
table, they give the ids of the masks of train ids. A split without usable masks, such as test, is left out.
"""

from __future__ import annotations

import dataclasses
import pathlib

from kseg.pairs.derived_masks import RenamedValues
from kseg.pairs.layouts.matching import find_images, find_masks, join, keep_ending, match, subfolder, subfolders
from kseg.pairs.layouts.recognised import Classes, Recognised
from kseg.pairs.listing import Listing, Pair
from kseg.pairs.split_names import split_of_name

VOID = 255
CLASSES = {  # id of the benchmark's evaluation: label id, name, colour
    0: (7, "road", (128, 64, 128)),
    1: (8, "sidewalk", (244, 35, 232)),
    2: (11, "building", (70, 70, 70)),
    3: (12, "wall", (102, 102, 156)),
    4: (13, "fence", (190, 153, 153)),
    5: (17, "pole", (153, 153, 153)),
    6: (19, "traffic light", (250, 170, 30)),
    7: (20, "traffic sign", (220, 220, 0)),
    8: (21, "vegetation", (107, 142, 35)),
    9: (22, "terrain", (152, 251, 152)),
    10: (23, "sky", (70, 130, 180)),
    11: (24, "person", (220, 20, 60)),
    12: (25, "rider", (255, 0, 0)),
    13: (26, "car", (0, 0, 142)),
    14: (27, "truck", (0, 0, 70)),
    15: (28, "bus", (0, 60, 100)),
    16: (31, "train", (0, 80, 100)),
    17: (32, "motorcycle", (0, 0, 230)),
    18: (33, "bicycle", (119, 11, 32)),
}
TABLE = Classes(
    tuple((value, name, colour) for value, (_, name, colour) in CLASSES.items()),
    "Cityscapes (cityscapesscripts/helpers/labels.py)",
    VOID,
)
LABEL_IDS = (*((label, value) for value, (label, _, _) in CLASSES.items()), *((v, VOID) for v in (*range(7), 9, 10)),
             *((v, VOID) for v in (14, 15, 16, 18, 29, 30, 255)))  # fmt: skip
"""What the label ids become."""


LABEL_ID_TABLE = Classes(
    (
        *((label, name, colour) for label, name, colour in CLASSES.values()),
        *((label, "void", (0, 0, 0)) for label, value in LABEL_IDS if value == VOID),
    ),
    "Cityscapes label ids (cityscapesscripts/helpers/labels.py)",
    VOID,
)
"""The same classes for masks of label ids, whose other values are void."""


def recognise(root: pathlib.Path) -> Recognised | None:
    """A folder with leftImg8bit/ and gtFine/: train ids where there are any, else label ids."""
    return recognise_train_ids(root) or recognise_label_ids(root)


def recognise_train_ids(root: pathlib.Path) -> Recognised | None:
    """The masks X_gtFine_labelTrainIds.png."""
    return _recognise(root, "labelTrainIds")


def recognise_label_ids(root: pathlib.Path) -> Recognised | None:
    """The masks X_gtFine_labelIds.png, whose values become train ids."""
    found = _recognise(root, "labelIds")
    if found is None:
        return None
    pairs = [_renamed(pair) for pair in found.listing.pairs]
    return dataclasses.replace(found, listing=dataclasses.replace(found.listing, pairs=pairs))


def _renamed(pair: Pair) -> Pair:
    return dataclasses.replace(pair, mask=RenamedValues(pair.mask, LABEL_IDS))


def _recognise(root, kind) -> Recognised | None:
    images = subfolder(root, "leftImg8bit", "leftImg8bit_trainvaltest/leftImg8bit")
    masks = subfolder(root, "gtFine", "gtFine_trainvaltest/gtFine")
    if not (images and masks):
        return None
    listings, notes = [], []
    for name, folder in subfolders(images).items():
        split = split_of_name(name)
        listing = _list_split(folder, masks / folder.name, split, kind) if split else None
        if split == "test":
            notes.append(f"{folder.name} is left out: the masks of its images are not published.")
        elif listing and listing.pairs:
            listings.append(listing)
        else:
            notes.append(f"{folder.name} is left out: it has no masks *_{kind}.png.")
    if not listings:
        return None
    return Recognised(f"Cityscapes, {kind}", join(listings), root, TABLE, tuple(notes))


def _list_split(images, masks, split, kind) -> Listing | None:
    if not masks.is_dir():
        return None
    ending = f"_gtFine_{kind}"
    pictures, found = keep_ending(find_images(images), "_leftImg8bit"), find_masks(masks, ending=ending)
    listing = match(pictures, found, split, lambda key: masks / f"{key}{ending}.png")
    return dataclasses.replace(listing, foreign_files=[])  # colours, instances and polygons lie beside the masks
