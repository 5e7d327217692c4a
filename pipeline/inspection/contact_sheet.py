"""A contact sheet: pairs side by side, the outlines of each mask over its image, so that one sees whether masks fit.

numpy and Pillow only. Panels are reduced or enlarged to one box; outlines are drawn at the size of the panel, so they stay thin.
"""

from __future__ import annotations

import random
import typing

import numpy as np
from PIL import Image

from kseg.labels import VOID, LabelMap
from kseg.pictures import pillow_picture
from kseg.plots.contact_sheets import Panels, arrange, panel_size
from kseg.plots.overlays import PAPER, legend

VOID_SHADES, VOID_SQUARE = (96, 160), 8
VOID_MARK = (1, 2, 3)  # in a legend, until the checks are drawn there


class Shown(typing.NamedTuple):
    """A pair to draw: its name, image (H, W, C) and label map (H, W) of ids, uint8, 255 where void."""

    name: str
    image: np.ndarray
    label_map: np.ndarray


def choose(positions: list[int], splits: list[str], limit: int, seed: int) -> list[int]:
    """Positions of the pairs to show: the splits in turn, at random, then in order.

    Args:
        positions: of the usable pairs.
        splits: of each.
        limit: how many are shown.
        seed: of the choice.
    """
    draw, members = random.Random(seed), {}
    for position, split in sorted(zip(positions, splits, strict=True)):
        members.setdefault(split, []).append(position)
    for group in members.values():
        draw.shuffle(group)
    turns = [(number, split, position) for split, group in members.items() for number, position in enumerate(group)]
    return sorted(position for _, _, position in sorted(turns)[:limit])


def draw_sheet(pairs: list[Shown], labels: LabelMap, title: str) -> Image.Image:
    """Draws the sheet.

    Args:
        pairs: at least one.
        labels: the classes.
        title: line above the pairs.

    Returns:
        An RGB picture.
    """
    panels = [
        Panels(f"{pair.name}   {pair.label_map.shape[1]}x{pair.label_map.shape[0]}", *draw_panels(pair, labels))
        for pair in pairs
    ]
    return arrange(panels, title, lambda width: _with_checks(legend(_entries(pairs, labels), width)))


def draw_panels(pair: Shown, labels: LabelMap) -> tuple[Image.Image, Image.Image]:
    """The image with the outlines of its mask, and the mask in the colours of its classes, both of one size."""
    size = panel_size(*pair.label_map.shape)
    picture = pillow_picture(pair.image).convert("RGB")
    smooth = Image.Resampling.BOX if size[0] < pair.label_map.shape[1] else Image.Resampling.NEAREST
    image = np.array(picture.resize(size, smooth))
    ids = np.asarray(Image.fromarray(pair.label_map).resize(size, Image.Resampling.NEAREST))
    colours = labels.colour(ids)
    colours[ids == VOID] = _checks(size)[ids == VOID]
    return Image.fromarray(_outlined(image, ids, colours)), Image.fromarray(colours)


def _outlined(image: np.ndarray, ids: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The image with a line in the colour of its class, brightened, on either side of each change of class."""
    across, down = ids[:, 1:] != ids[:, :-1], ids[1:] != ids[:-1]
    edge = np.zeros(ids.shape, bool)
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    bright = colours.astype(int) * 255 // np.maximum(colours.max(axis=-1, keepdims=True), 1)
    return np.where(edge[..., None], bright, image).astype(np.uint8)


def _with_checks(key: Image.Image) -> Image.Image:
    """The legend with the pattern of void where its patch is."""
    pixels = np.array(key)
    mark = (pixels == VOID_MARK).all(axis=-1)
    pixels[mark] = _checks(key.size)[mark]
    return Image.fromarray(pixels)


def _checks(size: tuple[int, int]) -> np.ndarray:
    """The pattern of void, (height, width, 3), which no class has."""
    width, height = size
    rows, columns = np.arange(height)[:, None] // VOID_SQUARE, np.arange(width)[None] // VOID_SQUARE
    return np.array(VOID_SHADES, np.uint8)[(rows + columns) % 2][..., None].repeat(3, axis=2)


def _entries(pairs: list[Shown], labels: LabelMap) -> list[tuple[str, tuple[int, int, int]]]:
    """Legend of the classes that are shown, and how many are not."""
    found = np.zeros(256, bool)
    for pair in pairs:
        found[np.unique(pair.label_map)] = True
    named = list(zip(labels.names, labels.colours, strict=True))
    entries = [entry for number, entry in enumerate(named) if found[number]]
    if found[VOID]:
        entries.append(("void", VOID_MARK))
    hidden = labels.num_classes - int(found[: labels.num_classes].sum())
    return entries + ([(f"{hidden} not here", PAPER)] if hidden else [])
