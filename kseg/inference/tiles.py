"""Prediction of images of any size in bounded memory: overlapping tiles, blended by Gaussian weights.

The image is read, and the prediction written, in bands of one row of tiles, so both may be memory-mapped files larger than
memory. A tile's weights are the product of one weight per row and one per column, and sum to 1 at each pixel; so no sum of
weights is kept and accumulators may be float16. Refused: tiles off the network's grid, whose predictions would be shifted. numpy
only; Keras where it computes the receptive field.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from kseg._checks import check_logits
from kseg.inference.averaging import softmax
from kseg.inference.checks import check_count, check_images, values_checked
from kseg.inference.mapped_files import release_pages
from kseg.inference.model_calls import check_model, num_channels, predict_logits, takes_levels

OUTPUT_MODES = ("logits", "probabilities", "label_map")
ACCUMULATORS = ("float32", "float16")
GAUSSIAN_WIDTH = 1 / 8
"""Standard deviation of the Gaussian, as a fraction of the part of a tile that is kept: nnU-Net's choice."""
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
    """Predicts an image of any size tile by tile, in memory that grows with its width but not with its height.

    The prediction of a pixel is the mean over the tiles that contain it, weighted by a Gaussian around each tile's centre. Pixels
    within `margin` of a tile's edge get no weight: there the network sees the padding of its convolutions instead of the image.
    With a margin that covers the receptive field, the prediction equals that of the whole image (to 1e-5 in float32), except
    within `margin` of the image's border, where tiles show its mirror image.

    Memory: tile * W * K accumulators, a batch of tiles, and what the network needs for them. An image of 20,000 x 20,000 pixels,
    from a mapped file to a mapped file, with 12 classes and a small network took 1.26 GiB with float32 accumulators and 1.03 GiB
    with float16, of which TensorFlow alone takes 0.63, and 160 s on two shared cores (its slow test).

    Args:
        model: Keras model, or a callable, from images (B, H, W, C) to logits (B, H, W, K).
        image: (H, W, C) in [0, 255]; anything that numpy slices, such as `np.memmap` or `tifffile.memmap`.
        tile: (height, width) of the network's input, or one number for both, pixels; smaller where the image is.
        overlap: pixels that neighbouring tiles share, vertically and horizontally, or one number for both.
        margin: pixels at the edges of tiles to discard. None: as many as `kseg.receptive_field` computes if `overlap` is at least
            twice that, otherwise 0, as for a callable: then tiles are blended and the prediction is not exact.
        stride: tiles begin at multiples of it, where the poolings of the whole image would begin too; the network's largest.
        output_mode: one of "logits", "probabilities" (softmax is blended) or "label_map" (`argmax` of the blended logits).
        out: array to write to, band by band: (H, W, K), or (H, W) for a label map; None: a new array, float32 or uint8.
        accumulator: one of "float32", "float16", which takes half of the memory and keeps three digits.
        batch_size: tiles per forward pass.

    Returns:
        `out`.

    Raises:
        TypeError: `model` is neither a Keras model nor a callable, or `image` is no array of numbers.
        ValueError: a shape, size or name does not fit; or `margin` is None and a layer's receptive field is unknown.

    Example:
        >>> image = np.arange(12.0).reshape(3, 4, 1)
        >>> kseg.predict_tiles(lambda images: 2 * images, image, tile=4, overlap=2, stride=1)[..., 0].round(4)
        array([[ 0.,  2.,  4.,  6.],
               [ 8., 10., 12., 14.],
               [16., 18., 20., 22.]], dtype=float32)

    Source: the overlap-tile strategy of U-Net (Ronneberger et al. 2015), figure 2; Gaussian weights as in nnU-Net (Isensee et al.
        2021), methods, "inference".
    """
    check_model(model)
    if output_mode not in OUTPUT_MODES or accumulator not in ACCUMULATORS:
        raise ValueError(
            f"`output_mode` must be one of {', '.join(OUTPUT_MODES)} and `accumulator` one of {', '.join(ACCUMULATORS)}. "
            f"Received: output_mode={output_mode!r}, accumulator={accumulator!r}."
        )
    if output_mode == "probabilities":
        check_logits("model", model)
    tiles, overlaps = _as_pair(tile, "tile"), _as_pair(overlap, "overlap", minimum=0)
    check_count(batch_size, "batch_size")
    check_images(image, "image", "predict_tiles", rank=3, channels=num_channels(model), levels=takes_levels(model))
    margin = _receptive_margin(model, min(overlaps)) if margin is None else check_count(margin, "margin", minimum=0)
    rows, columns = (
        _spans(side, size, shared, margin, stride)
        for side, size, shared in zip(image.shape[:2], tiles, overlaps, strict=True)
    )
    with values_checked():
        return _blend(model, image, rows, columns, output_mode, out, accumulator, batch_size)


