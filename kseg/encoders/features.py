"""The last steps of every encoder: weights from a file, freezing, and the strides of its features. `keras` only."""

from __future__ import annotations

import keras

from kseg.encoders.weights import fill

PROBE = 256
"""Rows and columns of the image that strides are measured with, where the network takes any size."""
POWERS = (1, 2, 4, 8, 16, 32, 64)


def finish(image, features: list, *, weights, trainable: bool, donor=None) -> list:
    """Loads and freezes the encoder's weights; returns the features.

    Args:
        image: (B, H, W, C), where the encoder begins.
        features: its maps.
        weights: None, "imagenet" or a file, see `kseg.encoders.weights.fill`.
        trainable: False freezes the weights and the batch statistics.
        donor: makes the network of keras.applications with the ImageNet weights.
    """
    model = keras.Model(image, features)
    if weights is not None:
        fill(model, weights, donor)
    if not trainable:
        for layer in model.layers:
            layer.trainable = False
    return features


def strides(image, features: list) -> list[int]:
    """Pixels of the image per position of each feature, powers of two, from shapes alone.

    With a small image of known size several strides give the same map: the smallest above the previous feature's is taken.
    """
    lengths = [length or PROBE for length in image.shape[1:3]]
    axis = lengths.index(max(lengths))
    probe = keras.KerasTensor((1, *lengths, image.shape[3]), dtype=image.dtype)
    found = [1]
    for feature in keras.Model(image, features).compute_output_spec(probe):
        errors = {stride: abs(-(-lengths[axis] // stride) - feature.shape[1 + axis]) for stride in POWERS}
        likely = [stride for stride in POWERS if errors[stride] == min(errors.values())]
        found.append(next((stride for stride in likely if stride > found[-1]), likely[-1]))
    return found[1:]
