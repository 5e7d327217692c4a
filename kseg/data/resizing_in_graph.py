"""`kseg.pairs.resizing` in a TensorFlow graph, for training and the exported model. TensorFlow only.

Images differ from Pillow's by at most one grey level, because Pillow rounds between its two passes.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

from kseg.pairs.resizing import SCALE_DENOMINATOR, scale_numerator  # noqa: E402

MULTIPLE = 32
"""Images that keep their own sizes are padded to multiples of so many pixels, of which few networks lose any on the way down."""


def fit_image_in_graph(image, size: tuple[int, int]):
    """`resize_image(image, fitted_size(H, W, size))` in a graph, where H and W are known only at run time.

    Args:
        image: tensor (..., H, W, C), uint8, uint16 or float32, with at most one leading axis.
        size: (height, width) to fit into, in pixels; a pair or a tensor (2,), integers.

    Returns:
        Tensor (..., h, w, C), of the same type, with (h, w) = `fitted_size(H, W, size)`.
    """
    shape = tf.shape(image)
    fitted = fitted_size_in_graph(shape[-3], shape[-2], size)
    same = tf.reduce_all(fitted == shape[-3:-1])
    return tf.cond(same, lambda: tf.identity(image), lambda: round_to(resize_in_graph(image, fitted), image.dtype))


def round_to(image, dtype: tf.DType):
    """An image, float32, of a type: integers are rounded half up like Pillow's; `tf.round` would round half to even."""
    if not dtype.is_integer:
        return image
    return tf.cast(tf.clip_by_value(tf.floor(image + 0.5), 0.0, float(dtype.max)), dtype)


def pad_to_multiple(values, fill: int = 0):
    """Pads values (H, W, ...) with `fill` at the bottom and on the right, to sides that are multiples of `MULTIPLE`."""
    shape = tf.shape(values)
    after = [(MULTIPLE - shape[axis] % MULTIPLE) % MULTIPLE for axis in (0, 1)]
    paddings = [[0, after[0]], [0, after[1]], *[[0, 0]] * (values.shape.rank - 2)]
    padded = tf.pad(values, paddings, constant_values=tf.cast(fill, values.dtype))
    return tf.ensure_shape(padded, (None, None, *values.shape[2:]))


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


def working_size_in_graph(height, width, working_scale: tuple[int, int] | float):
    """`kseg.pairs.resizing.working_size` in a graph.

    Args:
        height: scalar integer tensor, in pixels.
        width: scalar integer tensor, in pixels.
        working_scale: (height, width) to fit into, in pixels, or a factor on the image's own sides.

    Returns:
        Tensor (2,), int32: height and width.
    """
    if isinstance(working_scale, tuple | list):
        return fitted_size_in_graph(height, width, working_scale)
    sides = tf.stack([tf.cast(height, tf.int64), tf.cast(width, tf.int64)])
    scaled = (2 * sides * scale_numerator(working_scale) + SCALE_DENOMINATOR) // (2 * SCALE_DENOMINATOR)
    return tf.cast(tf.maximum(scaled, 1), tf.int32)


def resize_in_graph(values, size):
    """Resizes with an antialiased bilinear filter, without rounding: for images and for probabilities.

    Args:
        values: tensor (..., H, W, C), any number type, with at most one leading axis.
        size: (height, width) of the result, in pixels; a pair or a tensor (2,), int32.

    Returns:
        Tensor (..., height, width, C), float32.
    """
    return tf.image.resize(values, size, method="bilinear", antialias=True)


def resample_in_graph(values, size, scale, translation):
    """What `resize_in_graph` computes, of an image whose scale and position are given.

    Args:
        values: tensor (H, W, K), any number type.
        size: (2,), int32, height and width of the result, in pixels.
        scale: (2,), float32, pixels of the result for one of `values`.
        translation: (2,), float32, row and column of the result at which the corner of `values` lies.

    Returns:
        Tensor (height, width, K), float32.
    """
    return tf.raw_ops.ScaleAndTranslate(
        images=values[tf.newaxis],
        size=size,
        scale=scale,
        translation=translation,
        kernel_type="triangle",
        antialias=True,
    )[0]


def resize_region_in_graph(image, size, start, shape):
    """A region of `resize_in_graph(image, size)`, computed from the pixels that it needs alone; equal up to rounding.

    Args:
        image: tensor (H, W, C), any number type.
        size: (2,), int32, height and width of the whole result, in pixels.
        start: (2,), int32, first row and column of the region.
        shape: (2,), int32, height and width of the region; it lies inside the whole.

    Returns:
        Tensor (height, width, C), float32.
    """
    available = tf.shape(image)[:2]
    scale = tf.cast(size, tf.float32) / tf.cast(available, tf.float32)
    reach = tf.maximum(1.0 / scale, 1.0) + 1.0  # of the filter, in pixels of the image, and one for rounding
    ends = tf.cast(tf.stack([start, start + shape]), tf.float32) / scale
    first = tf.maximum(tf.cast(tf.floor(ends[0] - reach), tf.int32), 0)
    last = tf.minimum(tf.cast(tf.math.ceil(ends[1] + reach), tf.int32), available)
    translation = tf.cast(first, tf.float32) * scale - tf.cast(start, tf.float32)
    return resample_in_graph(image[first[0] : last[0], first[1] : last[1]], shape, scale, translation)


def nearest_region_in_graph(label_map, size, start, shape):
    """A region of a label map that is resized by nearest neighbour; arguments as in `resize_region_in_graph`.

    Args:
        label_map: tensor (H, W).
        size: (2,), int32, height and width of the whole result, in pixels.
        start: (2,), int32, first row and column of the region.
        shape: (2,), int32, height and width of the region; it lies inside the whole.

    Returns:
        Tensor (height, width) of the same dtype.
    """
    available = tf.shape(label_map)
    scale = tf.cast(available, tf.float32) / tf.cast(size, tf.float32)
    for axis in (0, 1):
        centres = tf.cast(start[axis] + tf.range(shape[axis]), tf.float32) + 0.5
        positions = tf.minimum(tf.cast(tf.floor(centres * scale[axis]), tf.int32), available[axis] - 1)
        label_map = tf.gather(label_map, positions, axis=axis)
    return label_map
