"""Networks of keras.applications as encoders: MobileNetV2, MobileNetV3 and EfficientNetV2-B0. `keras` only.

They pad for the size that they are built for, so the image is first extended by reflection to the next multiple of 32.
"""

from __future__ import annotations

import functools

import keras
from keras import layers

from kseg._checks import check_arguments
from kseg.encoders.features import finish, strides
from kseg.layers import ReflectionPadding2D

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of ImageNet, red, green and blue, in grey levels, for EfficientNetV2-B0."""


def mobilenet_v2(image, *, width: float = 1.0, weights=None, trainable: bool = True) -> list:
    """MobileNetV2 (Sandler et al. 2018). Arguments and result as for `efficientnet_v2_b0`; `width` multiplies channels."""
    check_arguments(width=width)
    return _build(image, functools.partial(keras.applications.MobileNetV2, alpha=width), weights, trainable)


def mobilenet_v3_small(image, *, width: float = 1.0, weights=None, trainable: bool = True) -> list:
    """MobileNetV3-Small (Howard et al. 2019). Arguments and result as for `efficientnet_v2_b0`; `width` multiplies channels."""
    check_arguments(width=width)
    donor = functools.partial(keras.applications.MobileNetV3Small, alpha=width, include_preprocessing=False)
    return _build(image, donor, weights, trainable)


def mobilenet_v3_large(image, *, width: float = 1.0, weights=None, trainable: bool = True) -> list:
    """MobileNetV3-Large (Howard et al. 2019). Arguments and result as for `efficientnet_v2_b0`; `width` multiplies channels."""
    check_arguments(width=width)
    donor = functools.partial(keras.applications.MobileNetV3Large, alpha=width, include_preprocessing=False)
    return _build(image, donor, weights, trainable)


def efficientnet_v2_b0(image, *, weights=None, trainable: bool = True) -> list:
    """EfficientNetV2-B0 (Tan and Le 2021).

    Args:
        image: (B, H, W, C) in [0, 255]; normalisation is inside.
        weights: None for random weights, "imagenet", or a file, see `kseg.encoders.weights.fill`.
        trainable: False freezes the encoder and its batch statistics.

    Returns: the last map at each of the strides 2, 4, 8, 16 and 32, of the image extended to the next multiple of 32.
    """
    donor = functools.partial(keras.applications.EfficientNetV2B0, include_preprocessing=False)
    channels = image.shape[-1]
    mean, deviation = (values if channels == 3 else (sum(values) / 3,) * channels for values in (MEAN, DEVIATION))
    normalization = layers.Normalization(mean=mean, variance=[value**2 for value in deviation], name="normalization")
    return _build(image, donor, weights, trainable, normalization)


def _build(image, donor, weights, trainable, normalization=None):
    check_arguments(trainable=trainable)
    x = (normalization or layers.Rescaling(1 / 127.5, offset=-1.0, name="normalization"))(image)
    x = ReflectionPadding2D(0, multiple=32, name="border")(x)
    network = donor(input_tensor=x, weights=None, include_top=False)
    kept = [layer for layer in network.layers if not isinstance(layer, layers.ZeroPadding2D)]
    maps = [layer.output for layer in kept if len(layer.output.shape) == 4]
    last = {
        stride: value for stride, value in zip(strides(image, maps), maps, strict=True) if stride in (2, 4, 8, 16, 32)
    }
    return finish(image, [last[stride] for stride in sorted(last)], weights=weights, trainable=trainable, donor=donor)
