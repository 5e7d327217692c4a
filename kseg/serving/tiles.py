"""`kseg.predict_tiles` as a TensorFlow graph, for exports: an image of any size, at its own scale, in bounded memory.

Two nested `tf.while_loop`s go over the tiles, from left to right and from top to bottom. What a tile shares with those to come is
carried along; what is finished becomes label and confidence at once, so that beside the image and its label map only one row of
tiles is in memory. TensorFlow only, imported when called, because a SavedModel is a TensorFlow graph.
"""

from __future__ import annotations

import numpy as np

from kseg.inference.tiles import WIDTH


def label_map_by_tiles(predict, image, *, tile: tuple[int, int], num_classes: int):
    """Labels an image tile by tile; tiles share a quarter of their sides and are blended by Gaussian weights.

    Args:
        predict: from tiles (1, height, width, C), float32, to probabilities (1, height, width, K), float32.
        image: tensor (H, W, C), uint8, of any size; continued beyond its border as in a mirror.
        tile: (height, width) of a tile, pixels.
        num_classes: K.

    Returns: label map (H, W), uint8, and confidence (H, W), float32: the mean probability of that class.
    """
    import tensorflow as tf

    shared = [2 * (side // 8) for side in tile]
    steps = [side - overlap for side, overlap in zip(tile, shared, strict=True)]
    before = [overlap // 2 for overlap in shared]
    size = tf.shape(image)[:2]
    rows, columns = ((size[axis] + steps[axis] - 1) // steps[axis] for axis in (0, 1))
    weights = tf.constant(_gaussian(tile[0])[:, None, None] * _gaussian(tile[1])[:, None], tf.float32)

    def scored(row, column):
        """A tile's weighted probabilities, and in the last channel its weights."""
        corner = [index * step - first for index, step, first in zip((row, column), steps, before, strict=True)]
        places = [_mirrored(corner[axis], tile[axis], size[axis]) for axis in (0, 1)]
        pixels = tf.gather(tf.gather(image, places[0], axis=0), places[1], axis=1)
        probabilities = predict(tf.cast(pixels, tf.float32)[tf.newaxis])[0]
        return tf.concat([probabilities * weights, weights], axis=-1)

    def band(row):
        """One row of tiles, blended: (tile height, W, K + 1)."""

        def add(column, carried, finished):
            sums = scored(row, column)
            sums = tf.concat([sums[:, : shared[1]] + carried, sums[:, shared[1] :]], axis=1)
            return column + 1, sums[:, steps[1] :], finished.write(column, sums[:, : steps[1]])

        nothing = tf.zeros((tile[0], shared[1], num_classes + 1))
        pieces = tf.TensorArray(tf.float32, size=columns, element_shape=(tile[0], steps[1], num_classes + 1))
        state = (tf.constant(0), nothing, pieces)
        _, carried, pieces = tf.while_loop(lambda column, *_: column < columns, add, state, parallel_iterations=1)
        finished = tf.reshape(tf.transpose(pieces.stack(), (1, 0, 2, 3)), (tile[0], -1, num_classes + 1))
        return tf.concat([finished, carried], axis=1)[:, before[1] : before[1] + size[1]]

    def add(row, carried, labels, confidences):
        sums = band(row)
        sums = tf.concat([sums[: shared[0]] + carried, sums[shared[0] :]], axis=0)
        label, confidence = _likeliest(sums[: steps[0]])
        return row + 1, sums[steps[0] :], labels.write(row, label), confidences.write(row, confidence)

    arrays = [tf.TensorArray(kind, size=rows, element_shape=(steps[0], None)) for kind in (tf.uint8, tf.float32)]
    state = (tf.constant(0), tf.zeros((shared[0], size[1], num_classes + 1)), *arrays)
    invariants = (tf.TensorShape(()), tf.TensorShape((shared[0], None, num_classes + 1)), *[tf.TensorShape(None)] * 2)
    _, carried, *arrays = tf.while_loop(
        lambda row, *_: row < rows, add, state, shape_invariants=invariants, parallel_iterations=1
    )
    finished = (tf.reshape(array.stack(), (rows * steps[0], size[1])) for array in arrays)
    answers = (tf.concat(parts, axis=0) for parts in zip(finished, _likeliest(carried), strict=True))
    return tuple(answer[before[0] : before[0] + size[0]] for answer in answers)


def _likeliest(sums):
    """Label and mean probability of it, of weighted sums (..., K + 1) whose last channel are the weights'."""
    import tensorflow as tf

    label = tf.cast(tf.argmax(sums[..., :-1], axis=-1), tf.uint8)
    return label, tf.reduce_max(sums[..., :-1], axis=-1) / sums[..., -1]


def _gaussian(side: int) -> np.ndarray:
    """Weights (side,) as those of `kseg.predict_tiles`."""
    return np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (WIDTH * side)) ** 2)


def _mirrored(start, number: int, side):
    """Positions in the image of `number` pixels from `start` on; the mirror image does not repeat the border."""
    import tensorflow as tf

    period = tf.maximum(2 * (side - 1), 1)
    position = tf.math.floormod(start + tf.range(number), period)
    return tf.minimum(position, tf.maximum(period - position, 0)) * tf.cast(side > 1, tf.int32)
