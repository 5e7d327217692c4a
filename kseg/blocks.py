"""Functions that networks share: stacks of convolutions, upsampling, scores. `keras` only."""

from __future__ import annotations

import keras
from keras import layers

from kseg._checks import check_arguments
from kseg.layers import BatchNormalization, ImagePooling2D, MaxPoolingWithIndices2D, ResizeToMatch, Upsampling


def batch_norm(name: str, momentum: float = 0.9, epsilon: float = 1e-3):
    """Batch normalisation, synchronized over replicas on TensorFlow; Keras offers that on no other backend."""
    synchronized = keras.backend.backend() == "tensorflow"
    return BatchNormalization(momentum=momentum, epsilon=epsilon, synchronized=synchronized, name=name)


def scale_channels(channels: int, width: float) -> int:
    """`channels` times `width`, rounded, at least 1: the channels of a narrower or wider variant of a paper's network.

    Raises:
        ValueError: `width` is not above 0.
    """
    check_arguments(width=width)
    return max(1, round(channels * width))


def conv_stack(
    x,
    filters: int,
    *,
    depth: int,
    name: str,
    padding: str = "same",
    dilation_rate: int = 1,
    batch_normalization: bool = False,
):
    """`depth` 3x3 convolutions with ReLU, named `<name>_conv1`, ...

    Args:
        x: (B, H, W, C).
        filters: channels of each.
        depth: number of convolutions.
        name: stage of the network.
        padding: "same", or "valid", with which each convolution takes `2 * dilation_rate` pixels off H and W.
        dilation_rate: of each.
        batch_normalization: whether batch normalisation precedes each ReLU, in place of biases.

    Returns: (B, H', W', filters).
    """
    for i in range(1, depth + 1):
        x = layers.Conv2D(
            filters,
            3,
            padding=padding,
            dilation_rate=dilation_rate,
            use_bias=not batch_normalization,
            kernel_initializer="he_normal",
            name=f"{name}_conv{i}",
        )(x)
        if batch_normalization:
            x = batch_norm(f"{name}_norm{i}")(x)
        x = layers.ReLU(name=f"{name}_relu{i}")(x)
    return x


def fully_connected(
    x, filters: int, padding: str, dropout: float, batch_normalization: bool, *, dilation_rate: int = 1
):
    """VGG16's fc6 (7x7, dilated) and fc7 (1x1) as convolutions of `filters` channels, each with ReLU and dropout."""
    for name, size, rate in (("fc6", 7, dilation_rate), ("fc7", 1, 1)):
        x = layers.Conv2D(
            filters,
            size,
            padding=padding,
            dilation_rate=rate,
            use_bias=not batch_normalization,
            kernel_initializer="he_normal",
            name=name,
        )(x)
        if batch_normalization:
            x = batch_norm(f"{name}_norm")(x)
        x = layers.ReLU(name=f"{name}_relu")(x)
        x = layers.Dropout(dropout, name=f"{name}_dropout")(x)
    return x


def max_pool(x, with_indices: bool, *, name: str, padding: str = "same"):
    """2x2 max pooling: the map of half the size, and the indices of the maxima in their windows, or None."""
    if with_indices:
        return MaxPoolingWithIndices2D(name=name)(x)
    return layers.MaxPooling2D(padding=padding, name=name)(x), None


def upsample(x, mode: str, factor: int, *, filters: int, name: str, indices=None):
    """Enlarges `x` by `factor`, to `filters` channels.

    A transposed convolution changes the number of channels; before any other mode a 1x1 convolution does, if it differs.

    Args:
        x: (B, H, W, C).
        mode: one of "bed_of_nails", "nearest", "bilinear", "bicubic", "max_unpooling", "transposed_bilinear",
            "transposed_random"; see `kseg.layers.Upsampling`.
        factor: pixels out per pixel in.
        filters: channels of the result.
        name: stage of the network; the layers are `<name>_upsampling` and `<name>_conv`.
        indices: (B, H, W, filters) of `MaxPoolingWithIndices2D`, for "max_unpooling".

    Returns: (B, factor * H, factor * W, filters).
    """
    if mode.startswith("transposed"):
        return Upsampling(mode, factor, filters=filters, name=f"{name}_upsampling")(x)
    if x.shape[-1] != filters:
        x = layers.Conv2D(filters, 1, kernel_initializer="he_normal", name=f"{name}_conv")(x)
    layer = Upsampling(mode, factor, name=f"{name}_upsampling")
    return layer([x, indices] if mode == "max_unpooling" else x)


