"""Dilated convolutions for dense prediction (Yu and Koltun 2016, arXiv:1511.07122). `keras` only.

The front end is VGG16 without its last two poolings, with dilated kernels after them: its scores have stride 8 instead of the
FCN-32s's 32. The context module widens the receptive field by dilation alone, and is initialised as the identity.
"""

from __future__ import annotations

import keras
from keras import layers, ops

from kseg._checks import check_arguments, check_choice, check_integer, check_number
from kseg.blocks import activate, bilinear_up, fully_connected, scale_channels, score
from kseg.encoders.features import strides
from kseg.encoders.names import encode
from kseg.encoders.vgg import vgg16_dilated
from kseg.layers import CropToMatch, ReflectionPadding2D

STRIDE = 8
MARGIN = 186
"""Margin in pixels that the unpadded front end needs on each side: 528 + 2 * 186 = 900 pixels become 66 positions of stride 8."""

DILATIONS = (1, 1, 2, 4, 8, 16, 1)
CONTEXTS = {"basic": (1, 1, 1, 1, 1, 1, 1), "large": (2, 2, 4, 8, 16, 32, 32)}
"""Channels of each 3x3 convolution of the context module, in multiples of the number of classes."""


def DilatedFrontEnd(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    context: str | None = None,
    context_noise: float = 0.01,
    width: float = 1.0,
    fc_filters: int = 4096,
    encoder=None,
    weights=None,
    padding: str | int = "same",
    batch_normalization: bool = False,
    upsampling_trainable: bool = False,
    dropout: float = 0.5,
    activation: str | None = None,
    name: str = "dilated",
) -> keras.Model:
    """The front end, optionally the context module, and bilinear upsampling by 8.

    Args:
        num_classes: K.
        input_shape: (H, W, C); None where any size may come.
        context: None for the front end alone, or "basic" or "large" for that context module.
        context_noise: noise of the context module's initial weights, see `context_module`.
        width: multiplies the channels of the encoder and of fc6 and fc7.
        fc_filters: channels of fc6 and fc7 at width 1.
        encoder: name in `kseg.encoders.ENCODERS`, such as "resnet50", or function `image -> features`, the last of stride
            8; with a `padding` of 186 it must not pad. None: "vgg16_dilated".
        weights: of the encoder: None for random weights, "imagenet", or a file, see `kseg.encoders.weights.fill`.
        padding: "same" for zeros around every map, or 186 as in the paper: the image is mirrored by that margin, repeatedly if it
            is smaller, and the front end does not pad.
        batch_normalization: whether batch normalisation precedes each ReLU of the front end (not in the paper); without it the
            deep encoder hardly learns from random weights.
        upsampling_trainable: whether the transposed convolution learns; the paper's stays bilinear.
        dropout: share of the activations of fc6 and fc7 that is dropped.
        activation: None for logits, "softmax" for probabilities.
        name: of the model.

    Returns: model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32, for any H and W. Its layer `final` makes
        the front end's scores at stride 8, and `context_final` the context module's.

    Raises:
        ValueError: an argument is out of range, or none of those listed, or the encoder ends at another stride.

    Example:
        >>> kseg.receptive_field(kseg.DilatedFrontEnd(21, width=0.1), "final").extent
        380

    Source: sections 3 and 4; network.py of the authors' code for the sizes. Without the upsampling 134,313,443 parameters for 11
        classes and the basic context, 141,149,720 for 21 classes and the large one.
    """
    check_arguments(
        num_classes=num_classes, input_shape=input_shape, width=width, fc_filters=fc_filters, dropout=dropout,
        batch_normalization=batch_normalization, upsampling_trainable=upsampling_trainable, activation=activation,
    )  # fmt: skip
    check_choice("context", context, (None, *CONTEXTS))
    check_choice("padding", padding, ("same", MARGIN))
    if padding == MARGIN and isinstance(encoder, str) and encoder != "vgg16_dilated":
        raise ValueError(f'`padding` must be "same" with encoder={encoder!r}, which pads. Received: padding={padding}.')
    mode = "same" if padding == "same" else "valid"
    image = x = keras.Input(input_shape, name="image")
    if padding == MARGIN:
        x = ReflectionPadding2D(MARGIN, multiple=STRIDE, name="margin")(x)
    settings = {"weights": weights, "width": width, "batch_normalization": batch_normalization, "padding": mode}
    features = vgg16_dilated(x, **settings) if encoder is None else encode(x, encoder, output_stride=STRIDE, **settings)
    if padding == "same" and strides(image, features)[-1] != STRIDE:
        raise ValueError(
            f"`encoder` must end at stride {STRIDE}. Received: features of strides {strides(image, features)}. Take one that "
            'dilates, such as "vgg16_dilated" or "resnet50".'
        )
    x = features[-1]
    x = fully_connected(x, scale_channels(fc_filters, width), mode, dropout, batch_normalization, dilation_rate=4)
    x = score(x, num_classes, name="final", kernel_initializer=keras.initializers.RandomNormal(stddev=0.001))
    if context:
        x = context_module(x, context, noise=context_noise)
    x = bilinear_up(x, STRIDE, name="up_image", trainable=upsampling_trainable)
    x = CropToMatch(name="crop_image")([x, image])
    logits = layers.Activation("linear", dtype="float32", name="logits")(x)
    return keras.Model(image, activate(logits, activation), name=name)


