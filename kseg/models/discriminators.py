"""Discriminators of the segmentation game: is this label map the truth of this image, or predicted by a network? `keras` only.

Each takes [`image` (B, H, W, C) in [0, 255], `label_map` (B, H, W, M)], M the channels of the label map's encoding (K classes, or
C K for "product"); with `input_shape=None` the label map alone. The output is one logit per image, or a map of logits.
`DCGAN` judges the samples of a GAN.
"""

from __future__ import annotations

import keras
from keras import layers

from kseg._checks import check_arguments, check_boolean, check_integer
from kseg.blocks import batch_norm, scale_channels
from kseg.layers import CropToMatch, Interpolation2D

LARGE = ((3, 96), (3, 128), (3, 128)), ((3, 256), (3, 256)), ((3, 512),)
LARGE_LIGHT = ((3, 96), (3, 128), (3, 128)), ((3, 128), (3, 128)), ((3, 256),)
SMALL = ((3, 96), (1, 128)), ((3, 256), (1, 256)), ((3, 512),)
SMALL_LIGHT = ((3, 96), (1, 128)), ((3, 128), (1, 128)), ((3, 256),)
"""Kernel size and channels of each convolution, one group per resolution."""


def TwoBranch(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    width: float = 1.0,
    logits: int = 1,
    spectral_normalization: bool = False,
    name: str = "two_branch",
) -> keras.Model:
    """The two-branch discriminator that Luc et al. used on Stanford Background.

    Label map and image each pass through 5x5 convolutions to 64 channels (the image through 16 first), are concatenated, and pass
    through 3x3 convolutions of 128, 256 and 512 channels with max pooling between.

    Args:
        num_classes: channels of the label map.
        input_shape: of the image, (H, W, C).
        width: multiplies every channel count.
        logits: outputs; 1 for real against fake, or 2 as in the public implementations.
        spectral_normalization: divide each kernel by its largest singular value (Miyato et al. 2018).
        name: of the model.

    Returns: model from [`image`, `label_map`] to logits (B, logits), float32: the mean of the last map.

    Raises:
        ValueError: an argument is out of range.

    Source: Luc et al. 2016 (arXiv:1611.08408), section 4.1; 1,667,265 parameters for 8 classes and one logit.
    """
    _check(num_classes, input_shape, spectral_normalization, width=width, logits=logits)

    def conv(x, filters, size, name):
        return _convolution(x, scale_channels(filters, width), size, name, spectral_normalization, activation="relu")

    check_arguments(input_shape=input_shape)  # not None here
    image, label_map = _inputs(input_shape, num_classes)
    x = layers.Rescaling(1 / 64, offset=-2.0, name="normalization")(image)
    x = conv(x, 16, 5, "image_conv1")
    x = conv(x, 64, 5, "image_conv2")
    x = layers.Concatenate(name="join")([conv(label_map, 64, 5, "label_map_conv"), x])
    x = conv(x, 128, 3, "joint_conv1")
    x = layers.MaxPooling2D(padding="same", name="joint_pool1")(x)
    x = conv(x, 256, 3, "joint_conv2")
    x = layers.MaxPooling2D(padding="same", name="joint_pool2")(x)
    x = conv(x, 512, 3, "joint_conv3")
    x = _convolution(x, logits, 3, "score", spectral_normalization, kernel_initializer="glorot_uniform")
    x = layers.GlobalAveragePooling2D(dtype="float32", name="logits")(x)
    return keras.Model([image, label_map], x, name=name)


def LargeFOV(
    num_classes: int,
    *,
    input_shape: tuple | None = None,
    light: bool = False,
    width: float = 1.0,
    logits: int = 1,
    spectral_normalization: bool = False,
    name: str = "large_fov",
) -> keras.Model:
    """The discriminator of Luc et al. with a receptive field of 34 x 34 pixels at stride 4: 3x3 convolutions throughout.

    Args:
        num_classes: channels of the label map.
        input_shape: of the image, (H, W, C), which is joined to the label map; None: the label map alone, as in the paper, where
            the encoding "product" includes the image.
        light: whether later layers have fewer channels.
        width: multiplies every channel count.
        logits: outputs; 1 for real against fake, or 2 as in the public implementations.
        spectral_normalization: divide each kernel by its largest singular value (Miyato et al. 2018).
        name: of the model.

    Returns: model from [`image`, `label_map`], or from `label_map`, to logits (B, logits), float32: the mean of the last map.

    Source: Luc et al. 2016 (arXiv:1611.08408), section 4.2, in the layers of a public implementation, whose 1x1 convolutions are
        not padded here; 2,346,561 parameters for 21 classes, 869,185 if light.
    """
    check_boolean("light", light)
    groups = LARGE_LIGHT if light else LARGE
    return _field_of_view(groups, 3, num_classes, input_shape, width, logits, spectral_normalization, name)


