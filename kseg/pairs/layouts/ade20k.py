"""ADE20K of the scene parsing benchmark: images/training/ADE_train_X.jpg and annotations/training/ADE_train_X.png; 0 is void."""

from __future__ import annotations

import pathlib
import re

from kseg.labels import voc_colour
from kseg.pairs.layouts.matching import file_in, find_images, find_masks, join, match, read_lines, subfolder
from kseg.pairs.layouts.recognised import Classes, Recognised

SPLITS = {"training": "train", "validation": "validation"}
_TEXT = """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth, door, table,
mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug, field, armchair, seat, fence,
desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard, chest of drawers, counter, sand, sink,
skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool table, pillow, screen door, stairway,
river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench, countertop, stove, palm, kitchen island,
computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, light, truck, tower, chandelier, awning, streetlight,
booth, television receiver, airplane, dirt track, apparel, pole, land, bannister, escalator, ottoman, bottle, buffet, poster,
stage, van, ship, fountain, conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall, tent,
bag, minibike, cradle, oven, ball, food, step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen,
blanket, sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate, monitor, bulletin board,
shower, radiator, glass, clock, flag
"""
NAMES = tuple(name.strip() for name in _TEXT.split(","))
"""The first synonym of each of the 150 classes in objectInfo150.txt of the scene parsing benchmark, in its order."""

COUNT = len(NAMES)
TABLE = Classes(
    ((0, "other", (0, 0, 0)), *((value, name, voc_colour(value)) for value, name in enumerate(NAMES, start=1))),
    "ADE20K (objectInfo150.txt)",
    void=0,
)


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
    """The names of objectInfo150.txt, where it comes with the data; else those of `TABLE`."""
    table = file_in(root, "objectInfo150.txt", "objectInfo150.csv")
    names = dict(enumerate(NAMES, start=1))
    for line in read_lines(table) if table else []:
        number, last = re.match(r"\d*", line)[0], line.rpartition("\t" if "\t" in line else ",")[2]
        if number:
            names[int(number)] = re.split("[,;]", last)[0].strip()  # the first synonym
    if not table:
        return TABLE
    rows = [(value, names[value], voc_colour(value)) for value in range(1, COUNT + 1)]
    return Classes(((0, "other", (0, 0, 0)), *rows), table.name, void=0)
