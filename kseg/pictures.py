"""What a person sees of an image, whatever its channels and numbers are. numpy and Pillow only."""

from __future__ import annotations

import numpy as np
from PIL import Image

OPACITY = 0.65
"""Of the colours of classes over an image."""

TAIL = 1
"""Percent of the darkest and of the brightest pixels that a stretch leaves black and white."""


def picture_of(image: np.ndarray) -> np.ndarray:
    """An image as a grey or RGB picture of 8 bits.

    An 8-bit image of 1 or 3 channels is returned as it is. Of any other, the first three channels are shown as red, green and
    blue, or the first one as grey where there are fewer, each stretched between the percentiles TAIL and 100 - TAIL of its
    pixels. Pixels that are not finite are black.

    Args:
        image: (H, W, C), of any real dtype.

    Returns:
        (H, W, 1) or (H, W, 3), uint8.

    Example:
        >>> picture_of(np.array([[[500], [1500], [2500]]], np.uint16))[0, :, 0].tolist()
        [0, 128, 255]
    """
    if image.dtype == np.uint8 and image.shape[-1] in (1, 3):
        return image
    shown = np.asarray(image[..., : 3 if image.shape[-1] >= 3 else 1], np.float64)
    finite = np.isfinite(shown)
    levels = np.zeros(shown.shape, np.uint8)
    for channel in range(shown.shape[-1]):
        values, valid = shown[..., channel], finite[..., channel]
        if not valid.any():
            continue
        low, high = np.percentile(values[valid], (TAIL, 100 - TAIL))
        scaled = (np.where(valid, values, low) - low) / max(high - low, np.finfo(np.float64).tiny)
        levels[..., channel] = np.floor(np.clip(scaled, 0, 1) * 255 + 0.5)
    return levels


def pillow_picture(image: np.ndarray) -> Image.Image:
    """`picture_of` an image (H, W, C) for Pillow, in the mode L or RGB."""
    picture = picture_of(image)
    return Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
