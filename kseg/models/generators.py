"""Generators of `kseg.GAN`: from noise to images or label maps. `keras` only."""

from __future__ import annotations

import keras
from keras import layers

from kseg._checks import check_arguments, check_boolean, check_integer
from kseg.blocks import batch_norm

START = 4
"""Height and width of the first map, in pixels."""


def DCGAN(
    channels: int,
    *,
    noise: int = 100,
    size: int = 32,
    base_filters: int = 64,
    label_map: bool = False,
    batch_normalization: bool = True,
    name: str = "dcgan",
) -> keras.Model:
    """Noise through transposed convolutions, each of which doubles the size.

    A dense layer makes a map of 4 x 4; each 4x4 transposed convolution of stride 2 halves the channels, down to `base_filters`
    before the last one, with ReLU between.

    Args:
        channels: of the image, or K of the label map.
        noise: Z, length of the noise.
        size: height and width of the output in pixels: 8, 16, 32, 64, ...
        base_filters: channels of the last hidden map.
        label_map: whether the output is the probabilities of a label map, a softmax over its channels, instead of an image.
        batch_normalization: whether batch normalisation precedes each ReLU, as in the paper.
        name: of the model.

    Returns: model from `noise` (B, Z) to an image (B, size, size, channels) in [0, 255], or to probabilities
        (B, size, size, channels), float32.

    Raises:
        ValueError: `size` is not 4 times a power of 2, or is less than 8; or another argument is out of range.

    Example:
        >>> kseg.generators.DCGAN(3, base_filters=8).output_shape
        (None, 32, 32, 3)

    Source: Radford et al. 2016 (arXiv:1511.06434), section 3; at 64 x 64 they start from 1024 channels, `base_filters=128`.
    """
    check_arguments(channels=channels, base_filters=base_filters, batch_normalization=batch_normalization)
    check_integer("noise", noise)
    check_integer("size", size)
    check_boolean("label_map", label_map)
    doublings = (size // START).bit_length() - 1
    if size < 2 * START or size != START * 2**doublings:
        raise ValueError(f"`size` must be 8, 16, 32, 64, ... Received: size={size}.")
    settings = {"kernel_initializer": keras.initializers.RandomNormal(stddev=0.02)}
    x = inputs = keras.Input((noise,), name="noise")
    first = base_filters * 2 ** (doublings - 1)
    x = layers.Dense(START * START * first, name="start_dense", **settings)(x)
    x = layers.Reshape((START, START, first), name="start_map")(x)
    for level in range(1, doublings + 1):
        stage = f"up{level}"
        if batch_normalization:
            x = batch_norm(f"{stage}_norm")(x)
        x = layers.ReLU(name=f"{stage}_relu")(x)
        filters = channels if level == doublings else first // 2**level
        x = layers.Conv2DTranspose(filters, 4, 2, padding="same", name=f"{stage}_conv", **settings)(x)
    if label_map:
        return keras.Model(inputs, layers.Softmax(dtype="float32", name="probabilities")(x), name=name)
    x = layers.Activation("tanh", dtype="float32", name="tanh")(x)
    return keras.Model(inputs, layers.Rescaling(127.5, 127.5, dtype="float32", name="image")(x), name=name)
