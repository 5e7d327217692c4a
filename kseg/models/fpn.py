"""Panoptic FPN's semantic branch (Kirillov et al. 2019, arXiv:1901.02446), and a lighter pyramid of our own. `keras` only.

A pyramid sums each map of the encoder with the coarser ones, enlarged, so that fine positions know what coarse ones saw.
"""

from __future__ import annotations

import itertools
import math

import keras
from keras import layers

from kseg._checks import check_arguments, check_choice, check_integers
from kseg.blocks import activate, conv_norm, scale_channels, score
from kseg.encoders.features import strides
from kseg.encoders.names import encode
from kseg.encoders.resnet import resnet50, resnet101
from kseg.layers import CropToMatch, ImagePooling2D, Interpolation2D

RESNETS = {50: resnet50, 101: resnet101}
STRIDES = (4, 8, 16, 32)
"""Of the pyramid's levels."""
GROUPS = 32
"""Groups of channels that are normalised together (Wu and He 2018, arXiv:1803.08494)."""


def FPN(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    depth: int = 101,
    width: float = 1.0,
    encoder=None,
    weights=None,
    activation: str | None = None,
    name: str = "fpn",
) -> keras.Model:
    """The semantic branch of panoptic feature pyramid networks.

    A pyramid of 256 channels at strides 4 to 32; from each level, 3x3 convolutions of 128 channels and bilinear doublings up to
    stride 4, where all are summed (figure 3).

    Args:
        num_classes: K.
        input_shape: (H, W, C); None where any size may come.
        depth: 50 or 101 layers of the ResNet.
        width: multiplies every channel count.
        encoder: name in `kseg.encoders.ENCODERS`, such as "efficientnet_lite0", or function `image -> features`, which must have
            a feature at each of the strides 4, 8, 16 and 32. None: the ResNet of `depth`.
        weights: of the encoder: None for random weights, "imagenet", or a file, see `kseg.encoders.weights.fill`.
        activation: None for logits, "softmax" for probabilities.
        name: of the model.

    Returns: model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32, for any H and W.

    Raises:
        ValueError: an argument is out of range, or the encoder lacks a stride.

    Example:
        >>> kseg.FPN(21, encoder="efficientnet_lite0", width=0.25).output_shape  # or weights="imagenet" and width 1
        (None, None, None, 21)

    Source: section 3.1; the pyramid is that of Lin et al. 2017 (arXiv:1612.03144), section 3, enlarged by nearest neighbours, and
        the branch uses group normalisation. 28,505,493 parameters for ResNet-50 and 21 classes without its moving averages.
    """
    check_arguments(num_classes=num_classes, input_shape=input_shape, width=width, activation=activation)
    check_choice("depth", depth, RESNETS)
    image = keras.Input(input_shape, name="image")
    pyramid = _pyramid(_features(image, encoder, weights, depth, width), scale_channels(256, width))
    finest = pyramid[0]
    branches = [
        _branch(level, finest, stride, scale_channels(128, width))
        for stride, level in zip(STRIDES, pyramid, strict=True)
    ]
    x = layers.Add(name="branch_sum")(branches)
    x = score(x, num_classes, name="score", kernel_initializer="he_normal")
    return _upsample_to(image, x, STRIDES[0], activation, name)


def LightFPN(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    filters: tuple[int, ...] = (32, 64, 96, 96, 128),
    encoder="efficientnet_lite0",
    weights=None,
    activation: str | None = None,
    name: str = "light_fpn",
) -> keras.Model:
    """A narrow pyramid down to stride 2, for small machines; ours, not from a paper.

    At the top, a 1x1 convolution and the mean over the image. From there, at each level: the coarser map, brought to the level's
    channels and doubled bilinearly, plus a 1x1 convolution of the encoder's map, then a 3x3 convolution; all with batch
    normalisation, since the encoder's maps may have any deviation. Scores are computed at the finest level.

    Args:
        num_classes: K.
        input_shape: (H, W, C); None where any size may come.
        filters: channels of the levels, fine to coarse; one for each feature of the encoder.
        encoder: name in `kseg.encoders.ENCODERS` or function `image -> features`, with features at strides that double.
        weights: of the encoder: None for random weights, "imagenet", or a file, see `kseg.encoders.weights.fill`.
        activation: None for logits, "softmax" for probabilities.
        name: of the model.

    Returns: model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32, for any H and W.

    Raises:
        ValueError: an argument is out of range, `filters` has another length than the encoder has features, or strides do not
            double.

    Example:
        >>> kseg.LightFPN(11).output_shape  # or weights="imagenet"
        (None, None, None, 11)
    """
    check_arguments(num_classes=num_classes, input_shape=input_shape, activation=activation)
    check_integers("filters", filters)
    image = keras.Input(input_shape, name="image")
    features = encode(image, encoder, weights=weights)
    found = strides(image, features)
    if len(filters) != len(found) or any(coarse != 2 * fine for fine, coarse in itertools.pairwise(found)):
        raise ValueError(
            "`filters` must have one number for each feature of `encoder`, whose strides must double. "
            f"Received: filters={filters}, features at strides {found}."
        )
    x = _top(features[-1], filters[-1])
    for stride, feature, channels in reversed(list(zip(found[:-1], features[:-1], filters[:-1], strict=True))):
        x = _add_finer(x, feature, channels, name=f"level{stride}")
    x = score(x, num_classes, name="score", kernel_initializer="he_normal")
    return _upsample_to(image, x, found[0], activation, name)


