"""VGG16 (Simonyan and Zisserman 2015, arXiv:1409.1556). `keras` only."""

from __future__ import annotations

import keras
from keras import layers

from kseg._checks import check_arguments, check_choice, check_integer
from kseg.blocks import conv_stack, scale_channels
from kseg.encoders.features import finish
from kseg.layers import ImageNetNormalization

VGG16_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of convolutions of each stage."""


def vgg16(
    image,
    *,
    width: float = 1.0,
    batch_normalization: bool = False,
    margin: int = 0,
    weights=None,
    trainable: bool = True,
) -> list:
    """VGG16's thirteen convolutions (14,714,688 weights for RGB), with layers named as in `keras.applications`.

    Args:
        image: (B, H, W, C) in [0, 255]; normalisation is inside.
        width: multiplies the channels of every convolution.
        batch_normalization: whether batch normalisation precedes each ReLU (not in the paper), to train from random weights.
        margin: zeros around the normalised image, in pixels, including the first convolution's padding of 1; the FCN paper
            uses 100.
        weights: None for random weights, "imagenet", or a file, see `kseg.encoders.weights.fill`.
        trainable: False freezes the encoder.

    Returns: the five pooled maps, at strides 2, 4, 8, 16 and 32; sizes are rounded up.

    Source: Simonyan and Zisserman 2015, configuration D.
    """
    check_arguments(width=width, batch_normalization=batch_normalization, trainable=trainable)
    check_integer("margin", margin, minimum=0)
    x = ImageNetNormalization(name="normalization")(image)
    features = []
    if margin:
        x = layers.ZeroPadding2D(margin - 1, name="margin")(x)
    for stage, (filters, depth) in enumerate(VGG16_STAGES, start=1):
        x = conv_stack(
            x,
            scale_channels(filters, width),
            depth=depth,
            name=f"block{stage}",
            batch_normalization=batch_normalization,
        )
        x = layers.MaxPooling2D(padding="same", name=f"block{stage}_pool")(x)
        features.append(x)
    return finish(image, features, weights=weights, trainable=trainable, donor=keras.applications.VGG16)


def vgg16_dilated(
    image,
    *,
    width: float = 1.0,
    batch_normalization: bool = False,
    padding: str = "same",
    weights=None,
    trainable: bool = True,
) -> list:
    """VGG16 without its last two poolings: the stride stays 8, and the last stage is dilated by 2. The same weight files load.

    Args:
        image: (B, H, W, C) in [0, 255]; normalisation is inside.
        width: multiplies the channels of every convolution.
        batch_normalization: whether batch normalisation precedes each ReLU.
        padding: "same", or "valid", with which each convolution shrinks the map.
        weights: None for random weights, "imagenet", or a file, see `kseg.encoders.weights.fill`.
        trainable: False freezes the encoder.

    Returns: the pooled maps of strides 2 and 4, and the last map, of stride 8.

    Source: Yu and Koltun 2016 (arXiv:1511.07122), section 4.
    """
    check_arguments(width=width, batch_normalization=batch_normalization, trainable=trainable)
    check_choice("padding", padding, ("same", "valid"))
    x = ImageNetNormalization(name="normalization")(image)
    features = []
    for stage, (filters, depth) in enumerate(VGG16_STAGES, start=1):
        x = conv_stack(
            x,
            scale_channels(filters, width),
            depth=depth,
            name=f"block{stage}",
            padding=padding,
            dilation_rate=2 if stage == 5 else 1,
            batch_normalization=batch_normalization,
        )
        if stage <= 3:
            x = layers.MaxPooling2D(padding=padding, name=f"block{stage}_pool")(x)
        features.append(x)
    features = [*features[:2], features[-1]]
    return finish(image, features, weights=weights, trainable=trainable, donor=keras.applications.VGG16)