def SmallFOV(
    num_classes: int,
    *,
    input_shape: tuple | None = None,
    light: bool = False,
    width: float = 1.0,
    logits: int = 1,
    spectral_normalization: bool = False,
    name: str = "small_fov",
) -> keras.Model:
    """The discriminator of Luc et al. with a receptive field of 18 x 18 pixels at stride 4: every second convolution is 1x1.

    Arguments and result as for `LargeFOV`.

    Source: Luc et al. 2016 (arXiv:1611.08408), section 4.2; 1,572,289 parameters for 21 classes, 490,177 if light.
    """
    check_boolean("light", light)
    groups = SMALL_LIGHT if light else SMALL
    return _field_of_view(groups, 1, num_classes, input_shape, width, logits, spectral_normalization, name)


def PatchGAN(
    num_classes: int,
    *,
    input_shape: tuple | None = (None, None, 3),
    layers_between: int = 3,
    base_filters: int = 64,
    batch_normalization: bool = True,
    spectral_normalization: bool = False,
    name: str = "patch_gan",
) -> keras.Model:
    """The discriminator of pix2pix: one logit per patch of 70 x 70 pixels, by 4x4 convolutions.

    Args:
        num_classes: channels of the label map.
        input_shape: of the image, (H, W, C), which is joined to the label map; None: the label map alone.
        layers_between: n; patches are of 16, 34, 70, 142, 286, 574 pixels for 1 to 6.
        base_filters: channels of the first convolution; they double up to 8 times as many.
        batch_normalization: after every convolution but the first and the last, as in the paper.
        spectral_normalization: divide each kernel by its largest singular value (Miyato et al. 2018).
        name: of the model.

    Returns: model from [`image`, `label_map`], or from `label_map`, to logits (B, h, w, 1), float32, at stride 2^n,
        sizes rounded up so that small maps work too; the authors' padding of 1 on all sides loses two positions.

    Raises:
        ValueError: `layers_between` is less than 1.

    Source: Isola et al. 2017 (arXiv:1611.07004), appendix 6.1.2; 2,769,601 parameters for six channels and n = 3, without the
        moving averages.
    """
    _check(
        num_classes,
        input_shape,
        spectral_normalization,
        base_filters=base_filters,
        batch_normalization=batch_normalization,
    )
    check_integer("layers_between", layers_between)
    inputs, x = _join(input_shape, num_classes)
    for i in range(layers_between + 1):
        stride = 2 if i < layers_between else 1
        x = _convolution(x, min(2**i, 8) * base_filters, 4, f"conv{i + 1}", spectral_normalization, strides=stride)
        if batch_normalization and i > 0:
            x = batch_norm(f"norm{i + 1}")(x)
        x = layers.LeakyReLU(0.2, name=f"relu{i + 1}")(x)
    x = _convolution(x, 1, 4, "score", spectral_normalization)
    return keras.Model(inputs, layers.Activation("linear", dtype="float32", name="logits")(x), name=name)


def FullyConvolutional(
    num_classes: int,
    *,
    input_shape: tuple | None = None,
    base_filters: int = 64,
    spectral_normalization: bool = False,
    name: str = "fully_convolutional",
) -> keras.Model:
    """The discriminator of Hung et al.: one logit per pixel, from 4x4 convolutions of stride 2 and bilinear upsampling by 32.

    The upsampling does not learn: where it did, the game failed.

    Args:
        num_classes: channels of the label map.
        input_shape: of the image, (H, W, C), which is joined to the label map; None: the label map alone, as in the paper.
        base_filters: channels of the first convolution; they double up to 8 times as many.
        spectral_normalization: divide each kernel by its largest singular value (Miyato et al. 2018).
        name: of the model.

    Returns: model from [`image`, `label_map`], or from `label_map`, to logits (B, H, W, 1), float32, for any H and W.

    Source: Hung et al. 2018 (arXiv:1802.07934), section 3.2; 2,783,169 parameters for 21 classes. Odd sizes are rounded up.
    """
    _check(num_classes, input_shape, spectral_normalization, base_filters=base_filters)
    inputs, x = _join(input_shape, num_classes)
    reference = inputs[-1] if isinstance(inputs, list) else inputs
    for i, multiple in enumerate((1, 2, 4, 8), start=1):
        x = _convolution(x, multiple * base_filters, 4, f"conv{i}", spectral_normalization, strides=2)
        x = layers.LeakyReLU(0.2, name=f"relu{i}")(x)
    x = _convolution(x, 1, 4, "score", spectral_normalization, strides=2)
    x = Interpolation2D(32, dtype="float32", name="up_image")(x)
    return keras.Model(inputs, CropToMatch(dtype="float32", name="logits")([x, reference]), name=name)


