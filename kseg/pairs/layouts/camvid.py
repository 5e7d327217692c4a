"""CamVid: as the university publishes it, as it lies on Kaggle, and in the selection of the SegNet tutorial.

701_StillsRaw_full/X.png + LabeledApproved_full/X_L.png, label_colors.txt         colours; split by a hash
train/X.png + train_labels/X_L.png, val/, val_labels/, ..., class_dict.csv        colours
train/X.png + trainannot/X.png, val/, valannot/, test/, testannot/                values of 11 classes, 11 is void
"""

from __future__ import annotations

import pathlib

from kseg.pairs.layouts.class_files import find_classes
from kseg.pairs.layouts.matching import find_images, find_masks, join, match, subfolder
from kseg.pairs.layouts.recognised import Classes, Recognised
from kseg.pairs.listing import Listing

SOURCE = "CamVid (Brostow et al. 2009)"
COLOURS = Classes(
    tuple(
        (value, name, colour)
        for value, (name, colour) in enumerate(
            {
                "Animal": (64, 128, 64),
                "Archway": (192, 0, 128),
                "Bicyclist": (0, 128, 192),
                "Bridge": (0, 128, 64),
                "Building": (128, 0, 0),
                "Car": (64, 0, 128),
                "CartLuggagePram": (64, 0, 192),
                "Child": (192, 128, 64),
                "Column_Pole": (192, 192, 128),
                "Fence": (64, 64, 128),
                "LaneMkgsDriv": (128, 0, 192),
                "LaneMkgsNonDriv": (192, 0, 64),
                "Misc_Text": (128, 128, 64),
                "MotorcycleScooter": (192, 0, 192),
                "OtherMoving": (128, 64, 64),
                "ParkingBlock": (64, 192, 128),
                "Pedestrian": (64, 64, 0),
                "Road": (128, 64, 128),
                "RoadShoulder": (128, 128, 192),
                "Sidewalk": (0, 0, 192),
                "SignSymbol": (192, 128, 128),
                "Sky": (128, 128, 128),
                "SUVPickupTruck": (64, 128, 192),
                "TrafficCone": (0, 0, 64),
                "TrafficLight": (0, 64, 64),
                "Train": (192, 64, 128),
                "Tree": (128, 128, 0),
                "Truck_Bus": (192, 128, 192),
                "Tunnel": (64, 0, 64),
                "VegetationMisc": (192, 192, 0),
                "Void": (0, 0, 0),
                "Wall": (64, 192, 0),
            }.items()
        )
    ),
    f"{SOURCE}, label_colors.txt",
)
ELEVEN = Classes(
    (
        (0, "Sky", (128, 128, 128)),
        (1, "Building", (128, 0, 0)),
        (2, "Pole", (192, 192, 128)),
        (3, "Road", (128, 64, 128)),
        (4, "Pavement", (60, 40, 222)),
        (5, "Tree", (128, 128, 0)),
        (6, "SignSymbol", (192, 128, 128)),
        (7, "Fence", (64, 64, 128)),
        (8, "Car", (64, 0, 128)),
        (9, "Pedestrian", (64, 64, 0)),
        (10, "Bicyclist", (0, 128, 192)),
        (11, "Unlabelled", (0, 0, 0)),
    ),
    f"{SOURCE}, the 11 classes of the SegNet tutorial",
)
SPLITS = {"train": "train", "val": "validation", "test": "test"}


def recognise(root: pathlib.Path) -> Recognised | None:
    """A folder with LabeledApproved_full/, with train_labels/ of masks *_L.png, or with trainannot/."""
    images = subfolder(root, "701_StillsRaw_full", "701_StillsRaw_full/701_StillsRaw_full")
    masks = subfolder(root, "LabeledApproved_full", "LabeledApproved_full/LabeledApproved_full")
    if images and masks:
        listing = _pairs(images, masks, "", "_L")
        return Recognised("CamVid as downloaded", listing, root, find_classes(root) or COLOURS)
    for name, suffix, ending, classes in (
        ("CamVid as on Kaggle", "_labels", "_L", find_classes(root) or COLOURS),
        ("CamVid of the SegNet tutorial", "annot", "", ELEVEN),
    ):
        places = [(subfolder(root, split), subfolder(root, split + suffix), SPLITS[split]) for split in SPLITS]
        listings = [_pairs(*place, ending) for place in places if place[0] and place[1]]
        if any(listing.pairs for listing in listings):
            missing = [folder.name for folder, masks, _ in places if folder and not masks]
            notes = tuple(f"{folder} has no masks and is left out." for folder in missing)
            return Recognised(name, join(listings), root, classes, notes)
    return None


def _pairs(images, masks, split, ending) -> Listing:
    found = find_masks(masks, ending=ending)
    return match(find_images(images), found, split, lambda key: masks / f"{key}{ending}.png")
