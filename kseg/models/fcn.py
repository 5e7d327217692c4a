"""Fully convolutional networks on VGG16 (Long, Shelhamer, Darrell 2015, arXiv:1411.4038): FCN-32s, FCN-16s, FCN-8s. `keras` only.

fc6 and fc7 become convolutions; their scores, and those of pool4 and pool3, are upsampled by transposed convolutions that
interpolate bilinearly, summed, and cropped.
"""

from __future__ import annotations

import keras
from keras import layers

from kseg._checks import check_arguments, check_boolean, check_choice
from kseg.blocks import activate, fully_connected, scale_channels, score
from kseg.encoders.features import strides
from kseg.encoders.names import encode
from kseg.encoders.vgg import vgg16
from kseg.layers import CropToMatch, Upsampling
from kseg.layers.upsampling import MODES

CAFFE_MARGIN = 100
CAFFE_CROPS = {32: 19, 16: 27, 8: 31, "pool4": 5, "pool3": 9}
"""Offsets of the crops with a margin of 100: of the last upsampling by its factor, and of the scores of pool4 and pool3."""
AT_ONCE_SCALES = {"pool4": 0.01, "pool3": 0.0001}
"""Factors of pool4 and pool3 in the FCN-8s that is trained in one stage: their larger values would drown the scores of fc7."""


def FCN32s(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    width: float = 1.0,
    fc_filters: int = 4096,
    encoder=None,
    weights=None,
    padding: str | int = "same",
    batch_normalization: bool = False,
    upsampling: str = "transposed_bilinear",
    upsampling_trainable: bool = False,
    dropout: float = 0.5,
    activation: str | None = None,
    name: str = "fcn32s",
) -> keras.Model:
    """FCN-32s: the scores of fc7, upsampled 32 times. Arguments and result as for `FCN8s`; 136,152,917 parameters."""
    return _fcn((), **locals())


def FCN16s(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    width: float = 1.0,
    fc_filters: int = 4096,
    encoder=None,
    weights=None,
    padding: str | int = "same",
    batch_normalization: bool = False,
    upsampling: str = "transposed_bilinear",
    upsampling_trainable: bool = False,
    dropout: float = 0.5,
    initial: keras.Model | None = None,
    activation: str | None = None,
    name: str = "fcn16s",
) -> keras.Model:
    """FCN-16s: the scores of fc7 and pool4. Arguments and result as for `FCN8s`; 134,815,994 parameters."""
    return _fcn(("pool4",), **locals())


def FCN8s(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    width: float = 1.0,
    fc_filters: int = 4096,
    encoder=None,
    weights=None,
    padding: str | int = "same",
    batch_normalization: bool = False,
    upsampling: str = "transposed_bilinear",
    upsampling_trainable: bool = False,
    dropout: float = 0.5,
    at_once: bool = False,
    initial: keras.Model | None = None,
    activation: str | None = None,
    name: str = "fcn8s",
) -> keras.Model:
    """FCN-8s: the scores of fc7, pool4 and pool3, summed coarse to fine.

    The paper trains FCN-32s, starts FCN-16s from it, and FCN-8s from that; new scores start at 0, so that each stage begins with
    its predecessor's scores.

    Args:
        num_classes: K.
        input_shape: (H, W, C); None where any size may come.
        width: multiplies the channels of the encoder and of fc6 and fc7.
        fc_filters: channels of fc6 and fc7 at width 1.
        encoder: name in `kseg.encoders.ENCODERS`, such as "resnet50", or function `image -> features`, whose last three, at
            strides 8, 16 and 32, replace pool3, pool4 and pool5. None: VGG16.
        weights: of the encoder: None for random weights, "imagenet", or a file, see `kseg.encoders.weights.fill`.
        padding: "same" for maps that keep their size, or 100 for the paper's margin with its crops.
        batch_normalization: whether batch normalisation precedes each ReLU of VGG16, fc6 and fc7 (not in the paper); without it
            the deep encoder hardly learns from random weights.
        upsampling: one of "bed_of_nails", "nearest", "bilinear", "bicubic", "transposed_bilinear" (the paper's),
            "transposed_random"; see `kseg.layers.Upsampling`.
        upsampling_trainable: whether "transposed_bilinear" learns; the paper's stays bilinear. "transposed_random" always does.
        dropout: share of the activations of fc6 and fc7 that is dropped.
        at_once: whether pool4 and pool3 are scaled by 0.01 and 0.0001, as in the authors' variant that is trained in one stage.
        initial: trained network of the same encoder, FCN-16s for FCN-8s, whose weights are copied layer by layer, except those of
            the upsampling to the image, whose kernel has another size.
        activation: None for logits, "softmax" for probabilities.
        name: of the model.

    Returns: model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32, for any H and W.

    Raises:
        ValueError: an argument is out of range, or none of those listed; `padding` is 100 with an `encoder` or another upsampling
            than the paper's; the encoder stops before stride 32; or a layer of `initial` has other shapes than here.

    Example:
        >>> coarse = kseg.FCN16s(21, width=0.125)
        >>> fine = kseg.FCN8s(21, width=0.125, initial=coarse)

    Source: section 4 and figure 3; net.py of the authors' voc-fcn8s for the crops, of voc-fcn8s-atonce for the scales;
        134,489,759 parameters for 21 classes.
    """
    return _fcn(("pool4", "pool3"), **locals())


