"""Images of 16 bits and of floating-point numbers in the range that networks expect. TensorFlow only, for graphs.

Networks of kseg take levels in [0, 255], and normalise them by constants. Numbers without such a range become levels by the mean
and the standard deviation that each channel has in the training data: 128 is the mean, 64 levels are one deviation, as in usual
photographs. Nothing is cut off, so rare large values stay apart.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

MEAN, DEVIATION = 128.0, 64.0
"""Levels of the mean, and of one standard deviation."""


def to_levels(image, normalization=None):
    """An image as levels.

    Args:
        image: tensor (..., H, W, C), any real type.
        normalization: "mean" and "deviation" of each channel, (C,), in units of the image; None: the image holds levels.

    Returns:
        (..., H, W, C), float32.

    Example:
        >>> to_levels(tf.constant([[[900.0, 0.5]]]), {"mean": [1000.0, 0.5], "deviation": [200.0, 0.1]}).numpy().tolist()
        [[[96.0, 128.0]]]
    """
    image = tf.cast(image, tf.float32)
    if normalization is None:
        return image
    mean, deviation = (tf.constant(normalization[name], tf.float32) for name in ("mean", "deviation"))
    return MEAN + DEVIATION * ((image - mean) / deviation)


def check_normalization(normalization, channels: int, dtype: str):
    """Refuses constants that do not fit images.

    Args:
        normalization: as in `to_levels`.
        channels: C.
        dtype: of the images.

    Raises:
        ValueError: there is not one mean and one positive deviation for each channel, nor none at all where `dtype` is uint8.
    """
    if normalization is None and dtype == "uint8":
        return
    values = [list((normalization or {}).get(name, ())) for name in ("mean", "deviation")]
    if [len(each) for each in values] != [channels] * 2 or not min(values[1]) > 0:
        raise ValueError(
            f"`normalization` must hold a mean and a deviation above 0 for each of {channels} channels of {dtype}. "
            f"Received: normalization={normalization}. pipeline.components.transform computes them."
        )