def _blend(model, image, rows, columns, output_mode, out, accumulator, batch_size) -> np.ndarray:
    """Predicts row by row of tiles; a band of accumulators holds the image's columns and the rows of one tile."""
    band = None
    for number, row in enumerate(rows):
        # Add the weighted predictions of this row of tiles.
        for column, logits in _predict_row(model, image, row, columns, batch_size):
            values = softmax(logits) if output_mode == "probabilities" else logits
            if band is None:
                band = np.zeros((row.size, image.shape[1], values.shape[-1]), accumulator)
                out = _output(out, output_mode, image.shape, values.shape[-1])
            _accumulate(band, values, row, column)
        # Write the rows that no later tile reaches.
        last = number == len(rows) - 1
        finished = row.size if last else rows[number + 1].start - row.start
        _write(out, band[:finished], row.start, output_mode)
        release_pages(image)
        release_pages(out)
        # Move the rest up, for the next row of tiles.
        band[: row.size - finished] = band[finished:]
        band[row.size - finished :] = 0
    return out


@dataclasses.dataclass(frozen=True)
class _Span:
    """A tile along one axis of the image.

    Attributes:
        start: position of its first pixel; below 0 where the tile begins outside the image.
        size: its pixels.
        kept: those of them with a weight.
        weights: of the kept pixels, float32.
        side: pixels of the image.
    """

    start: int
    size: int
    kept: slice
    weights: np.ndarray
    side: int

    def positions(self) -> np.ndarray:
        """Positions of the tile's pixels in the image, mirrored beyond the border, which is not repeated."""
        position = np.arange(self.start, self.start + self.size)
        period = max(1, 2 * (self.side - 1))
        position = position % period
        return np.minimum(position, period - position) if self.side > 1 else np.zeros_like(position)


def _spans(side: int, tile: int, overlap: int, margin: int, stride: int) -> list[_Span]:
    """Tiles along one axis of the image, whose weights sum to 1 at each pixel."""
    step = tile - overlap
    if stride < 1 or overlap < 0 or step < 1 or tile % stride or step % stride:
        raise ValueError(
            "`tile` and `tile - overlap` must be positive multiples of `stride`, to keep tiles on the network's grid. "
            f"Received: tile={tile}, overlap={overlap}, stride={stride}."
        )
    if not 0 <= 2 * margin <= overlap:
        raise ValueError(
            "`overlap` must cover the margins of two tiles, or pixels between them would get no prediction. "
            f"Received: overlap={overlap}, margin={margin}. Take an overlap of at least {2 * margin}."
        )
    before = math.ceil(overlap / 2 / stride) * stride
    end = side + math.ceil(overlap / 2)
    tile = min(tile, math.ceil((before + end) / stride) * stride)
    number = 1 + max(0, math.ceil((end + before - tile) / step))
    gaussian = _gaussian(tile, margin)
    total = np.zeros((number - 1) * step + tile)
    for start in range(0, number * step, step):
        total[start : start + tile] += gaussian
    starts = [index * step - before for index in range(number)]
    weights = [gaussian / np.maximum(total[start + before :][:tile], TINY) for start in starts]
    spans = [_span(start, values, side) for start, values in zip(starts, weights, strict=True)]
    return [span for span in spans if len(span.weights)]


def _gaussian(tile: int, margin: int) -> np.ndarray:
    """Weights (tile,) around the centre of a tile; 0 in its margins."""
    distance = (np.arange(tile) - (tile - 1) / 2) / (GAUSSIAN_WIDTH * (tile - 2 * margin))
    gaussian = np.exp(-0.5 * distance**2)
    gaussian[:margin] = gaussian[tile - margin :] = 0
    return gaussian


