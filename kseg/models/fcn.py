"""Fully convolutional networks on VGG16 (Long, Shelhamer, Darrell 2015, arXiv:1411.4038): FCN-32s, FCN-16s, FCN-8s. `keras` only.

fc6 and fc7 become convolutions; their scores, and those of pool4 and pool3, are upsampled by transposed convolutions that
interpolate bilinearly, summed, and cropped.
"""

from __future__ import annotations

import keras
from keras import layers

from kseg.blocks import bilinear_up, score
from kseg.encoders import vgg16
from kseg.layers import CropToMatch

CAFFE_MARGIN = 100
CAFFE_CROPS = {32: 19, 16: 27, 8: 31, "pool4": 5, "pool3": 9}
"""Offsets of the crops with a margin of 100: of the last upsampling by its factor, and of the scores of pool4 and pool3."""


def FCN32s(num_classes: int, **settings) -> keras.Model:
    """FCN-32s: the scores of fc7, upsampled 32 times. Arguments and result as for `FCN8s`."""
    return _fcn(num_classes, (), **{"name": "fcn32s", **settings})


def FCN16s(num_classes: int, **settings) -> keras.Model:
    """FCN-16s: the scores of fc7 and pool4. Arguments and result as for `FCN8s`."""
    return _fcn(num_classes, ("pool4",), **{"name": "fcn16s", **settings})


def FCN8s(num_classes: int, **settings) -> keras.Model:
    """FCN-8s: the scores of fc7, pool4 and pool3, summed coarse to fine.

    Args:
        num_classes: K.
        input_shape: (H, W, C), by default (None, None, 3).
        fc_filters: channels of fc6 and fc7, by default the paper's 4096.
        padding: "same" (the default) for maps that keep their size, or 100 for the paper's margin with its crops.
        upsampling_trainable: whether the transposed convolutions learn; the paper's stay bilinear.
        dropout: share of fc6's and fc7's activations that is dropped, by default 0.5.
        name: of the model.

    Returns: model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32, for any H and W.

    Raises:
        ValueError: `padding` is neither "same" nor 100.

    Source: figure 3; net.py of the authors' voc-fcn8s for the crops; 134,489,759 parameters for 21 classes.
    """
    return _fcn(num_classes, ("pool4", "pool3"), **{"name": "fcn8s", **settings})


def _fcn(
    num_classes,
    fused,
    *,
    name,
    input_shape=(None, None, 3),
    fc_filters=4096,
    padding="same",
    upsampling_trainable=False,
    dropout=0.5,
):
    if padding not in ("same", CAFFE_MARGIN):
        raise ValueError(f'`padding` must be "same" or {CAFFE_MARGIN}. Received: padding={padding!r}.')
    caffe = padding == CAFFE_MARGIN
    mode = "valid" if caffe else "same"
    image = keras.Input(input_shape, name="image")
    _, _, pool3, pool4, pool5 = vgg16(image, margin=CAFFE_MARGIN if caffe else 0)
    x = _fully_connected(pool5, fc_filters, mode, dropout)
    x = score(x, num_classes, name="score_fc7")
    pooled = {"pool4": pool4, "pool3": pool3}
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
    return keras.Model(image, layers.Activation("linear", dtype="float32", name="logits")(x), name=name)


def _fully_connected(x, filters, padding, dropout):
    """fc6 (7x7) and fc7 (1x1) as convolutions, each with ReLU and dropout."""
    for name, size in (("fc6", 7), ("fc7", 1)):
        x = layers.Conv2D(filters, size, padding=padding, activation="relu", kernel_initializer="he_normal", name=name)(
            x
        )
        x = layers.Dropout(dropout, name=f"{name}_dropout")(x)
    return x
