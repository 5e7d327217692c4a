"""Fully convolutional networks on VGG16 (Long, Shelhamer, Darrell 2015, arXiv:1411.4038): FCN-32s, FCN-16s, FCN-8s. `keras` only.

fc6 and fc7 become convolutions; their scores, and those of pool4 and pool3, are upsampled by transposed convolutions that
interpolate bilinearly, summed, and cropped.
"""

from __future__ import annotations

import keras
from keras import layers

from kseg.blocks import activate, bilinear_up, fully_connected, scaled, score
from kseg.encoders import vgg16
from kseg.layers import CropToMatch

CAFFE_MARGIN = 100
CAFFE_CROPS = {32: 19, 16: 27, 8: 31, "pool4": 5, "pool3": 9}
"""Offsets of the crops with a margin of 100: of the last upsampling by its factor, and of the scores of pool4 and pool3."""


def FCN32s(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    width: float = 1.0,
    fc_filters: int = 4096,
    encoder=None,
    padding: str | int = "same",
    batch_normalization: bool = False,
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
    padding: str | int = "same",
    batch_normalization: bool = False,
    upsampling_trainable: bool = False,
    dropout: float = 0.5,
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
    padding: str | int = "same",
    batch_normalization: bool = False,
    upsampling_trainable: bool = False,
    dropout: float = 0.5,
    activation: str | None = None,
    name: str = "fcn8s",
) -> keras.Model:
    """FCN-8s: the scores of fc7, pool4 and pool3, summed coarse to fine.

    Args:
        num_classes: K.
        input_shape: (H, W, C); None where any size may come.
        width: multiplies the channels of the trunk and of fc6 and fc7.
        fc_filters: channels of fc6 and fc7 at width 1.
        encoder: `image -> features` at strides 2, 4, 8, 16 and 32, whose last three take the places of pool3, pool4 and pool5;
            None: VGG16 of `width`, randomly started.
        padding: "same" for maps that keep their size, or 100 for the paper's margin with its crops.
        batch_normalization: put batch normalisation before each ReLU of VGG16, fc6 and fc7 (not in the paper), without which
            the deep trunk hardly learns from random weights.
        upsampling_trainable: whether the transposed convolutions learn; the paper's stay bilinear.
        dropout: share of fc6's and fc7's activations that is dropped.
        activation: None for logits, "softmax" for probabilities.
        name: of the model.

    Returns: model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32, for any H and W.

    Raises:
        ValueError: `padding` is neither "same" nor 100, or it is 100 with an `encoder`, or the encoder stops before stride 32.

    Source: figure 3; net.py of the authors' voc-fcn8s for the crops; 134,489,759 parameters for 21 classes.
    """
    return _fcn(("pool4", "pool3"), **locals())


def _fcn(
    fused, *, num_classes, input_shape, width, fc_filters, encoder, padding, batch_normalization, upsampling_trainable,
    dropout, activation, name,
):  # fmt: skip
    """The network that adds the scores of `fused`, coarse to fine, to those of fc7."""
    caffe = padding == CAFFE_MARGIN
    image = keras.Input(input_shape, name="image")
    pool3, pool4, pool5 = _pooled(image, encoder, padding, width, batch_normalization)
    pooled, mode = {"pool4": pool4, "pool3": pool3}, "valid" if caffe else "same"
    x = fully_connected(pool5, scaled(fc_filters, width), mode, dropout, batch_normalization)
    x = score(x, num_classes, name="score_fc7")
    for source in fused:
        x = bilinear_up(x, 2, name=f"up_{source}", padding=mode, trainable=upsampling_trainable)
        skip = score(pooled[source], num_classes, name=f"score_{source}")
        if caffe:
            skip = CropToMatch(CAFFE_CROPS[source], name=f"crop_{source}")([skip, x])
        else:
            x = CropToMatch(name=f"crop_{source}")([x, skip])
        x = layers.Add(name=f"fuse_{source}")([x, skip])
    factor = 32 >> len(fused)
    x = bilinear_up(x, factor, name="up_image", padding=mode, trainable=upsampling_trainable)
    x = CropToMatch(CAFFE_CROPS[factor] if caffe else 0, name="crop_image")([x, image])
    logits = layers.Activation("linear", dtype="float32", name="logits")(x)
    return keras.Model(image, activate(logits, activation), name=name)


def _pooled(image, encoder, padding, width, batch_normalization):
    """The features at strides 8, 16 and 32."""
    if padding not in ("same", CAFFE_MARGIN):
        raise ValueError(f'`padding` must be "same" or {CAFFE_MARGIN}. Received: padding={padding!r}.')
    if encoder is None:
        margin = CAFFE_MARGIN if padding == CAFFE_MARGIN else 0
        return vgg16(image, width=width, batch_normalization=batch_normalization, margin=margin)[2:]
    if padding == CAFFE_MARGIN:
        raise ValueError(f'`padding` must be "same" with an `encoder`: the crops of {CAFFE_MARGIN} are VGG16\'s.')
    features = encoder(image)
    if len(features) != 5:
        raise ValueError(
            f"`encoder` must return five features, at strides 2, 4, 8, 16 and 32. Received: {len(features)} features."
        )
    return features[2:]
