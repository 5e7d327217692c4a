"""Colours of other images: mean and deviation of their channels. TensorFlow only, because it runs inside `tf.data`."""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

SMALLEST_DEVIATION = 1.0
"""Grey levels; a flatter channel is not spread further."""


def take_colours(images, others):
    """Images with the mean and deviation of the channels of other images, and within the ranges of these.

    Pixels that are 0 in all channels, such as padding, do not count and stay 0. An image without any others, such as a black
    one, has no colours to take.

    Args:
        images: (B, H, W, C), numbers.
        others: (B', H', W', C), numbers; image i takes the colours of i modulo B'.

    Returns:
        (B, H, W, C), float32.

    Source: Reinhard et al. 2001, Color Transfer between Images, in the channels as they are.
    """
    images, others = tf.cast(images, tf.float32), tf.cast(others, tf.float32)
    (seen, mean, deviation), (seen_there, mean_there, deviation_there) = _statistics(images), _statistics(others)
    lowest = tf.reduce_min(tf.where(seen_there, others, others.dtype.max), axis=(1, 2), keepdims=True)
    highest = tf.reduce_max(tf.where(seen_there, others, others.dtype.min), axis=(1, 2), keepdims=True)
    partner = tf.range(tf.shape(images)[0]) % tf.shape(others)[0]
    has_colours = tf.reduce_any(seen_there, axis=(1, 2), keepdims=True)
    has_colours, lowest, highest, mean_there, deviation_there = (
        tf.gather(values, partner) for values in (has_colours, lowest, highest, mean_there, deviation_there)
    )
    changed = (images - mean) * deviation_there / tf.maximum(deviation, SMALLEST_DEVIATION) + mean_there
    return tf.where(tf.logical_and(seen, has_colours), tf.clip_by_value(changed, lowest, highest), images)


def _statistics(images):
    """Which pixels count, (B, H, W, 1); mean and deviation of each channel over them, (B, 1, 1, C)."""
    seen = tf.reduce_any(images != 0, axis=-1, keepdims=True)
    weights = tf.cast(seen, images.dtype)
    count = tf.maximum(tf.reduce_sum(weights, axis=(1, 2), keepdims=True), 1.0)
    mean = tf.reduce_sum(weights * images, axis=(1, 2), keepdims=True) / count
    variance = tf.reduce_sum(weights * (images - mean) ** 2, axis=(1, 2), keepdims=True) / count
    return seen, mean, tf.sqrt(variance)