def bilinear_up(x, factor: int, *, name: str, padding: str = "same", trainable: bool = False):
    """Transposed convolution with a kernel of 2 * factor, initialised as bilinear interpolation of each channel.

    With "same" (B, H, W, C) becomes (B, factor * H, factor * W, C); with "valid" `factor` pixels more.
    """
    filters = x.shape[-1]
    return Upsampling("transposed_bilinear", factor, filters=filters, padding=padding, trainable=trainable, name=name)(
        x
    )


def score(x, num_classes: int, *, name: str, kernel_initializer="zeros", dtype=None):
    """1x1 convolution to `num_classes` channels without activation; initialised with zeros as in the FCNs."""
    return layers.Conv2D(num_classes, 1, kernel_initializer=kernel_initializer, dtype=dtype, name=name)(x)


def activate(logits, activation: str | None):
    """`logits` (B, H, W, K) for None; for "softmax" the probabilities of the classes, float32, from a layer `probabilities`."""
    check_arguments(activation=activation)
    return logits if activation is None else layers.Softmax(dtype="float32", name="probabilities")(logits)


def conv_norm(x, filters: int, size: int = 1, *, name: str, dilation_rate: int = 1):
    """Convolution without bias, batch normalisation and ReLU: `<name>_conv`, `<name>_norm`, `<name>_relu`. Keeps H and W."""
    x = layers.Conv2D(
        filters,
        size,
        padding="same",
        dilation_rate=dilation_rate,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return layers.ReLU(name=f"{name}_relu")(batch_norm(f"{name}_norm")(x))


def aspp(x, filters: int = 256, *, rates: tuple[int, ...] = (6, 12, 18), name: str = "aspp"):
    """Atrous spatial pyramid pooling: a 1x1 convolution, a dilated 3x3 one per rate, and the mean over the image, concatenated.

    Args:
        x: (B, H, W, C), any H and W.
        filters: channels of each branch and of the result.
        rates: dilations in positions of the map.
        name: stage of the network.

    Returns: (B, H, W, filters).

    Source: Chen et al. 2017 (arXiv:1706.05587), section 3.3 and figure 5; 15,535,104 trainable parameters from 2048 channels.
    """
    branches = [conv_norm(x, filters, name=f"{name}_point")]
    for i, rate in enumerate(rates, start=1):
        branches.append(conv_norm(x, filters, 3, dilation_rate=rate, name=f"{name}_atrous{i}"))
    image_level = conv_norm(ImagePooling2D(1, name=f"{name}_image_mean")(x), filters, name=f"{name}_image")
    branches.append(ResizeToMatch(name=f"{name}_image_everywhere")([image_level, x]))
    x = layers.Concatenate(name=f"{name}_join")(branches)
    return conv_norm(x, filters, name=f"{name}_project")


def pyramid_pooling(x, *, bins: tuple[int, ...] = (1, 2, 3, 6), name: str = "pyramid"):
    """The map, concatenated with its means over n x n regions of the image, each reduced to 1 / len(bins) of the channels.

    Args:
        x: (B, H, W, C), any H and W.
        bins: regions per side of each level.
        name: stage of the network.

    Returns: (B, H, W, 2 C) where `bins` divide C evenly.

    Source: Zhao et al. 2017 (arXiv:1612.01105), section 3.2 and figure 3.
    """
    levels = [x]
    for count in bins:
        pooled = ImagePooling2D(count, name=f"{name}_pool{count}")(x)
        pooled = conv_norm(pooled, max(1, x.shape[-1] // len(bins)), name=f"{name}_level{count}")
        levels.append(ResizeToMatch(name=f"{name}_resize{count}")([pooled, x]))
    return layers.Concatenate(name=f"{name}_join")(levels)
