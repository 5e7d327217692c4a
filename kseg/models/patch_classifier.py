"""The classifier of a window's centre pixel (Ciresan et al. 2012), and its conversion for whole images. `keras` only.

Before fully convolutional networks, images were labelled by classifying the window around each pixel. `PatchClassifier` is such a
network, with dense layers; `convolutionalize` converts it, trained or not, into an equivalent one that labels all pixels in one
pass. Only chains of translation-invariant layers can be converted: padding inside a classifier is refused.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from kseg._checks import check_arguments, check_choice, check_integer
from kseg.blocks import activate, batch_norm, scale_channels
from kseg.layers import CropToMatch, DilatedMaxPooling2D, ImageNetNormalization, ReflectionPadding2D

POINTWISE = (
    layers.Activation,
    layers.BatchNormalization,
    layers.Dropout,
    layers.LeakyReLU,
    layers.ReLU,
    layers.Rescaling,
    layers.Softmax,
    ImageNetNormalization,
)
"""Layers that treat every position alike, in a window and in an image."""


def PatchClassifier(
    num_classes: int,
    *,
    window: int = 95,
    channels: int = 3,
    filters: tuple[int, ...] = (48, 48, 48, 48),
    kernel_sizes: tuple[int, ...] = (4, 5, 4, 4),
    dense_units: tuple[int, ...] = (200,),
    width: float = 1.0,
    batch_normalization: bool = False,
    activation: str | None = None,
    name: str = "patch_classifier",
) -> keras.Model:
    """The class of the pixel at the centre of a window, by unpadded convolutions, 2x2 max pooling after each, and dense layers.

    Args:
        num_classes: K.
        window: rows and columns of the window; the classified pixel is at `window // 2`.
        channels: C.
        filters: channels of each convolution.
        kernel_sizes: rows and columns of each convolution.
        dense_units: units of the dense layers before the last.
        width: multiplies `filters` and `dense_units`.
        batch_normalization: whether batch normalisation precedes each ReLU.
        activation: None for logits, "softmax" for probabilities.
        name: of the model.

    Returns: model from windows `image` (N, window, window, C) in [0, 255] to logits (N, K), float32.

    Raises:
        ValueError: an argument is out of range, `filters` and `kernel_sizes` differ in length, or nothing is left of the window
            before the dense layers.

    Example:
        >>> kseg.PatchClassifier(2, channels=1).count_params()
        219290

    Source: Ciresan, Giusti, Gambardella, Schmidhuber 2012, "Deep neural networks segment neuronal membranes in electron
        microscopy images"; the defaults are its network N4, with ReLU. Training on windows drawn at random is the original way
        (`kseg.inference.windows`); training the conversion on label maps is the same with all windows of an image in one batch.
    """
    check_arguments(num_classes=num_classes, channels=channels, filters=filters, kernel_sizes=kernel_sizes, width=width)
    check_arguments(batch_normalization=batch_normalization, activation=activation)
    check_integer("window", window)
    if dense_units:
        check_arguments(dense_units=dense_units)
    if len(filters) != len(kernel_sizes):
        raise ValueError(
            f"`filters` and `kernel_sizes` must have the same length. Received: filters={filters}, kernel_sizes={kernel_sizes}."
        )
    least = 1
    for size in reversed(kernel_sizes):
        least = 2 * least + size - 1
    if window < least:
        raise ValueError(
            f"`window` must be at least {least} for kernel_sizes={kernel_sizes}. Received: window={window}. Widen it, or use "
            "fewer or smaller kernels."
        )

    def rectified(x, stage):
        if batch_normalization:
            x = batch_norm(f"{stage}_norm")(x)
        return layers.ReLU(name=f"{stage}_relu")(x)

    settings = {"use_bias": not batch_normalization, "kernel_initializer": "he_normal"}
    image = keras.Input((window, window, channels), name="image")
    x = layers.Rescaling(1 / 64, offset=-2.0, name="normalization")(image)
    for i, (count, size) in enumerate(zip(filters, kernel_sizes, strict=True), start=1):
        x = layers.Conv2D(scale_channels(count, width), size, name=f"stage{i}_conv", **settings)(x)
        x = layers.MaxPooling2D(name=f"stage{i}_pool")(rectified(x, f"stage{i}"))
    x = layers.Flatten(name="fc_flat")(x)
    for i, units in enumerate(dense_units, start=1):
        x = rectified(layers.Dense(scale_channels(units, width), name=f"fc{i}", **settings)(x), f"fc{i}")
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(image, activate(logits, activation), name=name)


def convolutionalize(classifier: keras.Model, *, border: str = "reflect", name: str | None = None) -> keras.Model:
    """The fully convolutional network whose logits at each pixel are those of `classifier` for the window around it.

    A dense layer on a map of h x w is a convolution with a kernel of h x w, one on a vector is a 1x1 convolution. A stride of s
    would label one pixel in s; it becomes 1, and the kernels of later layers are dilated by s. Weights are copied, layers keep
    their names. What neighbouring windows share is computed once instead of once per window (`python -m benchmarks.windows`
    measures the difference).

    Args:
        classifier: chain of layers from windows (N, window, window, C) to (N, K), without padding.
        border: what surrounds the image: "reflect", its mirror image, or "zeros".
        name: of the new model; None: the classifier's.

    Returns: model from `image` (B, H, W, C) to logits (B, H, W, K), for any H and W; it can be trained on label maps.

    Raises:
        ValueError: `classifier` is not such a chain; the message names the layer.

    Example:
        >>> network = kseg.convolutionalize(kseg.PatchClassifier(2))
        >>> network.count_params(), kseg.receptive_field(network).extent
        (220826, 95)

    Source: Long et al. 2015 (arXiv:1411.4038), section 3.1, for dense layers as convolutions; Giusti et al. 2013
        (arXiv:1302.1700) for pooling that loses no position, here by dilation.
    """
    check_choice("border", border, ("reflect", "zeros"))
    chain = _chain(classifier)
    around = tuple((size // 2, size - 1 - size // 2) for size in classifier.input_shape[1:3])
    pad = ReflectionPadding2D if border == "reflect" else layers.ZeroPadding2D
    image = keras.Input((None, None, classifier.input_shape[3]), name="image")
    x = pad(around, name="window_border")(image)
    dilation, flattened = (1, 1), (1, 1)
    for layer in chain:
        if isinstance(layer, layers.Flatten):
            flattened = layer.input.shape[1:3]
            continue
        converted = _convert(layer, dilation, flattened)
        x = converted(x)
        weights = zip(layer.get_weights(), converted.weights, strict=True)
        converted.set_weights([np.reshape(old, new.shape) for old, new in weights])
        dilation = tuple(d * s for d, s in zip(dilation, getattr(layer, "strides", (1, 1)), strict=True))
        flattened = (1, 1) if isinstance(layer, layers.Dense) else flattened
    # Where the strides do not reach the end of a window, the map has rows for pixels beyond the image.
    x = CropToMatch(name="window_crop", dtype="float32")([x, image])
    return keras.Model(image, x, name=name or classifier.name)


def _chain(classifier) -> list:
    """The classifier's layers after its input, in order, which must form a chain."""
    shape = classifier.input_shape
    if len(classifier.inputs) != 1 or len(shape) != 4 or None in shape[1:] or len(classifier.output_shape) != 2:
        raise ValueError(
            "`classifier` must take windows (N, window, window, C) of known size to (N, K). Received: "
            f"input_shape={shape}, output_shape={classifier.output_shape}."
        )
    chain = [layer for layer in classifier.layers if not isinstance(layer, layers.InputLayer)]
    tensor = classifier.inputs[0]
    for layer in chain:
        if layer.input is not tensor:
            raise ValueError(
                f"`classifier` must be a chain of layers. Received: layer {layer.name!r}, whose input is not the output of the "
                "layer before it. Branches cannot be converted."
            )
        tensor = layer.output
    return chain


