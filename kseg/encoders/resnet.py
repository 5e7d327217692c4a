"""ResNet-50 and ResNet-101 (He et al. 2016, arXiv:1512.03385), with strides that can become dilation. `keras` only.

Layers are named as in `keras.applications`, whose weight files load. A stage without its stride computes at every position what
the strided one computes at every second: the dense features of DeepLab and PSPNet, from the same weights.
"""

from __future__ import annotations

import keras
from keras import layers

from kseg._checks import check_arguments, check_choice, check_integers
from kseg.blocks import batch_norm, scale_channels
from kseg.encoders.features import finish
from kseg.layers import ImageNetNormalization

FILTERS = (64, 128, 256, 512)
EPSILON = 1.001e-5  # as in keras.applications


def resnet50(
    image,
    *,
    width: float = 1.0,
    output_stride: int = 32,
    multi_grid: tuple[int, ...] = (1, 1, 1),
    stem: str = "7x7",
    weights=None,
    trainable: bool = True,
) -> list:
    """ResNet-50: 3, 4, 6 and 3 units. Arguments and result as for `resnet101`."""
    return _resnet((3, 4, 6, 3), keras.applications.ResNet50, **locals())


def resnet101(
    image,
    *,
    width: float = 1.0,
    output_stride: int = 32,
    multi_grid: tuple[int, ...] = (1, 1, 1),
    stem: str = "7x7",
    weights=None,
    trainable: bool = True,
) -> list:
    """ResNet-101: 3, 4, 23 and 3 units of three convolutions.

    Args:
        image: (B, H, W, C) in [0, 255]; normalisation is inside.
        width: multiplies every channel count.
        output_stride: 32, or 16 or 8, for which the last stage or two are dilated by 2, or by 2 and 4, instead of strided.
        multi_grid: factors of the dilation rates of the last stage's three units.
        stem: "7x7" as in the paper, with a bias in each convolution as in keras.applications; or "deep", the three 3x3
            convolutions of 64, 64 and 128 channels that PSPNet begins with, without biases.
        weights: None for random weights, "imagenet" (stem "7x7"), or a file, see `kseg.encoders.weights.fill`.
        trainable: False freezes the encoder and its batch statistics.

    Returns: one feature per stride: 2 (64 channels), 4 (256), 8 (512), 16 (1024) and 32 (2048); with a smaller `output_stride`
        up to that one, the last being the deepest map.

    Raises:
        ValueError: an argument is out of range, or none of those listed.

    Source: table 1; Chen et al. 2017 (arXiv:1706.05587), section 3, for dilation and multi-grid; the deep stem from the authors'
        prototxt of PSPNet.
    """
    return _resnet((3, 4, 23, 3), keras.applications.ResNet101, **locals())


def _resnet(units, donor, *, image, width, output_stride, multi_grid, stem, weights, trainable):
    check_arguments(width=width, trainable=trainable)
    check_choice("output_stride", output_stride, (8, 16, 32))
    check_choice("stem", stem, ("7x7", "deep"))
    check_integers("multi_grid", multi_grid, length=units[-1])
    use_bias = stem == "7x7"
    x = ImageNetNormalization(name="normalization")(image)
    x = _stem(x, width) if stem == "7x7" else _deep_stem(x, width)
    by_stride = {2: x}
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    reached, dilation = 4, 1
    for number, (filters, depth) in enumerate(zip(FILTERS, units, strict=True), start=2):
        stride = 1 if number == 2 or reached == output_stride else 2
        dilation *= 2 if number > 2 and stride == 1 else 1
        reached *= stride
        grid = multi_grid if number == 5 else (1,) * depth
        rates = [dilation * factor for factor in grid]
        x = stage(
            x, scale_channels(filters, width), stride=stride, rates=rates, use_bias=use_bias, name=f"conv{number}"
        )
        by_stride[reached] = x
    return finish(image, [*by_stride.values()], weights=weights, trainable=trainable, donor=donor)


def _stem(x, width):
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    return _convolution(x, scale_channels(64, width), 7, "conv1", strides=2, padding="valid")


def _deep_stem(x, width):
    for i, (filters, strides) in enumerate(((64, 2), (64, 1), (128, 1)), start=1):
        x = _convolution(x, scale_channels(filters, width), 3, f"conv1_{i}", strides=strides, use_bias=False)
    return x


def stage(x, filters: int, *, stride: int, rates: list[int], name: str, use_bias: bool = True):
    """Bottleneck units of 1x1, 3x3 and 1x1 convolutions with a shortcut.

    Args:
        x: (B, H, W, C).
        filters: channels of the first two convolutions; the last has four times as many.
        stride: of the first unit.
        rates: dilation of each unit's 3x3 convolution.
        name: the units are `<name>_block1` and so on.
        use_bias: of the convolutions.

    Returns: (B, H / stride, W / stride, 4 * filters), sizes rounded up.
    """
    for i, rate in enumerate(rates, start=1):
        unit, strides = f"{name}_block{i}", stride if i == 1 else 1
        shortcut = x
        if i == 1:
            shortcut = _convolution(
                x, 4 * filters, 1, f"{unit}_0", strides=strides, use_bias=use_bias, activation=False
            )
        x = _convolution(x, filters, 1, f"{unit}_1", strides=strides, use_bias=use_bias)
        x = _convolution(x, filters, 3, f"{unit}_2", dilation_rate=rate, use_bias=use_bias)
        x = _convolution(x, 4 * filters, 1, f"{unit}_3", use_bias=use_bias, activation=False)
        x = layers.Add(name=f"{unit}_add")([shortcut, x])
        x = layers.ReLU(name=f"{unit}_out")(x)
    return x


def _convolution(x, filters, size, name, *, activation=True, padding="same", **settings):
    """Convolution, batch normalisation and, except before a sum, ReLU, named as in keras.applications."""
    x = layers.Conv2D(filters, size, padding=padding, kernel_initializer="he_normal", name=f"{name}_conv", **settings)(
        x
    )
    x = batch_norm(f"{name}_bn", epsilon=EPSILON)(x)
    return layers.ReLU(name=f"{name}_relu")(x) if activation else x
