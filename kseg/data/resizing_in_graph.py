"""`kseg.pairs.resizing` in a TensorFlow graph, for training and the exported model. TensorFlow only.

Images differ from Pillow's by at most one grey level, because Pillow rounds between its two passes.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)


def fit_image_in_graph(image, size: tuple[int, int]):
    """`resize_image(image, fitted_size(H, W, size))` in a graph, where H and W are known only at run time.

    Args:
        image: tensor (..., H, W, C), uint8, with at most one leading axis.
        size: (height, width) to fit into, in pixels; a pair or a tensor (2,), integers.

    Returns:
        Tensor (..., h, w, C), uint8, with (h, w) = `fitted_size(H, W, size)`.
    """
    shape = tf.shape(image)
    resized = resize_in_graph(image, fitted_size_in_graph(shape[-3], shape[-2], size))
    # Pillow rounds half up; tf.round would round half to even.
    return tf.cast(tf.clip_by_value(tf.floor(resized + 0.5), 0.0, 255.0), tf.uint8)


def fitted_size_in_graph(height, width, size: tuple[int, int]):
    """`kseg.pairs.resizing.fitted_size` in a graph.

    Args:
        height: scalar integer tensor, in pixels.
        width: scalar integer tensor, in pixels.
        size: (height, width) to fit into, in pixels; a pair or a tensor (2,), integers.

    Returns:
        Tensor (2,), int32: height and width.
    """
    # The product of two sides may exceed 2^31.
    height, width, max_height, max_width = (tf.cast(side, tf.int64) for side in (height, width, size[0], size[1]))
    scaled_width = tf.maximum((2 * width * max_height + height) // (2 * height), 1)
    scaled_height = tf.maximum((2 * height * max_width + width) // (2 * width), 1)
    fits_height = max_height * width <= max_width * height
    fitted = tf.where(fits_height, tf.stack([max_height, scaled_width]), tf.stack([scaled_height, max_width]))
    return tf.cast(fitted, tf.int32)


def resize_in_graph(values, size):
    """Resizes with an antialiased bilinear filter, without rounding: for images and for probabilities.

    Args:
        values: tensor (..., H, W, C), any number type, with at most one leading axis.
        size: (height, width) of the result, in pixels; a pair or a tensor (2,), int32.

    Returns:
        Tensor (..., height, width, C), float32.
    """
    return tf.image.resize(values, size, method="bilinear", antialias=True)
