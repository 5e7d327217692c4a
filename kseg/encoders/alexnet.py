"""AlexNet's convolutions (Krizhevsky et al. 2012), in the one-column form of Caffe's reference network. `keras` only."""

from __future__ import annotations

from keras import layers

from kseg._checks import check_arguments
from kseg.blocks import scale_channels
from kseg.encoders.features import finish
from kseg.layers import ImageNetNormalization, LocalResponseNormalization


def alexnet(image, *, width: float = 1.0, weights=None, trainable: bool = True) -> list:
    """AlexNet's five convolutions (2,334,080 weights for RGB), padded so that sizes are rounded up.

    Args:
        image: (B, H, W, C) in [0, 255]; normalisation is inside.
        width: multiplies every channel count, kept even for the two groups of the second, fourth and fifth convolution.
        weights: None for random weights, or a file, see `kseg.encoders.weights.fill`; keras.applications has none.
        trainable: False freezes the encoder.

    Returns: features at strides 4 (96 channels), 8 (256), 16 (256, after the fifth convolution) and 32 (the same, pooled).

    Source: section 3; Caffe's bvlc_reference_caffenet for the order of pooling and normalisation.
    """

    check_arguments(width=width, trainable=trainable)

    def convolution(x, filters, size, name, groups=1, **settings):
        filters = 2 * scale_channels(filters // 2, width)
        return layers.Conv2D(
            filters,
            size,
            padding="same",
            groups=groups,
            activation="relu",
            kernel_initializer="he_normal",
            name=name,
            **settings,
        )(x)

    def pooled(x, name):
        return layers.MaxPooling2D(3, strides=2, padding="same", name=name)(x)

    x = ImageNetNormalization(name="normalization")(image)
    quarter = convolution(x, 96, 11, "conv1", strides=4)
    x = LocalResponseNormalization(name="conv1_norm")(pooled(quarter, "conv1_pool"))
    eighth = convolution(x, 256, 5, "conv2", groups=2)
    x = LocalResponseNormalization(name="conv2_norm")(pooled(eighth, "conv2_pool"))
    x = convolution(x, 384, 3, "conv3")
    x = convolution(x, 384, 3, "conv4", groups=2)
    sixteenth = convolution(x, 256, 3, "conv5", groups=2)
    features = [quarter, eighth, sixteenth, pooled(sixteenth, "conv5_pool")]
    return finish(image, features, weights=weights, trainable=trainable)
