"""What every trunk does at its end: weights from a file, freezing, and the strides of its features. `keras` only."""

from __future__ import annotations

import math

import keras

from kseg.encoders.weights import fill

PROBE = 256
"""Rows and columns of the image that strides are told from, where the network takes any."""


def finished(image, features: list, *, weights, trainable: bool, donor=None) -> list:
    """The features themselves, with the trunk's weights filled and frozen as asked.

    Args:
        image: where the trunk begins, (B, H, W, C).
        features: its maps.
        weights: None, "imagenet" or a file, see `kseg.encoders.weights.fill`.
        trainable: False: no weight of the trunk learns, and its batch statistics stay.
        donor: makes the network of keras.applications whose ImageNet weights these are.
    """
    trunk = keras.Model(image, features)
    if weights is not None:
        fill(trunk, weights, donor)
    if not trainable:
        for layer in trunk.layers:
            layer.trainable = False
    return features


def strides(image, features: list) -> list[int]:
    """Pixels of the image for one position of each feature, powers of two, found by shapes alone."""
    rows = image.shape[1] or PROBE
    probe = keras.KerasTensor((1, rows, image.shape[2] or PROBE, image.shape[3]), dtype=image.dtype)
    maps = keras.Model(image, features).compute_output_spec(probe)
    return [2 ** round(math.log2(rows / feature.shape[1])) for feature in maps]
