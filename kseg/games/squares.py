"""Squares of pixels: label maps at a segmentor's resolution, and a discriminator's maps at its own. `keras.ops` only."""

from __future__ import annotations

import functools

from keras import ops


def find_factor(maps, logits):
    """The factor by which the logits are coarser than maps (B, H, W, ...): an integer, or a tensor where sizes are unknown."""
    sides = list(zip(ops.shape(maps)[1:3], ops.shape(logits)[1:3], strict=True))
    known = all(isinstance(side, int) for pair in sides for side in pair)
    factor = functools.reduce(max if known else ops.maximum, (-(-fine // coarse) for fine, coarse in sides))
    fitting = [-(-fine // factor) == coarse for fine, coarse in sides]
    if not known:  # where none fits, 1 leaves it to what comes next to refuse the sizes
        return ops.where(ops.logical_and(*fitting), factor, 1)
    if all(fitting):
        return factor
    raise ValueError(
        "The segmentor's logits must have the label maps' height and width, or be coarser by an integer factor. "
        f"Received: logits of shape {tuple(logits.shape)}, maps of shape {tuple(maps.shape)}."
    )


def match_output(y, logits):
    """Ids (B, H, W) or (B, H, W, 1) at the logits' resolution: the id nearest to the centre of each square."""
    factor = find_factor(y, logits)
    if isinstance(factor, int) and factor == 1:
        return y
    rows, columns = (
        ops.clip(
            ops.arange(-(-fine // factor)) * factor + (factor - 1) // 2 - padding_before(fine, factor), 0, fine - 1
        )
        for fine in ops.shape(y)[1:3]
    )
    return ops.take(ops.take(y, rows, axis=1), columns, axis=2)


def padding_before(size, stride: int):
    """Pixels by which the first square of `stride` extends beyond the edge: "same" padding is split over both sides."""
    return -size % stride // 2


def average_squares(maps, stride):
    """Means over squares of `stride` pixels, a number or a tensor; the outer ones are smaller where H or W is not a multiple."""
    if not isinstance(stride, int):
        return _sum_squares(maps, stride) / _sum_squares(ops.ones_like(maps[:1, :, :, :1]), stride)
    if stride == 1:
        return maps
    return ops.average_pool(maps, stride, strides=stride, padding="same")


def _sum_squares(maps, stride):
    """Sums over squares of `stride` pixels, a tensor."""
    height, width = ops.shape(maps)[1:3]
    before = [padding_before(size, stride) for size in (height, width)]
    after = [-size % stride - first for size, first in zip((height, width), before, strict=True)]
    maps = ops.pad(maps, [[0, 0], *([*pair] for pair in zip(before, after, strict=True)), [0, 0]])
    rows, columns = (-(-size // stride) for size in (height, width))
    return ops.sum(ops.reshape(maps, (-1, rows, stride, columns, stride, maps.shape[-1])), axis=(2, 4))


def spread_squares(values, stride: int, height, width):
    """Values (B, h, w) of the squares of `average_squares` at each of their pixels, (B, height, width)."""
    if stride == 1:
        return values
    for axis in (1, 2):
        values = ops.repeat(values, stride, axis=axis)
    top, left = (padding_before(size, stride) for size in (height, width))
    return values[:, top : top + height, left : left + width]
