"""A fully convolutional network that never downsamples: the simplest, most costly way to label every pixel. `keras` only."""

from __future__ import annotations

import keras
from keras import layers

from kseg._checks import check_arguments
from kseg.blocks import activate, conv_stack, scale_channels, score


def FullResolutionFCN(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    depth: int = 8,
    width: float = 1.0,
    batch_normalization: bool = False,
    activation: str | None = None,
    name: str = "full_resolution_fcn",
) -> keras.Model:
    """`depth` 3x3 convolutions with ReLU at the image's own resolution, and a 1x1 score.

    Every layer adds a pixel on each side, so the receptive field is 1 + 2 * depth pixels: to see the 404 pixels of FCN's fc7 it
    would take 202 layers. That is why the other networks downsample or dilate.

    Args:
        num_classes: K.
        input_shape: (H, W, C); None where any size may come.
        depth: number L of 3x3 convolutions.
        width: multiplies the 64 channels of each.
        batch_normalization: whether batch normalisation precedes each ReLU.
        activation: None for logits, "softmax" for probabilities.
        name: of the model.

    Returns: model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32, for any H and W.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> kseg.receptive_field(kseg.FullResolutionFCN(8, depth=8)).extent
        17

    Source: the first idea of a fully convolutional network, before the downsampling of Long et al. 2015 (arXiv:1411.4038).
    """
    check_arguments(num_classes=num_classes, input_shape=input_shape, depth=depth, width=width)
    check_arguments(batch_normalization=batch_normalization, activation=activation)
    image = keras.Input(input_shape, name="image")
    x = layers.Rescaling(1 / 64, offset=-2.0, name="normalization")(image)
    x = conv_stack(x, scale_channels(64, width), depth=depth, name="stack", batch_normalization=batch_normalization)
    logits = score(x, num_classes, name="logits", kernel_initializer="he_normal", dtype="float32")
    return keras.Model(image, activate(logits, activation), name=name)
