"""Normalisation of images as pretrained encoders expect it, of channels by their neighbours, and of batches. `keras.ops`; on
TensorFlow its own kernel of batch normalisation."""

from __future__ import annotations

import keras
from keras import ops

from kseg._checks import check_integer, check_number


@keras.saving.register_keras_serializable(package="kseg")
class ImageNetNormalization(keras.layers.Layer):
    """RGB in [0, 255] as VGG16's Caffe weights expect it: BGR minus ImageNet's mean, not scaled.

    (B, H, W, C) to (B, H, W, C). If C is not 3, the mean of the three means is subtracted from each channel.
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


@keras.saving.register_keras_serializable(package="kseg")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each channel by the strength of its neighbours: x / (1 + alpha / size * sum of x^2)^beta.

    The sum is over `size` neighbouring channels, those beyond the first and the last being 0. (B, H, W, C) to (B, H, W, C).

    Args:
        size: channels in the sum, an odd number.
        alpha, beta: as in the formula.

    Raises:
        ValueError: `size` is not odd, or an argument is no number.

    Example:
        >>> round(float(LocalResponseNormalization()(np.full((1, 1, 1, 3), 100.0))[0, 0, 0, 0]), 4), round(100 / 1.6**0.75, 4)
        (70.2927, 70.2927)

    Source: Krizhevsky et al. 2012, section 3.3, in Caffe's form with alpha / size and 1 for k.
    """

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, **kwargs):
        super().__init__(**kwargs)
        check_number("alpha", alpha)
        check_number("beta", beta)
        check_integer("size", size)
        if size % 2 == 0:
            raise ValueError(f"`size` must be an odd number of at least 1. Received: size={size}.")
        self.size, self.alpha, self.beta = size, alpha, beta

    def call(self, values):
        x = ops.cast(values, "float32")  # squares of grey levels overflow float16
        channels, around = x.shape[-1], self.size // 2
        squares = ops.pad(ops.square(x), [[0, 0], [0, 0], [0, 0], [around, around]])
        strength = sum(squares[..., i : i + channels] for i in range(self.size))
        return ops.cast(x / (1 + self.alpha / self.size * strength) ** self.beta, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "size": self.size, "alpha": self.alpha, "beta": self.beta}


@keras.saving.register_keras_serializable(package="kseg")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalisation; in training on TensorFlow one operation computes it, in fewer passes over the map.

    Arguments, weights and numbers are Keras's, up to rounding. What TensorFlow's operation cannot do (other shapes than
    (B, H, W, C), masks, weights that are not float32, statistics of several replicas together) Keras's own operations do, as on
    other backends.
    """

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable and self._is_one_operation(inputs, mask)):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        x = tf.cast(inputs, tf.float32)
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            x, tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta), epsilon=self.epsilon
        )
        count = tf.cast(tf.size(x) // tf.shape(x)[-1], tf.float32)
        variance *= (count - 1) / count  # the operation divides by count - 1
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))
        return tf.cast(y, self.compute_dtype)

    def _is_one_operation(self, inputs, mask) -> bool:
        if keras.backend.backend() != "tensorflow" or mask is not None or len(inputs.shape) != 4:
            return False
        import tensorflow as tf

        together = self.synchronized and tf.distribute.get_strategy().num_replicas_in_sync > 1
        plain = (
            self.scale and self.center and not self.renorm and self.axis in (-1, 3) and self.variable_dtype == "float32"
        )
        return plain and not together and inputs.dtype != "float64"
