"""Dilated convolutions for dense prediction (Yu and Koltun 2016, arXiv:1511.07122). `keras` only.

The front end is VGG16 without its last two poolings, whose later kernels are dilated instead: it answers at stride 8 what FCN-32s
answers at 32. The context module widens what each answer depends on, by dilation alone, and starts as the identity.
"""

from __future__ import annotations

import functools

import keras
from keras import layers, ops

from kseg.blocks import activate, bilinear_up, fully_connected, scaled, score
from kseg.encoders import strides, vgg16_dilated
from kseg.layers import CropToMatch, ReflectionPadding2D

STRIDE = 8
MARGIN = 186
"""Pixels that the unpadded front end needs on each side: 528 + 2 * 186 = 900 pixels become 66 positions of stride 8."""

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
    padding: str | int = "same",
    batch_normalization: bool = False,
    upsampling_trainable: bool = False,
    dropout: float = 0.5,
    activation: str | None = None,
    name: str = "dilated",
) -> keras.Model:
    """The front end, the context module behind it on request, and bilinear upsampling by 8.

    Args:
        num_classes: K.
        input_shape: (H, W, C); None where any size may come.
        context: None for the front end alone, "basic" or "large" for the context module of that kind.
        context_noise: of the context module's start, see `context_module`.
        width: multiplies the channels of the trunk and of fc6 and fc7.
        fc_filters: channels of fc6 and fc7 at width 1.
        encoder: `image -> features`, the last at stride 8 and, with a `padding` of 186, unpadded as VGG16's are there; None:
            `kseg.encoders.vgg16_dilated` of `width`, randomly started.
        padding: "same" for zeros round every map, or 186 for the paper's way: the image is mirrored by that margin, repeatedly
            where it is smaller, and the front end is unpadded.
        batch_normalization: put batch normalisation before each ReLU of the front end (not in the paper), without which the deep
            trunk hardly learns from random weights.
        upsampling_trainable: whether the transposed convolution learns; the paper's stays bilinear.
        dropout: share of fc6's and fc7's activations that is dropped.
        activation: None for logits, "softmax" for probabilities.
        name: of the model.

    Returns: model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32, for any H and W. Its layer `final` makes
        the front end's scores at stride 8, and `context_final` the context module's.

    Raises:
        ValueError: `context` or `padding` is none of these, or the encoder ends at another stride.

    Example:
        >>> kseg.receptive_field(kseg.DilatedFrontEnd(21, width=0.1), "final").extent
        380

    Source: sections 3 and 4; network.py of the authors' code for the sizes. Without the upsampling 134,313,443 parameters for 11
        classes and the basic context, 141,149,720 for 21 classes and the large one.
    """
    if padding not in ("same", MARGIN):
        raise ValueError(f'`padding` must be "same" or {MARGIN}. Received: padding={padding!r}.')
    mode = "same" if padding == "same" else "valid"
    image = x = keras.Input(input_shape, name="image")
    if padding == MARGIN:
        x = ReflectionPadding2D(MARGIN, multiple=STRIDE, name="margin")(x)
    if encoder is None:
        trunk = {"width": width, "batch_normalization": batch_normalization, "padding": mode}
        encoder = functools.partial(vgg16_dilated, **trunk)
    features = encoder(x)
    if padding == "same" and strides(image, features)[-1] != STRIDE:
        raise ValueError(
            f"`encoder` must end at stride {STRIDE}. Received: features of strides {strides(image, features)}. Give a trunk that "
            "dilates, such as kseg.encoders.vgg16_dilated, or resnet50 of output_stride=8."
        )
    x = features[-1]
    x = fully_connected(x, scaled(fc_filters, width), mode, dropout, batch_normalization, dilation_rate=4)
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
        noise: standard deviation of the Gaussian round the identity, relative to the identity's weights (`IdentityByClass`).
            With 0 the module gives back its input, but for negative scores, which the ReLUs make 0; the channels that "large"
            has for a class are then alike and stay alike.

    Returns: (B, h, w, K).

    Raises:
        ValueError: there is no such kind.

    Source: table 1 and equations 4 and 5.
    """
    if kind not in CONTEXTS:
        raise ValueError(f"`context` must be None or one of {', '.join(CONTEXTS)}. Received: context={kind!r}.")
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
    """Kernel (k, k, in, out) of a convolution that hands each class on to itself.

    The input's channels are K equal runs, one a class, and so are the output's. At the kernel's centre the weight between
    channels of one class is K / out, elsewhere 0; so a chain of such layers that begins and ends with K channels is the identity.

    Args:
        num_classes: K; `in` and `out` are multiples of it.
        noise: a Gaussian of `noise * K / out` is added to all weights.
        seed: of the Gaussian; None draws one.

    Source: equation 5.
    """

    def __init__(self, num_classes: int, noise: float = 0.0, seed: int | None = None):
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
