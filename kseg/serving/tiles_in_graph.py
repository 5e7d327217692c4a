"""`kseg.predict_tiles` as a TensorFlow graph, for exports: an image of any size, at its own scale, in bounded memory.

Two nested `tf.while_loop`s visit the tiles from left to right and from top to bottom. Sums that later tiles add to are carried
along; finished ones become label and confidence immediately, so only one row of tiles is in memory next to the image and its
label map. TensorFlow only, imported when called, because a SavedModel is a TensorFlow graph.
"""

from __future__ import annotations

import numpy as np

from kseg.inference.tiles import GAUSSIAN_WIDTH


def predict_tiles_in_graph(predict, image, *, tile: tuple[int, int], num_classes: int):
    """Predicts the label map of an image tile by tile; tiles share a quarter of their sides and are blended by Gaussian weights.

    Args:
        predict: from tiles (1, height, width, C), float32, to probabilities (1, height, width, K), float32.
        image: tensor (H, W, C), uint8, of any size; mirrored beyond its border.
        tile: (height, width) of a tile, pixels.
        num_classes: K.

    Returns:
        Label map (H, W), uint8, and confidence (H, W), float32: the mean probability of that class.
    """
    import tensorflow as tf

    # Where tiles lie: the first begins half an overlap outside the image.
    overlaps = [2 * (side // 8) for side in tile]
    steps = [side - overlap for side, overlap in zip(tile, overlaps, strict=True)]
    before = [overlap // 2 for overlap in overlaps]
    size = tf.shape(image)[:2]
    rows, columns = ((size[axis] + steps[axis] - 1) // steps[axis] for axis in (0, 1))
    weights = tf.constant(_gaussian(tile[0])[:, None, None] * _gaussian(tile[1])[:, None], tf.float32)

    def weighted_probabilities(row, column):
        """Of one tile: (height, width, K + 1), with the weights themselves in the last channel."""
        corner = [index * step - first for index, step, first in zip((row, column), steps, before, strict=True)]
        positions = [_mirrored_positions(corner[axis], tile[axis], size[axis]) for axis in (0, 1)]
        pixels = tf.gather(tf.gather(image, positions[0], axis=0), positions[1], axis=1)
        probabilities = predict(tf.cast(pixels, tf.float32)[tf.newaxis])[0]
        return tf.concat([probabilities * weights, weights], axis=-1)

    def blended_row(row):
        """One row of tiles, blended: (tile height, W, K + 1)."""

        def add_tile(column, carried, finished):
            sums = weighted_probabilities(row, column)
            sums = tf.concat([sums[:, : overlaps[1]] + carried, sums[:, overlaps[1] :]], axis=1)
            return column + 1, sums[:, steps[1] :], finished.write(column, sums[:, : steps[1]])

        nothing = tf.zeros((tile[0], overlaps[1], num_classes + 1))
        pieces = tf.TensorArray(tf.float32, size=columns, element_shape=(tile[0], steps[1], num_classes + 1))
        state = (tf.constant(0), nothing, pieces)
        _, carried, pieces = tf.while_loop(lambda column, *_: column < columns, add_tile, state, parallel_iterations=1)
        finished = tf.reshape(tf.transpose(pieces.stack(), (1, 0, 2, 3)), (tile[0], -1, num_classes + 1))
        return tf.concat([finished, carried], axis=1)[:, before[1] : before[1] + size[1]]

    def add_row(row, carried, label_maps, confidences):
        sums = blended_row(row)
        sums = tf.concat([sums[: overlaps[0]] + carried, sums[overlaps[0] :]], axis=0)
        label_map, confidence = _most_probable(sums[: steps[0]])
        return row + 1, sums[steps[0] :], label_maps.write(row, label_map), confidences.write(row, confidence)

    # Blend row after row; the sums that the next row adds to are carried along.
    arrays = [tf.TensorArray(dtype, size=rows, element_shape=(steps[0], None)) for dtype in (tf.uint8, tf.float32)]
    state = (tf.constant(0), tf.zeros((overlaps[0], size[1], num_classes + 1)), *arrays)
    invariants = (tf.TensorShape(()), tf.TensorShape((overlaps[0], None, num_classes + 1)), *[tf.TensorShape(None)] * 2)
    _, carried, *arrays = tf.while_loop(
        lambda row, *_: row < rows, add_row, state, shape_invariants=invariants, parallel_iterations=1
    )
    # Join the rows, and cut off what lies outside the image.
    finished = (tf.reshape(array.stack(), (rows * steps[0], size[1])) for array in arrays)
    outputs = (tf.concat(parts, axis=0) for parts in zip(finished, _most_probable(carried), strict=True))
    return tuple(output[before[0] : before[0] + size[0]] for output in outputs)


def _most_probable(sums):
    """Class ids and their mean probabilities, of sums (..., K + 1) whose last channel holds the sum of the weights."""
    import tensorflow as tf

    label_map = tf.cast(tf.argmax(sums[..., :-1], axis=-1), tf.uint8)
    return label_map, tf.reduce_max(sums[..., :-1], axis=-1) / sums[..., -1]


def _gaussian(side: int) -> np.ndarray:
    """The weights (side,) of `kseg.predict_tiles`."""
    return np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (GAUSSIAN_WIDTH * side)) ** 2)


def _mirrored_positions(start, number: int, side):
    """Positions of `number` pixels from `start` on in an image of `side`, mirrored beyond the border, which is not repeated."""
    import tensorflow as tf

    period = tf.maximum(2 * (side - 1), 1)
    position = tf.math.floormod(start + tf.range(number), period)
    return tf.minimum(position, tf.maximum(period - position, 0)) * tf.cast(side > 1, tf.int32)