def context_module(x, kind: str, *, noise: float = 0.01):
    """Eight layers that keep size and classes and widen the receptive field to 67 positions, by dilations 1, 1, 2, 4, 8, 16, 1.

    Args:
        x: scores (B, h, w, K).
        kind: "basic" keeps K channels; "large" has up to 32 K.
        noise: standard deviation of the Gaussian around the identity, relative to the identity's weights (`IdentityByClass`).
            With 0 the module returns its input, with negative scores set to 0 by the ReLUs; the channels that "large" has per
            class are then equal and stay equal.

    Returns: (B, h, w, K).

    Raises:
        ValueError: there is no such kind.

    Source: table 1 and equations 4 and 5.
    """
    check_choice("context", kind, CONTEXTS)
    check_number("noise", noise, minimum=0)
    classes = x.shape[-1]
    for i, (multiple, rate) in enumerate(zip(CONTEXTS[kind], DILATIONS, strict=True), start=1):
        x = layers.Conv2D(
            multiple * classes,
            3,
            padding="same",
            dilation_rate=rate,
            kernel_initializer=IdentityByClass(classes, noise),
            name=f"context_conv{i}",
        )(x)
        x = layers.ReLU(name=f"context_relu{i}")(x)
    return score(x, classes, name="context_final", kernel_initializer=IdentityByClass(classes, noise))


@keras.saving.register_keras_serializable(package="kseg")
class IdentityByClass(keras.initializers.Initializer):
    """Kernel (k, k, in, out) of a convolution that copies each class to itself.

    The input's channels are K equal runs, one per class, and so are the output's. At the kernel's centre the weight between
    channels of the same class is K / out, elsewhere 0: a chain of such layers with K channels at both ends is the identity.

    Args:
        num_classes: K; `in` and `out` are multiples of it.
        noise: a Gaussian of `noise * K / out` is added to all weights.
        seed: of the Gaussian; None: a random one.

    Source: equation 5.
    """

    def __init__(self, num_classes: int, noise: float = 0.0, seed: int | None = None):
        check_integer("num_classes", num_classes)
        check_number("noise", noise, minimum=0)
        self.num_classes, self.noise = num_classes, noise
        self.gaussian = keras.initializers.RandomNormal(stddev=noise, seed=seed)

    def __call__(self, shape, dtype=None):
        """Returns the kernel of `shape` (k, k, in, out)."""
        rows, columns, inputs, outputs = shape
        weight = self.num_classes / outputs
        of_input, of_output = (ops.arange(n) * self.num_classes // n for n in (inputs, outputs))
        same_class = ops.cast(of_input[:, None] == of_output, "float32")
        around = [(rows // 2, (rows - 1) // 2), (columns // 2, (columns - 1) // 2), (0, 0), (0, 0)]
        kernel = ops.pad(weight * same_class[None, None], around)
        if self.noise:
            kernel += weight * self.gaussian(shape, dtype="float32")
        return ops.cast(kernel, dtype or "float32")

    def get_config(self):
        return {"num_classes": self.num_classes, "noise": self.noise, "seed": self.gaussian.get_config()["seed"]}