def _convert(layer, dilation, flattened):
    """The layer that applies `layer` to every window of an image, at `dilation`.

    `flattened` is the size of the map that a preceding Flatten turned into a vector, (1, 1) without one.
    """
    settings = layer.get_config()
    if getattr(layer, "padding", "valid") != "valid":
        raise ValueError(
            "`classifier` must not pad: around a window an image has pixels, not zeros. Received: "
            f"padding={layer.padding!r} in layer {layer.name!r}. Build it with padding='valid'."
        )
    if isinstance(layer, layers.Conv2D):
        rates = [d * r for d, r in zip(dilation, layer.dilation_rate, strict=True)]
        return layers.Conv2D.from_config({**settings, "strides": 1, "dilation_rate": rates})
    if isinstance(layer, layers.MaxPooling2D):
        return DilatedMaxPooling2D(layer.pool_size, dilation, name=layer.name, dtype=layer.dtype_policy)
    if isinstance(layer, layers.Dense):
        kept = ("name", "dtype", "trainable", "activation", "use_bias", "kernel_initializer", "bias_initializer")
        return layers.Conv2D(
            layer.units,
            flattened,
            dilation_rate=dilation if flattened != (1, 1) else 1,
            **{key: settings[key] for key in kept},
        )
    if isinstance(layer, POINTWISE) and (tuple(flattened) == (1, 1) or not layer.weights):
        return type(layer).from_config(settings)
    raise ValueError(
        f"`classifier` must consist of layers that can be converted. Received: layer {layer.name!r} of type "
        f"{type(layer).__name__}. These can: Conv2D, MaxPooling2D, Flatten, Dense, and where they treat every position alike "
        f"{', '.join(kind.__name__ for kind in POINTWISE)}."
    )
