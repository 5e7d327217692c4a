"""Layers that Keras lacks: cropping to a reference, bilinear start of transposed convolutions, ImageNet's normalisation.

Everything here is written in `keras.ops`, so that it runs on each of Keras's backends.
"""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kseg")
class CropToMatch(keras.layers.Layer):
    """Crops a map to the height and width of a reference.

    Called on [map (B, H, W, C), reference (B, h, w, ...)]; returns (B, h, w, C), the map's rows and columns from `offset` on.

    Args:
        offset: (rows, columns) left out at the top and the left, an integer for both, or "centre".

    Raises:
        ValueError: the reference is larger than what is left of the map, where both sizes are known.

    Source: the Crop layer of the FCNs (Long et al. 2015); "centre" as in U-Net (Ronneberger et al. 2015).
    """

    def __init__(self, offset=0, **kwargs):
        super().__init__(**kwargs)
        self.offset = offset if offset == "centre" else (offset, offset) if isinstance(offset, int) else tuple(offset)

    def call(self, inputs):
        values, reference = inputs
        height, width = ops.shape(reference)[1:3]
        if self.offset == "centre":
            full = ops.shape(values)[1:3]
            top, left = (full[0] - height) // 2, (full[1] - width) // 2
        else:
            top, left = self.offset
        return values[:, top : top + height, left : left + width]

    def compute_output_shape(self, input_shape):
        values, reference = input_shape
        offset = (0, 0) if self.offset == "centre" else self.offset
        for axis in (1, 2):
            if None not in (values[axis], reference[axis]) and values[axis] < reference[axis] + offset[axis - 1]:
                raise ValueError(
                    f"The map must reach beyond the reference and `offset`. Received: map {tuple(values)}, reference "
                    f"{tuple(reference)}, offset={self.offset} in layer {self.name!r}. Give a larger image."
                )
        return (values[0], *reference[1:3], values[3])

    def get_config(self):
        return {**super().get_config(), "offset": self.offset}


@keras.saving.register_keras_serializable(package="kseg")
class Bilinear(keras.initializers.Initializer):
    """Kernel (k, k, out, in) of a transposed convolution that interpolates each channel by itself.

    With f = (k + 1) // 2 the weight at (i, j) is (1 - |i - c| / f)(1 - |j - c| / f), c the centre (k - 1) / 2 for even k and
    f - 1 for odd k; between different channels it is 0.

    Source: upsample_filt of the FCNs' surgery.py (Long et al. 2015).
    """

    def __call__(self, shape, dtype=None):
        """Returns the kernel of `shape` (k, k, out, in)."""
        size, _, outputs, inputs = shape
        factor = (size + 1) // 2
        centre = factor - 1 if size % 2 else factor - 0.5
        ramp = 1 - ops.abs(ops.arange(size, dtype="float32") - centre) / factor
        return ops.cast(ops.einsum("i,j,oc->ijoc", ramp, ramp, ops.eye(outputs, inputs)), dtype or "float32")


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
