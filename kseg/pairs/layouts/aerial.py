"""Aerial pictures: DeepGlobe (land cover and roads), LoveDA, and the tiles of ISPRS Potsdam.

train/1_sat.jpg + train/1_mask.png                                                DeepGlobe
Train/Urban/images_png/1.png + Train/Urban/masks_png/1.png, Rural/, Val/, Test/   LoveDA; 0 is void
2_Ortho_RGB/top_potsdam_2_10_RGB.tif + 5_Labels_all/top_potsdam_2_10_label.tif    Potsdam, colours
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib

from kseg.labels import voc_colour
from kseg.pairs.derived_masks import PureColours, Thresholded
from kseg.pairs.layouts.class_files import find_classes
from kseg.pairs.layouts.matching import find_images, find_masks, join, keep_ending, match, subfolder, subfolders
from kseg.pairs.layouts.recognised import Classes, Recognised
from kseg.pairs.listing import Pair
from kseg.pairs.split_names import split_of_name

LAND_COVER = Classes(
    (
        (0, "urban_land", (0, 255, 255)),
        (1, "agriculture_land", (255, 255, 0)),
        (2, "rangeland", (255, 0, 255)),
        (3, "forest_land", (0, 255, 0)),
        (4, "water", (0, 0, 255)),
        (5, "barren_land", (255, 255, 255)),
        (6, "unknown", (0, 0, 0)),
    ),
    "DeepGlobe land cover",
)
ROADS = Classes(((0, "background", (0, 0, 0)), (255, "road", (255, 255, 255))), "DeepGlobe roads")
LOVEDA = Classes(
    (
        (0, "no data", (0, 0, 0)),
        *(
            (value, name, voc_colour(value))
            for value, name in enumerate(
                ("background", "building", "road", "water", "barren", "forest", "agriculture"), start=1
            )
        ),
    ),
    "LoveDA",
    void=0,
)
ISPRS = Classes(
    (
        (0, "impervious surfaces", (255, 255, 255)),
        (1, "building", (0, 0, 255)),
        (2, "low vegetation", (0, 255, 255)),
        (3, "tree", (0, 255, 0)),
        (4, "car", (255, 255, 0)),
        (5, "clutter", (255, 0, 0)),
        (6, "boundary", (0, 0, 0)),
    ),
    "ISPRS 2D Semantic Labeling",
    void=6,
)


def recognise_deepglobe(root: pathlib.Path) -> Recognised | None:
    """Folders of files *_sat.* and *_mask.png."""
    if not root.is_dir():
        return None
    listings, notes = [], []
    for folder in (root, *subfolders(root).values()):
        if not next(folder.glob("*_sat.*"), None):
            continue
        pictures, masks = keep_ending(find_images(folder), "_sat"), find_masks(folder, ending="_mask")
        if masks.files:
            listing = match(pictures, masks, _split(folder.name), lambda key, f=folder: f / f"{key}_mask.png")
            listings.append(dataclasses.replace(listing, foreign_files=[]))
        else:
            notes.append(f"{folder.name} has no masks and is left out.")
    if not any(listing.pairs for listing in listings):
        return None
    listing, table = join(listings), find_classes(root)
    roads = table is None and "road" in root.as_posix().lower()
    roads = roads or (table is not None and {name.lower() for _, name, _ in table.rows} <= {"road", "background", "bg"})
    kind, levels = (Thresholded, "from 128 on") if roads else (PureColours, "in each channel from 128 on")
    listing = dataclasses.replace(
        listing, pairs=[dataclasses.replace(pair, mask=kind(pair.mask)) for pair in listing.pairs]
    )
    notes.append(f"Masks are read as 255 {levels}, below as 0, as their README says.")
    name = "DeepGlobe roads" if roads else "DeepGlobe land cover"
    return Recognised(name, listing, root, ROADS if roads else table or LAND_COVER, tuple(notes))


def _split(name) -> str:
    """The split of a folder; DeepGlobe publishes masks for train alone, so a hash splits that."""
    split = split_of_name(name) or ""
    return "" if split == "train" else split


def recognise_loveda(root: pathlib.Path) -> Recognised | None:
    """A folder with Train/Urban/images_png/ and masks_png/."""
    listings, notes = [], []
    for name, folder in subfolders(root).items():
        split = split_of_name(name)
        scenes = {scene: subfolder(folder, scene) for scene in ("Urban", "Rural")} if split else {}
        for scene, place in scenes.items():
            images, masks = (subfolder(place, kind) if place else None for kind in ("images_png", "masks_png"))
            if images and masks:
                listing = match(find_images(images), find_masks(masks), split, lambda key, m=masks: m / f"{key}.png")
                named = functools.partial(_in_scene, scene)
                listings.append(listing.map_pairs(named))
            elif images:
                notes.append(f"{folder.name}/{scene} has no masks and is left out.")
    return Recognised("LoveDA", join(listings), root, LOVEDA, tuple(notes)) if listings else None


def _in_scene(scene, pair) -> Pair:
    return dataclasses.replace(pair, key=f"{scene}/{pair.key}")


def recognise_potsdam(root: pathlib.Path) -> Recognised | None:
    """A folder with 2_Ortho_RGB/ and 5_Labels_all/."""
    return _potsdam(root, "RGB")


def recognise_potsdam_irrg(root: pathlib.Path) -> Recognised | None:
    """A folder with 3_Ortho_IRRG/ and 5_Labels_all/: infrared, red and green as channels."""
    return _potsdam(root, "IRRG")


def _potsdam(root, bands) -> Recognised | None:
    images = subfolder(root, f"2_Ortho_{bands}", f"3_Ortho_{bands}")
    for folder, ending in (
        ("5_Labels_all", "_label"),
        ("5_Labels_for_participants", "_label"),
        ("5_Labels_all_noBoundary", "_label_noBoundary"),
        ("5_Labels_for_participants_no_Boundary", "_label_noBoundary"),
    ):
        masks = subfolder(root, folder)
        if images and masks:
            found = find_masks(masks, ending=ending)
            pictures = keep_ending(find_images(images), f"_{bands}")
            listing = match(pictures, found, "", lambda key, m=masks, e=ending: m / f"{key}{e}.tif")
            listing = dataclasses.replace(listing, foreign_files=[])
            notes = (f"The masks are those of {masks.name}, the pictures those of {images.name}.",)
            return Recognised(f"ISPRS Potsdam, {bands}", listing, root, ISPRS, notes)
    return None