def UNet(
    num_classes: int,
    *,
    input_shape: tuple | None = (None, None, 3),
    base_filters: int = 64,
    levels: int = 4,
    spectral_normalization: bool = False,
    name: str = "unet_discriminator",
) -> keras.Model:
    """One logit per pixel, each from fine and coarse features: convolutions of stride 2 down, and skips on the way up.

    For verdicts that must be exact to the pixel, such as the bets of a gambler.

    Args:
        num_classes: channels of the label map.
        input_shape: of the image, (H, W, C), which is joined to the label map; None: the label map alone.
        base_filters: channels at full resolution; they double up to 8 times as many.
        levels: resolutions, each half of the one before.
        spectral_normalization: divide each kernel by its largest singular value (Miyato et al. 2018).
        name: of the model.

    Returns: model from [`image`, `label_map`], or from `label_map`, to logits (B, H, W, 1), float32, for any H and W.

    Raises:
        ValueError: `levels` is less than 2.

    Source: Schoenfeld et al. 2020 (arXiv:2002.12655) for a U-Net as discriminator; there of residual blocks, and with a second
        verdict, on the whole image. 3,880,257 parameters for three channels of an image and 11 classes.
    """
    _check(num_classes, input_shape, spectral_normalization, base_filters=base_filters)
    check_integer("levels", levels, minimum=2)

    def convolve(x, level, name, **settings):
        filters = min(2 ** (level - 1), 8) * base_filters
        x = _convolution(x, filters, 3, name, spectral_normalization, **settings)
        return layers.ReLU(name=f"{name}_relu")(x)

    inputs, x = _join(input_shape, num_classes)
    skips = []
    x = convolve(x, 1, "down1_conv")
    for level in range(2, levels + 1):
        skips.append(x)
        x = convolve(x, level, f"down{level}_conv", strides=2)
    for level in range(levels - 1, 0, -1):
        skip = skips.pop()
        x = CropToMatch(name=f"up{level}_crop")([Interpolation2D(2, name=f"up{level}_upsampling")(x), skip])
        x = convolve(layers.Concatenate(name=f"up{level}_skip")([skip, x]), level, f"up{level}_conv")
    x = _convolution(x, 1, 1, "score", spectral_normalization)
    return keras.Model(inputs, layers.Activation("linear", dtype="float32", name="logits")(x), name=name)


