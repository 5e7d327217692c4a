"""The most probable class of each pixel of enlarged probabilities, interpolated only near the borders of classes.

A pixel of an enlarged image is a mean of four neighbours in the small one, so it has their class where all four have the same.
Other pixels are interpolated in runs, each between the same two columns. Their weights are read from `ScaleAndTranslate`, whose
results they equal bit for bit. TensorFlow only, because a SavedModel is a TensorFlow graph.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

from kseg.data.resizing_in_graph import resample_in_graph  # noqa: E402

LEAST_SCALE = 3
"""On each side, from which on runs are long enough for looking for borders to pay."""

SHARE = 1 / 5
"""Of the pixels of a band: interpolating more of them by runs takes longer than interpolating all of them at once."""

LEAD = 1e-5
"""By which a class must be ahead to stay so in spite of rounding, of which probabilities suffer less than 1e-6."""

BORDER = 255
"""In place of a class: neighbours differ. Ids of classes are below."""


class Borders:
    """Where the classes of an enlargement are known without interpolation.

    Args:
        probabilities: (h, w, K), float32, h and w of at least 2, K below 256.
        size: (2,), int32, height and width of the result.
        scale: (2,), float32, of `size` on h and w, both at least `LEAST_SCALE`.
    """

    def __init__(self, probabilities, size, scale):
        self._size, self._width, self._classes = size, tf.shape(probabilities)[1], probabilities.shape[-1]
        self._cells = _common_classes(probabilities)
        self.rows, _ = _neighbours(tf.shape(probabilities)[0], size[0], scale[0])
        columns, weights = _neighbours(self._width, size[1], scale[1])
        self._label_maps = tf.gather(self._cells, columns, axis=1)  # (h - 1, W)
        starts = tf.searchsorted(columns, tf.range(self._width))
        self._longest = tf.reduce_max(starts[1:] - starts[:-1])
        self._runs = tf.minimum(starts[:-1, None] + tf.range(self._longest), starts[1:, None] - 1)  # (w - 1, longest)
        self._weights = tf.gather(weights, self._runs)  # (w - 1, longest, 2)

    def label(self, band, rows, otherwise):
        """The label map (n, W), uint8, of a band of rows.

        Args:
            band: (n, w, K), float32, probabilities whose rows are enlarged already.
            rows: (n,), that part of the attribute `rows`: for each row of the result the first of its two neighbours.
            otherwise: returns the label map where borders are many.
        """
        found = tf.cast(tf.where(tf.gather(self._cells, rows) == BORDER), tf.int32)
        interpolated, pixels = (
            tf.cast(n, tf.float32) for n in (tf.shape(found)[0] * self._longest, tf.shape(rows)[0] * self._size[1])
        )
        return tf.cond(interpolated < SHARE * pixels, lambda: self._interpolate(band, rows, found), otherwise)

    def _interpolate(self, band, rows, found):
        """The label map, from the runs `found`, (N, 2): row and left neighbour."""
        row, column = tf.unstack(found, axis=1)
        scores = tf.reshape(band, (-1, self._classes))
        weights, place = tf.gather(self._weights, column), row * self._width + column
        left, right = (tf.gather(scores, position)[:, None] for position in (place, place + 1))
        classes = tf.argmax(left * weights[..., :1] + right * weights[..., 1:], axis=-1)  # (N, longest)
        pixels = row[:, None] * self._size[1] + tf.gather(self._runs, column)  # a short run has its last pixel twice
        label_map = tf.gather(self._label_maps, rows)
        changed = tf.tensor_scatter_nd_update(
            tf.reshape(label_map, [-1]), tf.reshape(pixels, (-1, 1)), tf.cast(tf.reshape(classes, [-1]), tf.uint8)
        )
        return tf.reshape(changed, tf.shape(label_map))


def _common_classes(probabilities):
    """The class of each four neighbours of (h, w, K): (h - 1, w - 1), uint8; `BORDER` where they differ or one is undecided."""
    border = tf.constant(BORDER, tf.uint8)

    def common(first, second):
        return tf.where(first == second, first, border)

    close = probabilities >= tf.reduce_max(probabilities, axis=-1, keepdims=True) - LEAD
    decided = tf.reduce_sum(tf.cast(close, tf.int32), axis=-1) == 1
    classes = tf.where(decided, tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8), border)
    classes = common(classes[1:], classes[:-1])
    return common(classes[:, 1:], classes[:, :-1])


def _neighbours(length, size, scale):
    """Between which values each value of an enlarged axis lies.

    Args:
        length: of the axis, scalar int32, at least 2.
        size: enlarged, scalar int32.
        scale: `size` / `length`, scalar float32.

    Returns:
        Position of the first of two neighbours, (size,), int32, at most length - 2; and the weights of both, (size, 2), float32.
    """
    # Enlarged marks of every third value are weights, of which the nearest value and one beside it have some.
    marks = tf.one_hot(tf.range(length) % 3, 3)[tf.newaxis]
    weights = resample_in_graph(marks, tf.stack([1, size]), tf.stack([1.0, scale]), tf.zeros(2))[0]
    nearest = tf.cast(tf.floor((tf.cast(tf.range(size), tf.float32) + 0.5) / scale), tf.int32)
    lies_before = tf.gather(weights, (nearest + 2) % 3, axis=1, batch_dims=1) > 0
    first = tf.clip_by_value(nearest - tf.cast(lies_before, tf.int32), 0, length - 2)
    return first, tf.gather(weights, tf.stack([first % 3, (first + 1) % 3], axis=1), axis=1, batch_dims=1)