def _features(image, encoder, weights, depth, width) -> list:
    """The encoder's features at the strides of the pyramid."""
    settings = {"weights": weights, "width": width}
    features = RESNETS[depth](image, **settings) if encoder is None else encode(image, encoder, **settings)
    found = strides(image, features)
    if not set(STRIDES) <= set(found):
        raise ValueError(f"`encoder` must have features of strides {STRIDES}. Received: features of strides {found}.")
    return [features[found.index(stride)] for stride in STRIDES]


def _pyramid(features, channels) -> list:
    """Maps of `channels` channels at the features' sizes, fine to coarse, each with what the coarser ones hold."""
    pyramid, above = [], None
    for stride, feature in reversed(list(zip(STRIDES, features, strict=True))):
        x = _conv(feature, channels, 1, name=f"lateral{stride}")
        if above is not None:
            above = Interpolation2D(2, "nearest", name=f"pyramid{stride}_up")(above)
            x = layers.Add(name=f"pyramid{stride}_add")([x, CropToMatch(name=f"pyramid{stride}_crop")([above, x])])
        pyramid.insert(0, _conv(x, channels, 3, name=f"pyramid{stride}_conv"))
        above = x
    return pyramid


def _branch(x, finest, stride, channels):
    """3x3 convolutions, each of which but at stride 4 is followed by doubling, until `x` has the size of `finest`."""
    doublings = STRIDES.index(stride)
    for number in range(1, max(1, doublings) + 1):
        name = f"branch{stride}_{number}"
        x = _conv(x, channels, 3, use_bias=False, name=f"{name}_conv")
        x = layers.GroupNormalization(math.gcd(GROUPS, channels), name=f"{name}_norm")(x)
        x = layers.ReLU(name=f"{name}_relu")(x)
        if doublings:
            x = Interpolation2D(2, name=f"{name}_up")(x)
    return CropToMatch(name=f"branch{stride}_crop")([x, finest])


def _top(x, channels):
    """The coarsest level: a 1x1 convolution plus the mean over the image, then a 3x3 convolution."""
    mean = conv_norm(ImagePooling2D(1, name="coarsest_image_mean")(x), channels, name="coarsest_image")
    x = layers.Add(name="coarsest_add")([conv_norm(x, channels, name="coarsest_lateral"), mean])
    return conv_norm(x, channels, 3, name="coarsest")


def _add_finer(x, feature, channels, *, name):
    """The coarser map `x`, doubled, plus the encoder's `feature`, at its size."""
    if x.shape[-1] != channels:
        x = conv_norm(x, channels, name=f"{name}_narrow")
    lateral = conv_norm(feature, channels, name=f"{name}_lateral")
    x = CropToMatch(name=f"{name}_crop")([Interpolation2D(2, name=f"{name}_up")(x), lateral])
    return conv_norm(layers.Add(name=f"{name}_add")([x, lateral]), channels, 3, name=name)


def _conv(x, channels, size, *, name, use_bias=True):
    return layers.Conv2D(channels, size, padding="same", use_bias=use_bias, kernel_initializer="he_normal", name=name)(
        x
    )


def _upsample_to(image, scores, factor, activation, name):
    x = Interpolation2D(factor, dtype="float32", name="up_image")(scores)
    x = CropToMatch(dtype="float32", name="logits")([x, image])
    return keras.Model(image, activate(x, activation), name=name)
