"""The rule of `kseg.pairs.resizing` in a TensorFlow graph, for training and for the exported model; within one grey level of it.

The two differ by at most one grey level, because Pillow rounds between its two passes.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)


def fit_image_in_graph(image, box: tuple[int, int]):
    """`resize_image(image, fitted_size(H, W, box))` in a TensorFlow graph, where H and W are known only when it runs.

    Args:
        image: tensor (..., H, W, C), uint8, with at most one leading axis.
        box: (height, width) to fit into, in pixels; a pair or a tensor (2,), integers.

    Returns:
        Tensor (..., h, w, C), uint8, with (h, w) = `fitted_size(H, W, box)`.
    """
    shape = tf.shape(image)
    size = fitted_size_in_graph(shape[-3], shape[-2], box)
    resized = resize_in_graph(image, size)
    # Pillow rounds half up; tf.round would round half to even.
    return tf.cast(tf.clip_by_value(tf.floor(resized + 0.5), 0.0, 255.0), tf.uint8)


def fitted_size_in_graph(height, width, box: tuple[int, int]):
    """`fitted_size` in a TensorFlow graph.

    Args:
        height: scalar integer tensor, in pixels.
        width: scalar integer tensor, in pixels.
        box: (height, width) to fit into, in pixels; a pair or a tensor (2,), integers.

    Returns:
        Tensor (2,), int32: height and width.
    """
    # int64: the product of two sides may pass 2^31.
    height, width, box_height, box_width = (tf.cast(side, tf.int64) for side in (height, width, box[0], box[1]))
    scaled_width = tf.maximum((2 * width * box_height + height) // (2 * height), 1)
    scaled_height = tf.maximum((2 * height * box_width + width) // (2 * width), 1)
    fits_height = box_height * width <= box_width * height
    size = tf.where(fits_height, tf.stack([box_height, scaled_width]), tf.stack([scaled_height, box_width]))
    return tf.cast(size, tf.int32)


def resize_in_graph(values, size):
    """Antialiased bilinear resizing in a TensorFlow graph, not rounded: for images and for probabilities.

    Args:
        values: tensor (..., H, W, C), any number type, with at most one leading axis.
        size: (height, width) of the result, in pixels; a pair or a tensor (2,), int32.

    Returns:
        Tensor (..., height, width, C), float32.
    """
    return tf.image.resize(values, size, method="bilinear", antialias=True)
