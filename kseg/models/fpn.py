"""Feature pyramids for segmentation: the panoptic FPN's semantic branch (Kirillov et al. 2019), and a lighter one of ours.

Both take the features of any trunk, coarse and fine, and bring them together from the top down. `keras` only.
"""

from __future__ import annotations

import functools

import keras
from keras import layers

from kseg.blocks import activate, conv_norm, scaled, score
from kseg.encoders.features import strides
from kseg.encoders.resnet import resnet50, resnet101
from kseg.layers import CropToMatch, ImagePooling2D, Interpolation2D, ResizeToMatch

RESNETS = {50: resnet50, 101: resnet101}
LEVELS = (4, 8, 16, 32)
"""Strides of the pyramid of the panoptic FPN."""
GROUPS = 32
"""Of its group normalisation; fewer where the channels are fewer."""


def FPN(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    depth: int = 101,
    width: float = 1.0,
    encoder=None,
    activation: str | None = None,
    name: str = "fpn",
) -> keras.Model:
    """The semantic branch of Panoptic FPN on a feature pyramid of 256 channels.

    Features of strides 4 to 32 are projected to 256 channels and summed from the top down by doubling (nearest pixel); a 3x3
    convolution follows each sum. Each level is then brought to stride 4 by 3x3 convolution of 128 channels, group normalisation,
    ReLU and bilinear doubling, as often as it needs; the levels are summed and scored.

    Args:
        num_classes: K.
        input_shape: (H, W, C); None where any size may come.
        depth: 50 or 101 layers of the ResNet.
        width: multiplies every channel count.
        encoder: `image -> features` in place of the ResNet; it must have features of strides 4, 8, 16 and 32.
        activation: None for logits, "softmax" for probabilities.
        name: of the model.

    Returns: model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32, for any H and W.

    Raises:
        ValueError: `depth` is neither, or the encoder lacks a stride.

    Source: Kirillov et al. 2019 (arXiv:1901.02446), section 3 and figure 3; Lin et al. 2017 (arXiv:1612.03144), section 3.
    """
    if depth not in RESNETS:
        raise ValueError(f"`depth` must be 50 or 101. Received: depth={depth}.")
    image = keras.Input(input_shape, name="image")
    features = (encoder or functools.partial(RESNETS[depth], width=width))(image)
    pyramid = _pyramid(_by_stride(image, features), scaled(256, width))
    levels = [_to_stride_4(pyramid[stride], stride, scaled(128, width)) for stride in LEVELS]
    finest = levels[0]
    x = layers.Add(name="semantic_sum")([finest, *(CropToMatch()([level, finest]) for level in levels[1:])])
    x = score(x, num_classes, name="score", kernel_initializer="he_normal")
    x = Interpolation2D(4, dtype="float32", name="up_image")(x)
    x = CropToMatch(dtype="float32", name="logits")([x, image])
    return keras.Model(image, activate(x, activation), name=name)