def DomainClasses(
    num_classes: int,
    channels: int,
    *,
    base_filters: int = 512,
    spectral_normalization: bool = False,
    name: str = "domain_classes",
) -> keras.Model:
    """The discriminator of FADA: of which class a feature is, and in which of two domains.

    Args:
        num_classes: K.
        channels: of the features.
        base_filters: channels of the first convolution; the second has half as many.
        spectral_normalization: divide each kernel by its largest singular value (Miyato et al. 2018).
        name: of the model.

    Returns: model from `features` (B, h, w, channels) to logits (B, h, w, 2 K), float32: the classes in the source, and in
        the target.

    Source: Wang et al. 2020 (arXiv:2007.09222), in the layers of the authors' code, whose two last convolutions are one here.
    """
    _check(num_classes, None, spectral_normalization, base_filters=base_filters)
    check_integer("channels", channels)
    x = features = keras.Input((None, None, channels), name="features")
    for i, filters in enumerate((base_filters, max(1, base_filters // 2)), start=1):
        x = _convolution(x, filters, 3, f"conv{i}", spectral_normalization)
        x = layers.LeakyReLU(0.2, name=f"relu{i}")(x)
    x = _convolution(x, 2 * num_classes, 3, "score", spectral_normalization)
    return keras.Model(features, layers.Activation("linear", dtype="float32", name="logits")(x), name=name)


def DCGAN(
    channels: int,
    *,
    size: int = 32,
    base_filters: int = 64,
    label_map: bool = False,
    batch_normalization: bool = True,
    spectral_normalization: bool = False,
    name: str = "dcgan_discriminator",
) -> keras.Model:
    """The discriminator of `kseg.GAN`, for images or label maps alone: 4x4 convolutions of stride 2 down to 4 x 4, and one logit.

    Args:
        channels: of the image, or K of the label map.
        size: height and width of the input in pixels.
        base_filters: channels of the first convolution; each later one has twice as many.
        label_map: whether the input is the probabilities of a label map instead of an image in [0, 255].
        batch_normalization: after every convolution but the first, as in the paper.
        spectral_normalization: divide each kernel by its largest singular value (Miyato et al. 2018).
        name: of the model.

    Returns: model from `sample` (B, size, size, channels) to logits (B, 1), float32.

    Source: Radford et al. 2016 (arXiv:1511.06434), section 3.
    """
    _check(channels, None, spectral_normalization, base_filters=base_filters, batch_normalization=batch_normalization)
    check_integer("size", size)
    check_boolean("label_map", label_map)
    x = sample = keras.Input((size, size, channels), name="sample")
    if not label_map:
        x = layers.Rescaling(1 / 127.5, offset=-1.0, name="normalization")(x)
    i = 0
    while x.shape[1] > 4:
        i += 1
        x = _convolution(x, 2 ** (i - 1) * base_filters, 4, f"conv{i}", spectral_normalization, strides=2)
        if batch_normalization and i > 1:
            x = batch_norm(f"norm{i}")(x)
        x = layers.LeakyReLU(0.2, name=f"relu{i}")(x)
    x = layers.Flatten(name="flat")(x)
    logits = _normalize(layers.Dense(1, dtype="float32", name="logits"), spectral_normalization)
    return keras.Model(sample, logits(x), name=name)


def _field_of_view(groups, score_size, num_classes, input_shape, width, logits, spectral_normalization, name):
    """Convolutions with ReLU, max pooling between the groups, a score per position, and the mean of the scores."""
    _check(num_classes, input_shape, spectral_normalization, width=width, logits=logits)
    inputs, x = _join(input_shape, num_classes)
    for level, convolutions in enumerate(groups, start=1):
        if level > 1:
            x = layers.MaxPooling2D(padding="same", name=f"stage{level}_pool")(x)
        for i, (size, filters) in enumerate(convolutions, start=1):
            stage = f"stage{level}_conv{i}"
            x = _convolution(x, scale_channels(filters, width), size, stage, spectral_normalization, activation="relu")
    x = _convolution(x, logits, score_size, "score", spectral_normalization, kernel_initializer="glorot_uniform")
    x = layers.GlobalAveragePooling2D(dtype="float32", name="logits")(x)
    return keras.Model(inputs, x, name=name)


def _check(num_classes, input_shape, spectral_normalization, **arguments):
    check_arguments(num_classes=num_classes, spectral_normalization=spectral_normalization, **arguments)
    if input_shape is not None:
        check_arguments(input_shape=input_shape)


def _inputs(input_shape, channels):
    return keras.Input(input_shape, name="image"), keras.Input((*input_shape[:2], channels), name="label_map")


def _join(input_shape, channels):
    """The model's inputs, and their concatenation."""
    if input_shape is None:
        label_map = keras.Input((None, None, channels), name="label_map")
        return label_map, label_map
    image, label_map = _inputs(input_shape, channels)
    x = layers.Rescaling(1 / 64, offset=-2.0, name="normalization")(image)
    return [image, label_map], layers.Concatenate(name="join")([x, label_map])


def _convolution(x, filters, size, name, spectral_normalization, **settings):
    settings = {"padding": "same", "kernel_initializer": "he_normal"} | settings
    return _normalize(layers.Conv2D(filters, size, name=name, **settings), spectral_normalization)(x)


def _normalize(layer, spectral_normalization):
    """The layer, with its kernel divided by its largest singular value if `spectral_normalization`."""
    if not spectral_normalization:
        return layer
    return layers.SpectralNormalization(layer, name=f"{layer.name}_spectral", dtype=layer.dtype_policy)
