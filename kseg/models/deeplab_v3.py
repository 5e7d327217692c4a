"""DeepLabv3 (Chen et al. 2017, arXiv:1706.05587) and DeepLabv3+ (Chen et al. 2018, arXiv:1802.02611). `keras` only.

A ResNet with dilation in place of its last strides, context at several rates, and bilinear upsampling; the "+" sharpens the
result with features of stride 4.
"""

from __future__ import annotations

import keras
from keras import layers

from kseg._checks import check_arguments, check_choice, check_integers
from kseg.blocks import activate, aspp, conv_norm, scale_channels, score
from kseg.encoders.features import strides
from kseg.encoders.names import encode
from kseg.encoders.resnet import resnet50, resnet101, stage
from kseg.layers import CropToMatch, Interpolation2D

RATES = {16: (6, 12, 18), 8: (12, 24, 36)}
"""Dilations of the parallel branches by output stride."""
RESNETS = {50: resnet50, 101: resnet101}


def DeepLabV3(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    depth: int = 101,
    output_stride: int = 16,
    multi_grid: tuple[int, int, int] = (1, 2, 4),
    context: str = "parallel",
    width: float = 1.0,
    encoder=None,
    weights=None,
    dropout: float = 0.1,
    activation: str | None = None,
    name: str = "deeplab_v3",
) -> keras.Model:
    """DeepLabv3 with atrous convolution in parallel (figure 5) or in cascade (figure 3).

    Args:
        num_classes: K.
        input_shape: (H, W, C); None where any size may come.
        depth: 50 or 101 layers of the ResNet.
        output_stride: 16 or 8, of the encoder's last map.
        multi_grid: factors of the dilation within each of the encoder's last stages; the paper's best are (1, 2, 4) in parallel
            and (1, 2, 1) in cascade.
        context: "parallel", atrous spatial pyramid pooling with rates 6, 12 and 18, doubled at output stride 8; or "cascade",
            three more copies of the last stage, each with twice the dilation of the one before.
        width: multiplies every channel count.
        encoder: name in `kseg.encoders.ENCODERS`, such as "resnet50", or function `image -> features`; the last one must be at
            `output_stride`, which a named encoder is built with where it can dilate. None: the ResNet of `depth`.
        weights: of the encoder: None for random weights, "imagenet", or a file, see `kseg.encoders.weights.fill`.
        dropout: share of the features that is dropped before the scores.
        activation: None for logits, "softmax" for probabilities.
        name: of the model.

    Returns: model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32, for any H and W.

    Raises:
        ValueError: an argument is out of range, or none of those listed; an encoder comes with "cascade", or ends at another
            stride.

    Example:
        >>> kseg.DeepLabV3(21, encoder="resnet50", width=0.1).output_shape  # or weights="imagenet" and width 1
        (None, None, None, 21)

    Source: sections 3 and 4.
    """
    _check(num_classes, input_shape, depth, output_stride, multi_grid, width, dropout, activation)
    check_choice("context", context, ("parallel", "cascade"))
    if encoder is not None and context == "cascade":
        raise ValueError(
            '`context` must be "parallel" with an `encoder`: the cascade repeats the last stage of the ResNet. '
            f"Received: context={context!r}, encoder={encoder}."
        )
    image = keras.Input(input_shape, name="image")
    *_, x = _features(image, encoder, weights, depth, output_stride, multi_grid, width)
    if context == "parallel":
        x = aspp(x, scale_channels(256, width), rates=RATES[output_stride])
    else:
        x = _cascade(x, scale_channels(512, width), 32 // output_stride, multi_grid)
    x = layers.Dropout(dropout, name="head_dropout")(x)
    x = score(x, num_classes, name="score", kernel_initializer="he_normal")
    return _upsample_to(image, x, output_stride, activation, name)


def DeepLabV3Plus(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    depth: int = 101,
    output_stride: int = 16,
    multi_grid: tuple[int, int, int] = (1, 2, 4),
    width: float = 1.0,
    encoder=None,
    weights=None,
    dropout: float = 0.1,
    activation: str | None = None,
    name: str = "deeplab_v3_plus",
) -> keras.Model:
    """DeepLabv3 with a decoder: its features, upsampled to stride 4, are refined with those of the encoder's second stage.

    Arguments, result and errors as for `DeepLabV3`, in parallel. An `encoder` must also have a feature of stride 4.

    Source: section 3.1 and figure 2: 48 channels of low-level features, two 3x3 convolutions of 256 channels. The encoder is the
        ResNet; the paper's best results are with Xception.
    """
    _check(num_classes, input_shape, depth, output_stride, multi_grid, width, dropout, activation)
    image = keras.Input(input_shape, name="image")
    features = _features(image, encoder, weights, depth, output_stride, multi_grid, width)
    found = strides(image, features)
    if 4 not in found:
        raise ValueError(f"`encoder` must have a feature of stride 4. Received: features of strides {found}.")
    low = conv_norm(features[found.index(4)], scale_channels(48, width), name="decoder_low")
    x = aspp(features[-1], scale_channels(256, width), rates=RATES[output_stride])
    x = layers.Dropout(dropout, name="head_dropout")(x)
    x = Interpolation2D(output_stride // 4, name="decoder_up")(x)
    x = CropToMatch(name="decoder_crop")([x, low])
    x = layers.Concatenate(name="decoder_join")([x, low])
    for i in (1, 2):
        x = conv_norm(x, scale_channels(256, width), 3, name=f"decoder{i}")
    x = score(x, num_classes, name="score", kernel_initializer="he_normal")
    return _upsample_to(image, x, 4, activation, name)


def _check(num_classes, input_shape, depth, output_stride, multi_grid, width, dropout, activation):
    check_arguments(
        num_classes=num_classes, input_shape=input_shape, width=width, dropout=dropout, activation=activation
    )
    check_choice("depth", depth, RESNETS)
    check_choice("output_stride", output_stride, sorted(RATES))
    check_integers("multi_grid", multi_grid, length=3)


def _features(image, encoder, weights, depth, output_stride, multi_grid, width):
    settings = {"weights": weights, "output_stride": output_stride, "multi_grid": multi_grid, "width": width}
    if encoder is None:
        return RESNETS[depth](image, **settings)
    features = encode(image, encoder, **settings)
    found = strides(image, features)
    if found[-1] != output_stride:
        raise ValueError(
            "`encoder` must end at `output_stride`. Received: features of strides "
            f"{found}, output_stride={output_stride}. Take an encoder that dilates, or drop its last features."
        )
    return features


def _cascade(x, filters, dilation, multi_grid):
    """Blocks 5 to 7: the last stage again, with twice the dilation each time."""
    for number in (6, 7, 8):
        dilation *= 2
        rates = [dilation * factor for factor in multi_grid]
        x = stage(x, filters, stride=1, rates=rates, name=f"conv{number}")
    return x


def _upsample_to(image, scores, factor, activation, name):
    x = Interpolation2D(factor, dtype="float32", name="up_image")(scores)
    x = CropToMatch(dtype="float32", name="logits")([x, image])
    return keras.Model(image, activate(x, activation), name=name)