def _span(start: int, weights: np.ndarray, side: int) -> _Span:
    """A tile with these weights, of which only those of pixels inside the image are kept."""
    position = np.arange(start, start + len(weights))
    weights = np.where((position >= 0) & (position < side), weights, 0)
    inside = np.flatnonzero(weights)
    kept = slice(inside[0], inside[-1] + 1) if len(inside) else slice(0, 0)
    return _Span(start, len(weights), kept, weights[kept].astype(np.float32), side)


def _predict_row(model, image, row: _Span, columns: list[_Span], batch_size: int):
    """Yields the tiles of one row, each with the logits of all its pixels."""
    for first in range(0, len(columns), batch_size):
        batch = columns[first : first + batch_size]
        tiles = np.stack([_read_tile(image, row.positions(), column.positions()) for column in batch])
        yield from zip(batch, predict_logits(model, tiles), strict=True)


def _read_tile(image, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The pixels at rows and columns; only the rectangle around them is read."""
    top, left = rows.min(), columns.min()
    block = np.asarray(image[top : rows.max() + 1, left : columns.max() + 1])
    return block[np.ix_(rows - top, columns - left)]


def _accumulate(band, values, row: _Span, column: _Span):
    """Adds a tile's weighted values (height, width, K) to the band (height, W, K)."""
    left = column.start + column.kept.start
    weights = row.weights[:, None, None] * column.weights[:, None]
    band[row.kept, left : left + len(column.weights)] += weights * values[row.kept, column.kept]


def _output(out, output_mode: str, image_shape, num_classes: int) -> np.ndarray:
    """The array to write to: `out` if it fits, or a new one."""
    is_label_map = output_mode == "label_map"
    shape = image_shape[:2] if is_label_map else (*image_shape[:2], num_classes)
    if out is None:
        if is_label_map and num_classes > 255:
            raise ValueError(
                f"A label map holds at most 255 classes. Received: {num_classes} logits. Use output_mode='logits'."
            )
        return np.empty(shape, np.uint8 if is_label_map else np.float32)
    if tuple(out.shape) != tuple(shape):
        raise ValueError(
            f"`out` must have the shape {tuple(shape)} for output_mode={output_mode!r}. Received: shape {tuple(out.shape)}."
        )
    dtype = np.dtype(out.dtype)
    if dtype.kind not in ("iu" if is_label_map else "f") or (is_label_map and np.iinfo(dtype).max < num_classes - 1):
        kind = f"integers up to {num_classes - 1}" if is_label_map else "floating-point numbers"
        raise ValueError(f"`out` must hold {kind} for output_mode={output_mode!r}. Received: out.dtype={dtype}.")
    return out


def _write(out, band, start: int, output_mode: str):
    """Writes finished rows, as far as they lie in the image."""
    first, last = max(start, 0), min(start + len(band), len(out))
    if first < last:
        rows = band[first - start : last - start]
        out[first:last] = rows.argmax(-1) if output_mode == "label_map" else rows


def _as_pair(value, name: str, minimum: int = 1) -> tuple[int, int]:
    """A number for each axis."""
    pair = (value, value) if np.isscalar(value) else tuple(value)
    if len(pair) != 2:
        raise ValueError(
            f"`{name}` must be one number or (vertical, horizontal), in pixels. Received: {name}={value!r}."
        )
    return tuple(check_count(side, name, minimum) for side in pair)


def _receptive_margin(model, overlap: int) -> int:
    """The margin of a functional network if the overlap covers two of them, otherwise 0."""
    if not hasattr(model, "operations"):
        return 0
    from kseg.receptive_fields import receptive_field

    try:
        margin = receptive_field(model).margin
    except ValueError as error:
        raise ValueError(
            "`margin` must be given for a network with a layer of unknown receptive field. "
            f"Received: margin=None [model {model.name!r}: {error}] Set margin=0 to blend whole tiles."
        ) from error
    margin = max(margin) if isinstance(margin, tuple) else margin  # infinite for global pooling
    return math.ceil(margin) if margin <= overlap // 2 else 0
