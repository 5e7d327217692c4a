"""Numbers per pixel as colours, from black over red to yellow, and the scale that belongs to them. numpy and Pillow only."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kseg.plots.overlays import INK, MARGIN, PAPER, TEXT_SIZE

COLOURS = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
"""At equal steps from 0 to the largest value; brightness grows throughout, so the map can also be read without colours."""
BAR_WIDTH = 160  # pixels


def heat_map(values: np.ndarray, largest: float) -> Image.Image:
    """Draws numbers as colours.

    Args:
        values: (H, W), at least 0; any real dtype.
        largest: value of the brightest colour, above 0; what lies above it has that colour, too.

    Returns:
        An RGB picture of W x H pixels.

    Raises:
        ValueError: `values` has another rank, or `largest` is not above 0.

    Example:
        >>> np.asarray(kseg.plots.heat_map(np.array([[0.0, 0.25, 7.0]]), largest=0.5))[0].tolist()
        [[0, 0, 4], [188, 55, 84], [252, 255, 164]]
    """
    values = np.asarray(values)
    if values.ndim != 2:
        raise ValueError(f"`values` must have the axes (H, W). Received: values of shape {values.shape}.")
    if not largest > 0:
        raise ValueError(f"`largest` must be above 0. Received: largest={largest!r}.")
    steps = np.linspace(0, largest, len(COLOURS))
    channels = [np.interp(values, steps, [colour[channel] for colour in COLOURS]) for channel in range(3)]
    return Image.fromarray(np.rint(np.stack(channels, axis=-1)).astype(np.uint8))


def heat_scale(largest: float, unit: str, width: int) -> Image.Image:
    """Draws the scale of heat maps: a bar of the colours from 0 to the largest value.

    Args:
        largest: as in `heat_map`.
        unit: text after the number, such as "nats".
        width: of the picture, pixels.

    Returns:
        An RGB picture.
    """
    font = ImageFont.load_default(TEXT_SIZE)
    picture = Image.new("RGB", (width, MARGIN // 2 + TEXT_SIZE + MARGIN), PAPER)
    draw, left, top = ImageDraw.Draw(picture), MARGIN, MARGIN // 2
    draw.text((left, top + TEXT_SIZE / 2), "0", INK, font, anchor="lm")
    left += round(font.getlength("0")) + MARGIN // 2
    ramp = np.linspace(0, 1, BAR_WIDTH)[None].repeat(TEXT_SIZE, axis=0)
    picture.paste(heat_map(ramp, 1.0), (left, top))
    draw.text((left + BAR_WIDTH + MARGIN // 2, top + TEXT_SIZE / 2), f"{largest:.2g} {unit}", INK, font, anchor="lm")
    return picture
