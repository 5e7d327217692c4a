"""The constants by which pretrained trunks bring an image to the range they learnt from. `keras.ops` only."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kseg")
class ImageNetNormalization(keras.layers.Layer):
    """RGB in [0, 255] as VGG16's Caffe weights expect it: channels turned to BGR, less ImageNet's mean; no scaling.

    (B, H, W, C) to (B, H, W, C). Where C is not 3, the mean of the three means is taken off each channel.
    """

    MEAN = (103.939, 116.779, 123.68)
    """Blue, green, red; grey levels."""

    def call(self, image):
        image = ops.cast(image, self.compute_dtype)
        if image.shape[-1] == 3:
            return ops.flip(image, axis=-1) - ops.convert_to_tensor(self.MEAN, dtype=self.compute_dtype)
        return image - sum(self.MEAN) / 3

    def compute_output_shape(self, input_shape):
        return input_shape
