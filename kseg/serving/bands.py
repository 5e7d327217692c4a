"""Class scores of an image at its own size, without holding them: resized and reduced to label and confidence band by band.

The probabilities of a photograph of 50 megapixels and 21 classes take 4 GB, its label map 50 MB. The result equals that of
resizing all at once, bit for bit: `ScaleAndTranslate` resizes rows first, then columns, so the rows are resized at once (a
network's width wide) and the columns of a band of them at a time. TensorFlow only, because a SavedModel is a TensorFlow graph.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

from kseg.data.resizing_in_graph import (  # noqa: E402
    resample_in_graph,
    resize_region_in_graph,
    round_to,
    working_size_in_graph,
)
from kseg.serving import borders  # noqa: E402

BAND_PIXELS = 2**18
"""Pixels of a band, or of one row if it has more: 22 MB of scores of 21 classes."""


def most_probable(probabilities: tf.Tensor, size: tf.Tensor, with_confidence: bool = True):
    """`argmax` and maximum of `resize_in_graph(probabilities, size)`.

    Args:
        probabilities: (h, w, K), float32.
        size: (2,), int32, height and width of the result, both above 0.
        with_confidence: whether the maximum is returned.

    Returns:
        Label map (H, W), uint8, and confidence (H, W), float32, or None.
    """
    height, width, classes = tf.shape(probabilities)[0], tf.shape(probabilities)[1], probabilities.shape[-1]
    scale = tf.cast(size, tf.float32) / tf.cast(tf.stack([height, width]), tf.float32)

    # A row, and then a column, is one vector of all its scores: interpolating these takes a third of the time.
    rows = tf.reshape(probabilities, (height, 1, width * classes))
    rows = _resize(rows, tf.stack([size[0], 1]), tf.stack([scale[0], 1.0]))
    rows = tf.reshape(rows, (size[0], width, classes))

    def resize_band(band):
        """(n, w, K) to (W, n, K)."""
        columns = tf.reshape(tf.transpose(band, (1, 0, 2)), (1, width, tf.shape(band)[0] * classes))
        resized = _resize(columns, tf.stack([1, size[1]]), tf.stack([1.0, scale[1]]))
        return tf.reshape(resized, (size[1], tf.shape(band)[0], classes))

    def label(resized):
        # oneDNN prints an error where uint8 is transposed; clipping keeps TensorFlow from casting before it transposes.
        best = tf.cast(tf.argmax(resized, axis=-1), tf.float32)
        return tf.saturate_cast(tf.transpose(best), tf.uint8)

    def label_with_confidence(band):
        resized = resize_band(band)
        return label(resized), tf.transpose(tf.reduce_max(resized, axis=-1))

    def label_by_borders():
        found = borders.Borders(probabilities, size, scale)

        def label_band(band, rows):
            return (found.label(band, rows, lambda: label(resize_band(band))),)

        return map_groups(label_band, [rows, found.rows], band_rows, (tf.uint8,))

    band_rows = tf.maximum(BAND_PIXELS // size[1], 1)
    if with_confidence:
        outputs = map_groups(label_with_confidence, [rows], band_rows, (tf.uint8, tf.float32))
    else:
        enlarged = tf.reduce_all(scale >= borders.LEAST_SCALE) & (tf.minimum(height, width) > 1)
        outputs = tf.cond(
            enlarged,
            label_by_borders,
            lambda: map_groups(lambda band: (label(resize_band(band)),), [rows], band_rows, (tf.uint8,)),
        )
    outputs = [tf.reshape(output, size) for output in outputs]
    return outputs[0], outputs[1] if with_confidence else None


def scale_image_in_graph(image, factor: float):
    """An image at a factor of its own size, as `kseg.pairs.resizing.resize_image` makes it, band by band.

    Args:
        image: (H, W, C), uint8, uint16 or float32.
        factor: on its sides.

    Returns:
        Tensor (h, w, C), of the same type, with (h, w) = `kseg.pairs.resizing.working_size(H, W, factor)`.
    """
    if factor == 1:
        return image
    shape = tf.shape(image)
    size = working_size_in_graph(shape[0], shape[1], factor)

    def scale_band(rows):
        start, shape = tf.stack([rows[0], 0]), tf.stack([tf.shape(rows)[0], size[1]])
        return (round_to(resize_region_in_graph(image, size, start, shape), image.dtype),)

    (values,) = map_groups(scale_band, [tf.range(size[0])], tf.maximum(BAND_PIXELS // size[1], 1), (image.dtype,))
    return tf.reshape(values, (size[0], size[1], image.shape[-1]))


def map_groups(function, tensors: list, group_size, dtypes: tuple) -> list:
    """Applies a function to groups of elements, one group after the other, so that memory is bounded by that of a group.

    Args:
        function: from slices (n, ...) of the tensors, 1 <= n <= `group_size`, to a tuple of tensors.
        tensors: of the same length along axis 0, which may be 0.
        group_size: elements per group, an int or a scalar int32.
        dtypes: of what the function returns.

    Returns:
        For each output the flattened values of all groups, joined: (N,). Without an element, N is 0.
    """
    number = (tf.shape(tensors[0])[0] + group_size - 1) // group_size
    arrays = [tf.TensorArray(dtype, size=number, element_shape=(None,), infer_shape=False) for dtype in dtypes]

    def step(index, *arrays):
        outputs = function(*(tensor[index * group_size : (index + 1) * group_size] for tensor in tensors))
        written = (array.write(index, tf.reshape(out, [-1])) for array, out in zip(arrays, outputs, strict=True))
        return index + 1, *written

    _, *arrays = tf.while_loop(lambda index, *_: index < number, step, (tf.constant(0), *arrays), parallel_iterations=1)
    return [array.concat() for array in arrays]


def _resize(values, size, scale):
    """`tf.image.resize(..., antialias=True)` of (h, w, K) by a given scale, (2,); to the same size they are the same bits."""
    same = tf.reduce_all(size == tf.shape(values)[:2])
    return tf.cond(same, lambda: values, lambda: resample_in_graph(values, size, scale, tf.zeros(2)))
