"""Contact sheets: pairs of pictures side by side under captions, as many in a row as fit, a legend above. Pillow only."""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw, ImageFont

from kseg.plots.overlays import INK, MARGIN, PAPER, TEXT_SIZE

PANEL_HEIGHT, WIDEST = 250, 4 / 3  # pixels; width by height of the widest panel, into which panoramas are fitted
SHEET_WIDTH = 1390  # pixels
GAP = 4  # pixels between the two pictures of a pair
CAPTION = 13  # pixels, height of text
MUTED, FRAME = (110, 110, 110), (200, 200, 200)


class Panels(typing.NamedTuple):
    """A caption, and two pictures of one size, at most that of `panel_size`."""

    caption: str
    left: Image.Image
    right: Image.Image


def panel_size(height: int, width: int) -> tuple[int, int]:
    """(width, height) in pixels of the panel that shows a picture of the given size; its proportions are kept.

    Example:
        >>> panel_size(500, 400), panel_size(100, 800)
        ((200, 250), (333, 42))
    """
    scale = min(PANEL_HEIGHT * WIDEST / width, PANEL_HEIGHT / height)
    return max(1, round(scale * width)), max(1, round(scale * height))


def arrange(panels: Sequence[Panels], title: str, draw_key: Callable[[int], Image.Image]) -> Image.Image:
    """Draws the sheet.

    Args:
        panels: at least one.
        title: line above the legend.
        draw_key: from a width in pixels to the legend, a picture of that width.

    Returns:
        An RGB picture.
    """
    panel_width = max(panel.left.width for panel in panels)
    cell = 2 * panel_width + GAP, PANEL_HEIGHT + CAPTION + MARGIN
    columns = min(len(panels), max(1, SHEET_WIDTH // (cell[0] + 2 * MARGIN)))
    width = max(SHEET_WIDTH // 2, MARGIN + columns * (cell[0] + 2 * MARGIN))
    key = draw_key(width)
    heading = TEXT_SIZE + 2 * MARGIN
    rows = -(-len(panels) // columns)
    sheet = Image.new("RGB", (width, heading + key.height + rows * (cell[1] + MARGIN) + MARGIN), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT_SIZE)
    draw.text((MARGIN, heading / 2), shorten(title, font, width - 2 * MARGIN), INK, font, anchor="lm")
    sheet.paste(key, (0, heading - MARGIN // 2))
    small = ImageFont.load_default(CAPTION)
    for number, panel in enumerate(panels):
        left = MARGIN + number % columns * (cell[0] + 2 * MARGIN)
        top = heading + key.height + number // columns * (cell[1] + MARGIN)
        draw.text((left, top + CAPTION / 2), shorten(panel.caption, small, cell[0]), MUTED, small, anchor="lm")
        top += CAPTION + 6
        for x, picture in ((left, panel.left), (left + panel.left.width + GAP, panel.right)):
            sheet.paste(picture, (x, top))
            draw.rectangle((x - 1, top - 1, x + picture.width, top + picture.height), outline=FRAME)
    return sheet


def shorten(text: str, font, width: float) -> str:
    """Text with its middle left out where it is wider than `width` pixels in a font of Pillow."""
    kept = len(text)
    while kept > 8 and font.getlength(text if kept == len(text) else _cut(text, kept)) > width:
        kept -= 1
    return text if kept == len(text) else _cut(text, kept)


def _cut(text: str, kept: int) -> str:
    return f"{text[: kept // 2]}...{text[-(kept - kept // 2) :]}"
