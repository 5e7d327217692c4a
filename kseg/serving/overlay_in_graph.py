"""The picture that `kseg.plots.overlay` draws, in a TensorFlow graph, as JPEG. TensorFlow only."""

from __future__ import annotations

import numpy as np

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

from kseg.pictures import OPACITY  # noqa: E402
from kseg.serving.bands import BAND_PIXELS, map_groups  # noqa: E402

MAX_SIDE = 65_500
"""Pixels of the longer side that TensorFlow's encoder of JPEG writes."""


def encode_overlay(image, label_map, palette: np.ndarray):
    """The class colours over the grey of an image, as JPEG; within one level of `kseg.plots.overlay` before encoding.

    Args:
        image: (H, W, 1) or (H, W, 3), uint8, no side above MAX_SIDE.
        label_map: (H, W), uint8, class ids.
        palette: (256, 3), uint8, colours by id.

    Returns:
        Scalar string.
    """
    colours = tf.constant(palette, tf.float32)

    def blend(image, ids):
        grey = tf.reduce_mean(tf.cast(image, tf.float32), axis=-1, keepdims=True)
        blended = OPACITY * tf.gather(colours, tf.cast(ids, tf.int32)) + (1 - OPACITY) * grey
        return (tf.cast(blended, tf.uint8),)

    (drawn,) = map_groups(blend, [image, label_map], tf.maximum(BAND_PIXELS // tf.shape(image)[1], 1), (tf.uint8,))
    shape = tf.concat([tf.shape(label_map), [3]], axis=0)
    return tf.io.encode_jpeg(tf.ensure_shape(tf.reshape(drawn, shape), (None, None, 3)), format="rgb")
