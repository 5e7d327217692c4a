"""PSPNet (Zhao et al. 2017, arXiv:1612.01105): a dilated ResNet and means over a pyramid of regions. `keras` only."""

from __future__ import annotations

import keras
from keras import layers

from kseg._checks import check_arguments, check_choice, check_integers
from kseg.blocks import activate, conv_norm, pyramid_pooling, scale_channels, score
from kseg.encoders.features import strides
from kseg.encoders.names import encode
from kseg.encoders.resnet import resnet50, resnet101
from kseg.layers import CropToMatch, Interpolation2D

STRIDE = 8
RESNETS = {50: resnet50, 101: resnet101}


def PSPNet(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    depth: int = 101,
    bins: tuple[int, ...] = (1, 2, 3, 6),
    width: float = 1.0,
    encoder=None,
    weights=None,
    dropout: float = 0.1,
    activation: str | None = None,
    name: str = "pspnet",
) -> keras.Model:
    """PSPNet on a ResNet of output stride 8 with the authors' stem of three convolutions.

    Args:
        num_classes: K.
        input_shape: (H, W, C); None where any size may come: bins that do not divide a map share rows.
        depth: 50 or 101 layers of the ResNet.
        bins: regions per side of each level of the pyramid.
        width: multiplies every channel count.
        encoder: name in `kseg.encoders.ENCODERS`, such as "resnet50", or function `image -> features`; the last one is used,
            whatever its stride. None: the ResNet of `depth`.
        weights: of the encoder: None for random weights, "imagenet", or a file, see `kseg.encoders.weights.fill`.
        dropout: share of the features that is dropped before the scores.
        activation: None for logits, "softmax" for probabilities.
        name: of the model.

    Returns: model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32, for any H and W.

    Raises:
        ValueError: an argument is out of range, or none of those listed.

    Source: section 3 and figure 3, without the auxiliary loss; 65,708,501 parameters for 101 layers and 21 classes without the
        moving averages.
    """
    check_arguments(
        num_classes=num_classes, input_shape=input_shape, width=width, dropout=dropout, activation=activation
    )
    check_choice("depth", depth, RESNETS)
    check_integers("bins", bins)
    image = keras.Input(input_shape, name="image")
    if encoder is None:
        *_, x = RESNETS[depth](image, width=width, output_stride=STRIDE, stem="deep", weights=weights)
        stride = STRIDE
    else:
        features = encode(image, encoder, weights=weights, width=width, output_stride=STRIDE)
        x, stride = features[-1], strides(image, features)[-1]
    x = pyramid_pooling(x, bins=bins)
    x = conv_norm(x, scale_channels(512, width), 3, name="head")
    x = layers.Dropout(dropout, name="head_dropout")(x)
    x = score(x, num_classes, name="score", kernel_initializer="he_normal")
    x = Interpolation2D(stride, dtype="float32", name="up_image")(x)
    x = CropToMatch(dtype="float32", name="logits")([x, image])
    return keras.Model(image, activate(x, activation), name=name)
