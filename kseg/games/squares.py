"""Squares of pixels: label maps at a segmentor's resolution, and a discriminator's maps at its own. `keras.ops` only."""

from __future__ import annotations

import numpy as np
from keras import ops


def find_factor(maps, logits) -> int:
    """The factor by which the logits are coarser than maps (B, H, W, ...); 1 if sizes are unknown."""
    sides = list(zip(maps.shape[1:3], logits.shape[1:3], strict=True))
    if any(None in pair for pair in sides):
        return 1
    for factor in range(1, max(fine for fine, _ in sides) + 1):
        if all(-(-fine // factor) == coarse for fine, coarse in sides):
            return factor
    raise ValueError(
        "The segmentor's logits must have the label maps' height and width, or be coarser by an integer factor. "
        f"Received: logits of shape {tuple(logits.shape)}, maps of shape {tuple(maps.shape)}."
    )


def match_output(y, logits):
    """Ids (B, H, W) or (B, H, W, 1) at the logits' resolution: the id nearest to the centre of each square."""
    factor = find_factor(y, logits)
    if factor == 1:
        return y
    rows, columns = (
        np.clip(np.arange(coarse) * factor + (factor - 1) // 2 - padding_before(fine, factor), 0, fine - 1)
        for fine, coarse in zip(y.shape[1:3], logits.shape[1:3], strict=True)
    )
    return ops.take(ops.take(y, rows, axis=1), columns, axis=2)


def padding_before(size, stride: int):
    """Pixels by which the first square of `stride` extends beyond the edge: "same" padding is split over both sides."""
    return -size % stride // 2


def average_squares(maps, stride: int):
    """Means over squares of `stride` pixels; the outer ones are smaller where H or W is not a multiple."""
    if stride == 1:
        return maps
    return ops.average_pool(maps, stride, strides=stride, padding="same")


def spread_squares(values, stride: int, height, width):
    """Values (B, h, w) of the squares of `average_squares` at each of their pixels, (B, height, width)."""
    if stride == 1:
        return values
    for axis in (1, 2):
        values = ops.repeat(values, stride, axis=axis)
    top, left = (padding_before(size, stride) for size in (height, width))
    return values[:, top : top + height, left : left + width]
