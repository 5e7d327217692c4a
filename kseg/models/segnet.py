"""SegNet and SegNet-Basic (Badrinarayanan, Kendall, Cipolla 2017, arXiv:1511.00561). `keras` only.

The decoder puts each value where the encoder's pooling found the maximum.
"""

from __future__ import annotations

import keras
from keras import layers

from kseg._checks import check_arguments, check_choice
from kseg.blocks import activate, batch_norm, max_pool, scale_channels, score, upsample
from kseg.encoders.vgg import VGG16_STAGES
from kseg.layers import CropToMatch, ImageNetNormalization, LocalResponseNormalization
from kseg.layers.upsampling import MODES

DECODER = ((512, 512, 512), (512, 512, 256), (256, 256, 128), (128, 64), (64,))
"""Channels of each stage's convolutions, coarse to fine; the 26th convolution gives the classes."""


def SegNet(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    width: float = 1.0,
    upsampling: str = "max_unpooling",
    activation: str | None = None,
    name: str = "segnet",
) -> keras.Model:
    """SegNet: the 13 convolutions of VGG16, and their mirror image.

    The encoder hands the decoder the position of each maximum, 2 bits per pooled value, instead of feature maps as in U-Net.

    Args:
        num_classes: K.
        input_shape: (H, W, C); None where any size may come.
        width: multiplies the channels of every convolution but the last.
        upsampling: one of "bed_of_nails", "nearest", "bilinear", "bicubic", "max_unpooling" (the paper's),
            "transposed_bilinear", "transposed_random"; see `kseg.layers.Upsampling`.
        activation: None for logits, "softmax" for probabilities.
        name: of the model.

    Returns: model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32, for any H and W.

    Raises:
        ValueError: an argument is out of range, or none of those listed.

    Example:
        >>> kseg.SegNet(11, width=0.125).count_params()
        465627

    Source: section 3 and figure 2; the authors' segnet_train.prototxt; 29,449,355 trainable parameters for 11 classes. The
        encoder's layers are named as VGG16's in `keras.applications`, so that its weights can be copied by name.
    """
    _check(num_classes, input_shape, width, upsampling, activation)
    image = keras.Input(input_shape, name="image")
    x = ImageNetNormalization(name="normalization")(image)
    pooled = []
    for stage, (filters, depth) in enumerate(VGG16_STAGES, start=1):
        for i in range(1, depth + 1):
            x = _convolution(x, scale_channels(filters, width), 3, f"block{stage}", i)
        fine = x
        x, indices = max_pool(fine, upsampling == "max_unpooling", name=f"block{stage}_pool")
        pooled.append((fine, indices))
    for stage, (fine, indices), channels in zip(range(5, 0, -1), reversed(pooled), DECODER, strict=True):
        x = _upsample(x, upsampling, fine, indices, f"decode{stage}")
        for i, filters in enumerate(channels, start=1):
            x = _convolution(x, scale_channels(filters, width), 3, f"decode{stage}", i)
    x = layers.Conv2D(num_classes, 3, padding="same", kernel_initializer="he_normal", dtype="float32", name="logits")(x)
    return keras.Model(image, activate(x, activation), name=name)


def SegNetBasic(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    width: float = 1.0,
    upsampling: str = "max_unpooling",
    activation: str | None = None,
    name: str = "segnet_basic",
) -> keras.Model:
    """SegNet-Basic: four 7x7 convolutions down, four up without ReLU, and a 1x1 score.

    Local response normalisation scales the image's contrast by its own brightness, instead of constants.

    Args:
        num_classes: K.
        input_shape: (H, W, C); None where any size may come.
        width: multiplies the 64 channels of every convolution.
        upsampling: one of "bed_of_nails", "nearest", "bilinear", "bicubic", "max_unpooling" (the paper's),
            "transposed_bilinear", "transposed_random"; see `kseg.layers.Upsampling`.
        activation: None for logits, "softmax" for probabilities.
        name: of the model.

    Returns: model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32, for any H and W.

    Raises:
        ValueError: an argument is out of range, or none of those listed.

    Source: section 4; the authors' segnet_basic_train.prototxt; 1,416,587 trainable parameters for 11 classes.
    """
    _check(num_classes, input_shape, width, upsampling, activation)
    filters = scale_channels(64, width)
    image = keras.Input(input_shape, name="image")
    x = LocalResponseNormalization(name="normalization")(image)
    pooled = []
    for stage in range(1, 5):
        fine = _convolution(x, filters, 7, f"encode{stage}")
        x, indices = max_pool(fine, upsampling == "max_unpooling", name=f"encode{stage}_pool")
        pooled.append((fine, indices))
    for stage, (fine, indices) in zip(range(4, 0, -1), reversed(pooled), strict=True):
        x = _upsample(x, upsampling, fine, indices, f"decode{stage}")
        x = _convolution(x, filters, 7, f"decode{stage}", relu=False)
    x = score(x, num_classes, name="logits", kernel_initializer="he_normal", dtype="float32")
    return keras.Model(image, activate(x, activation), name=name)


def _check(num_classes, input_shape, width, upsampling, activation):
    check_arguments(num_classes=num_classes, input_shape=input_shape, width=width, activation=activation)
    check_choice("upsampling", upsampling, MODES)


def _convolution(x, filters, size, stage, number="", relu=True):
    """Convolution with a bias, which the authors count too, batch normalisation, and ReLU if `relu`."""
    x = layers.Conv2D(filters, size, padding="same", kernel_initializer="he_normal", name=f"{stage}_conv{number}")(x)
    x = batch_norm(f"{stage}_norm{number}")(x)
    return layers.ReLU(name=f"{stage}_relu{number}")(x) if relu else x


def _upsample(x, mode, fine, indices, stage):
    x = upsample(x, mode, 2, filters=x.shape[-1], indices=indices, name=stage)
    return CropToMatch(name=f"{stage}_crop")([x, fine])
