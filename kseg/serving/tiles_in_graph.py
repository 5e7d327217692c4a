"""`kseg.predict_tiles` as a TensorFlow graph, for exports: an image of any size, at its working scale, in bounded memory.

Two nested `tf.while_loop`s visit the tiles from left to right and from top to bottom. Sums that later tiles add to are carried
along; finished ones are resized to the image's own size and become label and confidence immediately, so only one row of tiles is
in memory next to the image and its label map. Of wide images a block of columns is labelled at a time. TensorFlow only, because
a SavedModel is a TensorFlow graph.
"""

from __future__ import annotations

import numpy as np

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

from kseg.data.resizing_in_graph import resample_in_graph  # noqa: E402
from kseg.inference.tiles import GAUSSIAN_WIDTH  # noqa: E402
from kseg.serving.bands import BAND_PIXELS, map_groups  # noqa: E402


def label_and_confidence(probabilities):
    """The most probable class, uint8, and its probability, float32, of probabilities (..., K)."""
    return tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8), tf.reduce_max(probabilities, axis=-1)


def predict_tiles_in_graph(
    predict,
    image,
    *,
    tile: tuple[int, int],
    num_classes: int,
    size=None,
    columns_at_once: int | None = None,
    reduce=label_and_confidence,
    dtypes: tuple = (tf.uint8, tf.float32),
):
    """Predicts the label map of an image tile by tile; tiles share a quarter of their sides and are blended by Gaussian weights.

    Args:
        predict: from tiles (1, height, width, C), float32, to probabilities (1, height, width, K), float32.
        image: tensor (H, W, C), uint8, of any size, at working scale; mirrored beyond its border.
        tile: (height, width) of a tile, pixels.
        num_classes: K.
        size: (2,), int32, height and width of the result, none smaller than those of `image`; None: those of `image`. The
            probabilities are resized to it before `reduce` sees them.
        columns_at_once: columns of tiles that are in memory at a time; one more is predicted for each block of them. None: all.
        reduce: from probabilities (h, w, K) to a tuple of tensors (h, w, ...).
        dtypes: of what `reduce` returns.

    Returns:
        What `reduce` returns, for the whole result: (H, W times the values of a pixel). By default the label map (H, W), uint8,
        and the confidence (H, W), float32: the mean probability of that class.
    """
    # Where tiles lie: the first begins half an overlap outside the image.
    overlaps = [2 * (side // 8) for side in tile]
    steps = [side - overlap for side, overlap in zip(tile, overlaps, strict=True)]
    before = [overlap // 2 for overlap in overlaps]
    shape = tf.shape(image)[:2]
    size = shape if size is None else size
    enlarged = tf.cast(size, tf.float32) / tf.cast(shape, tf.float32)
    rows, columns = ((shape[axis] + steps[axis] - 1) // steps[axis] for axis in (0, 1))
    weights = tf.constant(_gaussian(tile[0])[:, None, None] * _gaussian(tile[1])[:, None], tf.float32)

    def covered(position, axis):
        """How many pixels of the result follow from the first `position` ones of the image."""
        number = tf.cast(tf.floor((tf.cast(position, tf.float32) - 0.5) * enlarged[axis] + 0.5), tf.int32)
        return tf.where(position >= shape[axis], size[axis], tf.maximum(number, 0))

    def weighted_probabilities(row, column):
        """Of one tile: (height, width, K + 1), with the weights themselves in the last channel."""
        corner = [index * step - first for index, step, first in zip((row, column), steps, before, strict=True)]
        positions = [_mirrored_positions(corner[axis], tile[axis], shape[axis]) for axis in (0, 1)]
        pixels = tf.gather(tf.gather(image, positions[0], axis=0), positions[1], axis=1)
        probabilities = predict(tf.cast(pixels, tf.float32)[tf.newaxis])[0]
        return tf.concat([probabilities * weights, weights], axis=-1)

    def blended_row(row, start, stop):
        """The tiles of a row from column `start` to `stop`, blended: (tile height, W, K + 1), whose W is a whole tile's more."""

        def add_tile(column, carried, finished):
            sums = weighted_probabilities(row, column)
            sums = tf.concat([sums[:, : overlaps[1]] + carried, sums[:, overlaps[1] :]], axis=1)
            return column + 1, sums[:, steps[1] :], finished.write(column - start, sums[:, : steps[1]])

        nothing = tf.zeros((tile[0], overlaps[1], num_classes + 1))
        pieces = tf.TensorArray(tf.float32, size=stop - start, element_shape=(tile[0], steps[1], num_classes + 1))
        state = (start, nothing, pieces)
        _, carried, pieces = tf.while_loop(lambda column, *_: column < stop, add_tile, state, parallel_iterations=1)
        finished = tf.reshape(tf.transpose(pieces.stack(), (1, 0, 2, 3)), (tile[0], -1, num_classes + 1))
        return tf.concat([finished, carried], axis=1)

    def label_block(first, last):
        """The result of the columns of tiles from `first` to `last`: each output of `reduce` as (H, values of a row)."""
        # The block's columns, in the image and in the result; the column of tiles before it lends it the pixel beside it.
        start = tf.maximum(first - 1, 0)
        corner = start * steps[1] - before[1]
        left = tf.maximum(corner, 0)
        right = tf.where(last == columns, shape[1], last * steps[1] - before[1])
        ends = covered(tf.maximum(first * steps[1] - before[1], 0), 1), covered(right, 1)
        width = ends[1] - ends[0]

        def add_row(row, carried, above, *arrays):
            # Blend the row; what no later tile adds to is finished.
            sums = blended_row(row, start, last)[:, left - corner : right - corner]
            sums = tf.concat([sums[: overlaps[0]] + carried, sums[overlaps[0] :]], axis=0)
            top = row * steps[0] - before[0]
            bottom = tf.where(row + 1 == rows, shape[0], top + steps[0])
            lines = tf.concat([above, sums[tf.maximum(-top, 0) : bottom - top]], axis=0)
            top = tf.maximum(top, 0)
            first_line = top - tf.shape(above)[0]

            # Resize and reduce it band by band, each from the lines that it needs.
            def reduce_band(band):
                ends_of_band = (tf.cast(tf.stack([band[0], band[-1]]), tf.float32) + 0.5) / enlarged[0]
                needed = tf.cast(tf.floor(ends_of_band), tf.int32) + tf.constant((-1, 2)) - first_line
                needed = tf.maximum(needed, 0)
                values = lines[needed[0] : needed[1]]
                values = values[..., :-1] / values[..., -1:]
                origin = tf.cast(tf.stack([first_line + needed[0], left]), tf.float32) * enlarged
                corner = tf.cast(tf.stack([band[0], ends[0]]), tf.float32)
                target = tf.stack([tf.shape(band)[0], width])
                return reduce(resample_in_graph(values, target, enlarged, origin - corner))

            band = tf.range(covered(top, 0), covered(bottom, 0))
            outputs = map_groups(reduce_band, [band], tf.maximum(BAND_PIXELS // width, 1), dtypes)
            outputs = (tf.reshape(output, (tf.shape(band)[0], -1)) for output in outputs)
            written = (array.write(row, output) for array, output in zip(arrays, outputs, strict=True))
            return row + 1, sums[steps[0] :], lines[-1:], *written

        arrays = [tf.TensorArray(dtype, size=rows, element_shape=(None, None), infer_shape=False) for dtype in dtypes]
        carried = tf.zeros((overlaps[0], right - left, num_classes + 1))
        state = (tf.constant(0), carried, tf.zeros((0, right - left, num_classes + 1)), *arrays)
        shapes = (), (overlaps[0], None, num_classes + 1), (None, None, num_classes + 1), *[None] * len(arrays)
        _, _, _, *arrays = tf.while_loop(
            lambda row, *_: row < rows,
            add_row,
            state,
            shape_invariants=tuple(map(tf.TensorShape, shapes)),
            parallel_iterations=1,
        )
        return tuple(array.concat() for array in arrays)

    if columns_at_once is None:
        return label_block(tf.constant(0), columns)

    # One block after the other; joined by their columns, of which an image has few.
    def add_block(block, *joined):
        first = block * columns_at_once
        outputs = label_block(first, tf.minimum(first + columns_at_once, columns))
        return block + 1, *(tf.concat(parts, axis=1) for parts in zip(joined, outputs, strict=True))

    blocks = (columns + columns_at_once - 1) // columns_at_once
    empty = [tf.zeros((size[0], 0), dtype) for dtype in dtypes]
    _, *joined = tf.while_loop(
        lambda block, *_: block < blocks,
        add_block,
        (tf.constant(0), *empty),
        shape_invariants=(tf.TensorShape(()), *[tf.TensorShape((None, None))] * len(dtypes)),
        parallel_iterations=1,
    )
    return tuple(joined)


def _gaussian(side: int) -> np.ndarray:
    """The weights (side,) of `kseg.predict_tiles`."""
    return np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (GAUSSIAN_WIDTH * side)) ** 2)


def _mirrored_positions(start, number: int, side):
    """Positions of `number` pixels from `start` on in an image of `side`, mirrored beyond the border, which is not repeated."""
    period = tf.maximum(2 * (side - 1), 1)
    position = tf.math.floormod(start + tf.range(number), period)
    return tf.minimum(position, tf.maximum(period - position, 0)) * tf.cast(side > 1, tf.int32)
