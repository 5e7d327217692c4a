"""A network on a trunk that is traced in a second."""

import keras

from kseg.encoders.names import encode


def small_trunk(image) -> list:
    """A map at stride 2, after a convolution and batch normalisation."""
    x = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="trunk_conv")(x)
    return [keras.layers.ReLU(name="trunk_relu")(keras.layers.BatchNormalization(name="trunk_norm")(x))]


def small_network(num_classes: int, channels: int) -> keras.Model:
    """From `image` (B, H, W, C), of even H and W, to logits (B, H, W, K)."""
    image = keras.Input((None, None, channels), name="image")
    (x,) = encode(image, small_trunk)
    x = keras.layers.UpSampling2D(2, name="up")(keras.layers.Conv2D(num_classes, 3, padding="same", name="head")(x))
    return keras.Model(image, keras.layers.Activation("linear", dtype="float32", name="logits")(x), name="small")
