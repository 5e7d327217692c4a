"""A contact sheet: pairs side by side, the outlines of each mask over its image, so that one sees whether masks fit.

numpy and Pillow only. Panels are reduced or enlarged to one box; outlines are drawn at the size of the panel, so they stay thin.
"""

from __future__ import annotations

import random
import typing

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kseg.labels import VOID, LabelMap
from kseg.plots.overlays import INK, MARGIN, PAPER, TEXT_SIZE, legend

PANEL_HEIGHT, WIDEST = 250, 4 / 3  # pixels; width by height of the widest panel, into which panoramas are fitted
SHEET_WIDTH = 1390  # pixels
GAP = 4  # pixels between image and mask
CAPTION = 13  # pixels, height of text
VOID_SHADES, VOID_SQUARE = (96, 160), 8
VOID_MARK = (1, 2, 3)  # in a legend, until the checks are drawn there
MUTED, FRAME = (110, 110, 110), (200, 200, 200)


class Shown(typing.NamedTuple):
    """A pair to draw: its name, image (H, W, C), uint8, and label map (H, W) of ids, uint8, 255 where void."""

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
    panels = [draw_panels(pair, labels) for pair in pairs]
    panel_width = max(image.width for image, _ in panels)
    cell = 2 * panel_width + GAP, PANEL_HEIGHT + CAPTION + MARGIN
    columns = min(len(pairs), max(1, SHEET_WIDTH // (cell[0] + 2 * MARGIN)))
    width = max(SHEET_WIDTH // 2, MARGIN + columns * (cell[0] + 2 * MARGIN))
    key = _with_checks(legend(_entries(pairs, labels), width))
    heading = TEXT_SIZE + 2 * MARGIN
    rows = -(-len(pairs) // columns)
    sheet = Image.new("RGB", (width, heading + key.height + rows * (cell[1] + MARGIN) + MARGIN), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT_SIZE)
    draw.text((MARGIN, heading / 2), _shorten(title, font, width - 2 * MARGIN), INK, font, anchor="lm")
    sheet.paste(key, (0, heading - MARGIN // 2))
    small = ImageFont.load_default(CAPTION)
    for number, (pair, (image, mask)) in enumerate(zip(pairs, panels, strict=True)):
        left = MARGIN + number % columns * (cell[0] + 2 * MARGIN)
        top = heading + key.height + number // columns * (cell[1] + MARGIN)
        height, wide = pair.label_map.shape
        caption = _shorten(f"{pair.name}   {wide}x{height}", small, cell[0])
        draw.text((left, top + CAPTION / 2), caption, MUTED, small, anchor="lm")
        top += CAPTION + 6
        for x, panel in ((left, image), (left + image.width + GAP, mask)):
            sheet.paste(panel, (x, top))
            draw.rectangle((x - 1, top - 1, x + panel.width, top + panel.height), outline=FRAME)
    return sheet


def draw_panels(pair: Shown, labels: LabelMap) -> tuple[Image.Image, Image.Image]:
    """The image with the outlines of its mask, and the mask in the colours of its classes, both of one size."""
    height, width = pair.label_map.shape
    scale = min(PANEL_HEIGHT * WIDEST / width, PANEL_HEIGHT / height)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    picture = Image.fromarray(pair.image[..., 0] if pair.image.shape[-1] == 1 else pair.image).convert("RGB")
    smooth = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
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
    return entries + ([(f"{hidden} more, not in these pairs", PAPER)] if hidden else [])


def _shorten(text: str, font, width: float) -> str:
    """Text with its middle left out where it is too long."""
    kept = len(text)
    while kept > 8 and font.getlength(text if kept == len(text) else _cut(text, kept)) > width:
        kept -= 1
    return text if kept == len(text) else _cut(text, kept)


def _cut(text: str, kept: int) -> str:
    return f"{text[: kept // 2]}...{text[-(kept - kept // 2) :]}"
