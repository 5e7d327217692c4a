"""Prediction of images of any size in bounded memory: tiles that overlap, blended by Gaussian weights.

The image is read, and the answer written, in bands of one row of tiles, so that both may be memory-mapped files larger than
memory. Weights are products of one for the rows and one for the columns, and sum to 1 at each pixel; so no sum of weights is kept
and accumulators may be float16. Refused: tiles off the network's grid, whose answers would be shifted. numpy only; Keras where
it knows the receptive field.
"""

from __future__ import annotations

import math
import mmap

import numpy as np

from kseg.inference.averaging import softmax
from kseg.inference.model_calls import predict_logits

OUTPUT_MODES = ("logits", "probabilities", "label_map")
WIDTH = 1 / 8
"""Standard deviation of the Gaussian, as a part of what is kept of a tile: nnU-Net's choice."""
TINY = 1e-30  # below any sum of weights that is not 0


def predict_tiles(
    model,
    image: np.ndarray,
    *,
    tile: int | tuple[int, int] = 512,
    overlap: int | tuple[int, int] = 128,
    margin: int | None = None,
    stride: int = 32,
    output_mode: str = "logits",
    out: np.ndarray | None = None,
    accumulator: str = "float32",
    batch_size: int = 1,
) -> np.ndarray:
    """Labels an image of any size, tile by tile, in memory that grows with its width but not with its height.

    A pixel's answer is the mean of those of the tiles that see it, weighted by a Gaussian about each tile's centre. Pixels
    within `margin` of a tile's edge get no weight: there a network sees the padding of its convolutions instead of the image.
    With a margin that holds the receptive field, the answer is that of the whole image at once (to 1e-5 in float32), but for
    pixels within `margin` of the image's border, beyond which tiles show its mirror image.

    Memory: tile * W * K accumulators, a batch of tiles, and what the network needs for them. An image of 20,000 x 20,000 pixels,
    from a mapped file to a mapped file, with 12 classes and a small network took 1.26 GiB with float32 accumulators and 1.03 GiB
    with float16, of which TensorFlow alone takes 0.63, and 160 s on two shared cores (its slow test).

    Args:
        model: Keras model, or a callable, from images (B, H, W, C) to scores (B, H, W, K) of their size.
        image: (H, W, C) in [0, 255]; anything that numpy slices, such as `np.memmap` or `tifffile.memmap`.
        tile: rows and columns that the network sees at once, pixels; smaller where the image is.
        overlap: pixels that neighbouring tiles share.
        margin: pixels at the edges of tiles whose answers are thrown away. None: as many as `kseg.receptive_field` finds, where
            `overlap` is at least twice that, else 0, as for a callable: then tiles are blended and the answer is not exact.
        stride: tiles begin at multiples of it, where the poolings of the whole image would begin too; the network's largest.
        output_mode: one of "logits", "probabilities" (softmax is blended) or "label_map" (`argmax` of the blended logits).
        out: (H, W, K), or (H, W) for a label map, written band by band; None: a new array, float32 or uint8.
        accumulator: "float32", or "float16" for half of the memory and three digits.
        batch_size: tiles predicted together.

    Returns: `out`.

    Raises:
        ValueError: shapes, sizes or names do not fit; or `margin` is None and a layer's receptive field is not known.

    Example:
        >>> image = np.arange(12.0).reshape(3, 4, 1)
        >>> kseg.predict_tiles(lambda images: 2 * images, image, tile=4, overlap=2, stride=1)[..., 0].round(4)
        array([[ 0.,  2.,  4.,  6.],
               [ 8., 10., 12., 14.],
               [16., 18., 20., 22.]], dtype=float32)

    Source: the overlap-tile strategy of U-Net (Ronneberger et al. 2015), figure 2; Gaussian weights as in nnU-Net (Isensee et al.
        2021), methods, "inference".
    """
    if image.ndim != 3 or 0 in image.shape:
        raise ValueError(f"`image` must have the axes (H, W, C) and a pixel. Received: shape {image.shape}.")
    if output_mode not in OUTPUT_MODES or accumulator not in ("float32", "float16"):
        raise ValueError(
            f"`output_mode` must be one of {', '.join(OUTPUT_MODES)} and `accumulator` float32 or float16. "
            f"Received: output_mode={output_mode!r}, accumulator={accumulator!r}."
        )
    tiles, overlaps = _pair(tile), _pair(overlap)
    margin = _margin(model, min(overlaps)) if margin is None else margin
    rows, columns = (
        _cuts(side, size, shared, margin, stride)
        for side, size, shared in zip(image.shape, tiles, overlaps, strict=False)
    )
    band = None
    for number, row in enumerate(rows):
        for column, scores in _predicted(model, image, row, columns, batch_size):
            if output_mode == "probabilities":
                scores = softmax(scores)
            if band is None:
                band = np.zeros((row.size, image.shape[1], scores.shape[-1]), accumulator)
                out = _output(out, output_mode, image.shape, scores.shape[-1])
            _add(band, scores, row, column)
        last = number == len(rows) - 1
        finished = row.size if last else rows[number + 1].start - row.start
        _write(out, band[:finished], row.start, output_mode)
        _release(image)
        _release(out)
        band[: row.size - finished] = band[finished:]
        band[row.size - finished :] = 0
    return out


