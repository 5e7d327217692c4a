"""PSPNet (Zhao et al. 2017, arXiv:1612.01105): a dilated ResNet and means over a pyramid of regions. `keras` only."""

from __future__ import annotations

import keras
from keras import layers

from kseg import encoders
from kseg.blocks import activate, conv_norm, pyramid_pooling, scaled, score
from kseg.layers import CropToMatch, Interpolation2D

STRIDE = 8
RESNETS = {50: encoders.resnet50, 101: encoders.resnet101}


def PSPNet(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    depth: int = 101,
    bins: tuple[int, ...] = (1, 2, 3, 6),
    width: float = 1.0,
    encoder=None,
    dropout: float = 0.1,
    activation: str | None = None,
    name: str = "pspnet",
) -> keras.Model:
    """PSPNet on a ResNet of output stride 8 with the authors' stem of three convolutions.

    Args:
        num_classes: K.
        input_shape: (H, W, C); None where any size may come: bins that do not divide a map share its rows.
        depth: 50 or 101 layers of the ResNet.
        bins: regions a side of each level of the pyramid.
        width: multiplies every channel count.
        encoder: `image -> features` in place of the ResNet; the last feature counts, whatever its stride.
        dropout: share of the features that is dropped before the classes.
        activation: None for logits, "softmax" for probabilities.
        name: of the model.

    Returns: model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32, for any H and W.

    Raises:
        ValueError: `depth` is neither.

    Source: section 3 and figure 3, without the auxiliary loss; 65,708,501 parameters for 101 layers and 21 classes without the
        moving averages.
    """
    if depth not in RESNETS:
        raise ValueError(f"`depth` must be 50 or 101. Received: depth={depth}.")
    image = keras.Input(input_shape, name="image")
    if encoder is None:
        *_, x = RESNETS[depth](image, width=width, output_stride=STRIDE, stem="deep")
        stride = STRIDE
    else:
        features = encoder(image)
        x, stride = features[-1], encoders.strides(image, features)[-1]
    x = pyramid_pooling(x, bins=bins)
    x = conv_norm(x, scaled(512, width), 3, name="head")
    x = layers.Dropout(dropout, name="head_dropout")(x)
    x = score(x, num_classes, name="score", kernel_initializer="he_normal")
    x = Interpolation2D(stride, dtype="float32", name="up_image")(x)
    x = CropToMatch(dtype="float32", name="logits")([x, image])
    return keras.Model(image, activate(x, activation), name=name)