def _fcn(
    fused, *, num_classes, input_shape, width, fc_filters, encoder, weights, padding, batch_normalization, upsampling,
    upsampling_trainable, dropout, activation, name, at_once=False, initial=None,
):  # fmt: skip
    """The network that adds the scores of `fused`, coarse to fine, to those of fc7."""
    check_arguments(
        num_classes=num_classes, input_shape=input_shape, width=width, fc_filters=fc_filters, dropout=dropout,
        batch_normalization=batch_normalization, upsampling_trainable=upsampling_trainable, activation=activation,
    )  # fmt: skip
    check_boolean("at_once", at_once)
    _check(padding, encoder, upsampling)
    caffe = padding == CAFFE_MARGIN
    mode = "valid" if caffe else "same"

    def up(x, factor, name):
        if not upsampling.startswith("transposed"):
            return Upsampling(upsampling, factor, name=name)(x)
        trainable = upsampling_trainable or upsampling == "transposed_random"
        return Upsampling(upsampling, factor, filters=num_classes, padding=mode, trainable=trainable, name=name)(x)

    image = keras.Input(input_shape, name="image")
    pool3, pool4, pool5 = _pooled(
        image, encoder, caffe, weights=weights, width=width, batch_normalization=batch_normalization
    )
    pooled = {"pool4": pool4, "pool3": pool3}
    x = fully_connected(pool5, scale_channels(fc_filters, width), mode, dropout, batch_normalization)
    x = score(x, num_classes, name="score_fc7")
    for source in fused:
        x = up(x, 2, f"up_{source}")
        skip = pooled[source]
        if at_once:
            skip = layers.Rescaling(AT_ONCE_SCALES[source], name=f"scale_{source}")(skip)
        skip = score(skip, num_classes, name=f"score_{source}")
        if caffe:
            skip = CropToMatch(CAFFE_CROPS[source], name=f"crop_{source}")([skip, x])
        else:
            x = CropToMatch(name=f"crop_{source}")([x, skip])
        x = layers.Add(name=f"fuse_{source}")([x, skip])
    factor = 32 >> len(fused)
    x = up(x, factor, "up_image")
    x = CropToMatch(CAFFE_CROPS[factor] if caffe else 0, name="crop_image")([x, image])
    logits = layers.Activation("linear", dtype="float32", name="logits")(x)
    network = keras.Model(image, activate(logits, activation), name=name)
    if initial is not None:
        _start_from(network, initial)
    return network


def _check(padding, encoder, upsampling):
    check_choice("padding", padding, ("same", CAFFE_MARGIN))
    check_choice("upsampling", upsampling, [mode for mode in MODES if mode != "max_unpooling"])
    if padding == CAFFE_MARGIN and (encoder is not None or upsampling != "transposed_bilinear"):
        raise ValueError(
            f'`padding` must be "same" with an `encoder` or another upsampling than "transposed_bilinear": the crops of '
            f"{CAFFE_MARGIN} hold for the paper's. Received: encoder={encoder}, upsampling={upsampling!r}."
        )


def _pooled(image, encoder, caffe, **settings):
    """The features at strides 8, 16 and 32."""
    if encoder is None:
        return vgg16(image, margin=CAFFE_MARGIN if caffe else 0, **settings)[2:]
    features = encode(image, encoder, **settings)
    found = strides(image, features)
    if found[-3:] != [8, 16, 32]:
        raise ValueError(
            f"`encoder` must end with features at strides 8, 16 and 32. Received: features at strides {found}."
        )
    return features[-3:]


def _start_from(network, initial):
    """Copies the weights of each layer that both networks have, except the upsampling to the image."""
    theirs = {layer.name: layer for layer in initial.layers if layer.weights and layer.name != "up_image"}
    for layer in network.layers:
        source = theirs.get(layer.name)
        if source is None or not layer.weights:
            continue
        shapes = [[tuple(weight.shape) for weight in each.weights] for each in (layer, source)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"`initial` must have the same classes, channels and width. Received: initial={initial.name!r}, whose "
                f"layer {layer.name!r} has weights {shapes[1]} instead of {shapes[0]}."
            )
        layer.set_weights(source.get_weights())