class _Cut:
    """The place of a tile along one axis: where it starts, its size, and the weights of its pixels, 0 outside of the image."""

    def __init__(self, start: int, weights: np.ndarray, side: int):
        self.start, self.size, self._side = start, len(weights), side
        inside = np.flatnonzero(weights)
        self.kept = slice(inside[0], inside[-1] + 1) if len(inside) else slice(0, 0)
        self.weights = weights[self.kept].astype(np.float32)

    def reflected(self) -> np.ndarray:
        """Positions in the image of the tile's pixels; beyond the border those of the mirror image, which does not repeat it."""
        position = np.arange(self.start, self.start + self.size)
        period = max(1, 2 * (self._side - 1))
        position = position % period
        return np.minimum(position, period - position) if self._side > 1 else np.zeros_like(position)


def _cuts(side: int, tile: int, overlap: int, margin: int, stride: int) -> list[_Cut]:
    """Tiles along one axis of the image, whose weights sum to 1 at each pixel."""
    step = tile - overlap
    if stride < 1 or overlap < 0 or step < 1 or tile % stride or step % stride:
        raise ValueError(
            "`tile` and `tile - overlap` must be positive multiples of `stride`, so that tiles lie on the network's grid. "
            f"Received: tile={tile}, overlap={overlap}, stride={stride}."
        )
    if not 0 <= 2 * margin <= overlap:
        raise ValueError(
            "`overlap` must hold the margins of two tiles, or pixels between them would get no answer. "
            f"Received: overlap={overlap}, margin={margin}. Take an overlap of at least {2 * margin}."
        )
    before = math.ceil(overlap / 2 / stride) * stride
    end = side + math.ceil(overlap / 2)
    tile = min(tile, math.ceil((before + end) / stride) * stride)
    number = 1 + max(0, math.ceil((end + before - tile) / step))
    distance = (np.arange(tile) - (tile - 1) / 2) / (WIDTH * (tile - 2 * margin))
    gaussian = np.exp(-0.5 * distance**2)
    gaussian[:margin] = gaussian[tile - margin :] = 0
    total = np.zeros((number - 1) * step + tile)
    for start in range(0, number * step, step):
        total[start : start + tile] += gaussian
    starts = [index * step - before for index in range(number)]
    shares = [gaussian / np.maximum(total[start + before :][:tile], TINY) for start in starts]
    cuts = [_Cut(start, _inside(share, start, side), side) for start, share in zip(starts, shares, strict=True)]
    return [cut for cut in cuts if len(cut.weights)]


def _inside(weights, start, side):
    """Weights with those of pixels outside of the image set to 0."""
    position = np.arange(start, start + len(weights))
    return np.where((position >= 0) & (position < side), weights, 0)


def _predicted(model, image, row, columns, batch_size):
    """The tiles of one row, each with the scores of all its pixels."""
    for first in range(0, len(columns), batch_size):
        batch = columns[first : first + batch_size]
        images = np.stack([_cut(image, row.reflected(), column.reflected()) for column in batch])
        yield from zip(batch, predict_logits(model, images), strict=True)


def _cut(image, rows, columns) -> np.ndarray:
    """A tile, of which only the rectangle that holds it is read."""
    top, left = rows.min(), columns.min()
    block = np.asarray(image[top : rows.max() + 1, left : columns.max() + 1])
    return block[np.ix_(rows - top, columns - left)]


def _add(band, scores, row, column):
    """Adds a tile's weighted scores to the band; the band has the rows of the tile and the columns of the image."""
    left = column.start + column.kept.start
    weights = row.weights[:, None, None] * column.weights[:, None]
    band[row.kept, left : left + len(column.weights)] += weights * scores[row.kept, column.kept]


def _output(out, output_mode, shape, classes):
    expected = shape[:2] if output_mode == "label_map" else (*shape[:2], classes)
    if output_mode == "label_map" and classes > 255:
        raise ValueError(
            f"A label map holds at most 255 classes. Received: {classes} scores. Ask for output_mode='logits'."
        )
    if out is None:
        return np.empty(expected, np.uint8 if output_mode == "label_map" else np.float32)
    if out.shape != expected:
        raise ValueError(
            f"`out` must have the shape {expected} for output_mode={output_mode!r}. Received: shape {out.shape}."
        )
    return out


def _write(out, band, start, output_mode):
    """Writes finished rows, as far as they lie in the image."""
    first, last = max(start, 0), min(start + len(band), len(out))
    if first < last:
        rows = band[first - start : last - start]
        out[first:last] = rows.argmax(-1) if output_mode == "label_map" else rows


def _release(array):
    """Lets go of the pages of a mapped file that were touched, which would else count as this process's memory."""
    if isinstance(array, np.memmap) and array.mode != "c":  # the pages of copy-on-write hold what is in no file
        while isinstance(array, np.ndarray):
            array = array.base
        if isinstance(array, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            array.madvise(mmap.MADV_DONTNEED)


def _pair(value) -> tuple[int, int]:
    return (value, value) if np.isscalar(value) else tuple(value)


def _margin(model, overlap: int) -> int:
    """The margin of a functional network where two of them fit into the overlap, else 0."""
    if not hasattr(model, "operations"):
        return 0
    from kseg.receptive_fields import receptive_field

    try:
        found = receptive_field(model).margin
    except ValueError as error:
        raise ValueError(
            "`margin` must be given for a network whose receptive field is not known. "
            f"Received: margin=None [model {model.name!r}: {error}] Give margin=0 to blend all that tiles answer."
        ) from error
    margin = max(found) if isinstance(found, tuple) else found
    return math.ceil(margin) if 2 * margin <= overlap else 0
