"""Layers that Keras lacks: cropping to a reference, pooling into bins, bilinear kernels, ImageNet's normalisation.

Everything here is written in `keras.ops`, so that it runs on each of Keras's backends.
"""

from __future__ import annotations

import keras
from keras import ops

from kseg.layers.windows import DilatedMaxPooling2D, ReflectionPadding2D

__all__ = [
    "Bilinear",
    "CropToMatch",
    "DilatedMaxPooling2D",
    "ImageNetNormalization",
    "ImagePooling2D",
    "MinimumSize",
    "ReflectionPadding2D",
]


@keras.saving.register_keras_serializable(package="kseg")
class CropToMatch(keras.layers.Layer):
    """Crops a map to the height and width of a reference.

    Called on [map (B, H, W, C), reference (B, h, w, ...)]; returns (B, h, w, C), the map's rows and columns from `offset` on.

    Args:
        offset: (rows, columns) left out at the top and the left, an integer for both, or "centre".

    Raises:
        ValueError: `offset` is none of these, or negative; or the reference is larger than what is left of the map, where both
            sizes are known. TensorFlow refuses the crop where they become known in a running graph only.

    Source: the Crop layer of the FCNs (Long et al. 2015); "centre" as in U-Net (Ronneberger et al. 2015).
    """

    def __init__(self, offset=0, **kwargs):
        super().__init__(**kwargs)
        pair = (offset, offset) if isinstance(offset, int) else offset
        valid = pair == "centre" or (
            isinstance(pair, (tuple, list)) and len(pair) == 2 and all(isinstance(n, int) and n >= 0 for n in pair)
        )
        if not valid:
            raise ValueError(
                f'`offset` must be "centre", one or two integers of at least 0. Received: offset={offset!r}.'
            )
        self.offset = pair if pair == "centre" else tuple(pair)

    def call(self, inputs):
        values, reference = inputs
        self._check(values.shape, reference.shape)
        batch, full_height, full_width, channels = ops.shape(values)
        height, width = ops.shape(reference)[1:3]
        if self.offset == "centre":
            top, left = (full_height - height) // 2, (full_width - width) // 2
        else:
            top, left = self.offset
        return ops.slice(values, (0, top, left, 0), (batch, height, width, channels))

    def compute_output_shape(self, input_shape):
        values, reference = input_shape
        self._check(values, reference)
        return (values[0], *reference[1:3], values[3])

    def _check(self, values, reference):
        offset = (0, 0) if self.offset == "centre" else self.offset
        for axis in (1, 2):
            if None not in (values[axis], reference[axis]) and values[axis] < reference[axis] + offset[axis - 1]:
                raise ValueError(
                    f"The map must reach beyond the reference and `offset`. Received: map {tuple(values)}, reference "
                    f"{tuple(reference)}, offset={self.offset} in layer {self.name!r}. Give a larger image."
                )

    def get_config(self):
        return {**super().get_config(), "offset": self.offset}


@keras.saving.register_keras_serializable(package="kseg")
class MinimumSize(keras.layers.Layer):
    """Passes an image (B, H, W, C) on, and refuses one that has too few rows or columns for unpadded convolutions.

    TensorFlow answers an unpadded convolution of a map smaller than its kernel with numbers that mean nothing, so a network
    that shrinks its maps begins with this layer.

    Args:
        size: least H and W, pixels.

    Raises:
        ValueError: H or W is less, where it is known. TensorFlow refuses the image where they become known in a running graph
            only.
    """

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, image):
        self._check(image.shape)
        if None not in image.shape[1:3]:
            return image
        shape = ops.shape(image)
        missing = [ops.minimum(length - self.size, 0) for length in shape[1:3]]
        return ops.slice(
            image, (0, *missing, 0), shape
        )  # begins below 0, which tf.slice refuses, where rows are missing

    def compute_output_shape(self, input_shape):
        self._check(input_shape)
        return input_shape

    def _check(self, shape):
        if any(length is not None and length < self.size for length in shape[1:3]):
            raise ValueError(
                f"An image must have at least {self.size} rows and columns. Received: {shape[1]} x {shape[2]} in layer "
                f"{self.name!r}. Give a larger image, or mirror its borders."
            )

    def get_config(self):
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable(package="kseg")
class ImagePooling2D(keras.layers.Layer):
    """Means of the image over `bins` x `bins` regions, at any input size.

    Bin i of n holds the rows from floor(i H / n) up to ceil((i + 1) H / n), and so for columns: equal regions where n divides H,
    regions that share a row where it does not, and repeated ones where n is larger. One bin is the mean over the image.

    (B, H, W, C) to (B, bins, bins, C).

    Args:
        bins: regions a side.

    Raises:
        ValueError: `bins` is less than 1.

    Example:
        >>> ImagePooling2D(2)(np.arange(5.0).reshape(1, 1, 5, 1))[0, 0, :, 0]
        [1.0, 3.0]

    Source: image-level features of DeepLabv3 (Chen et al. 2017, section 3.3); the pyramid of PSPNet (Zhao et al. 2017, section
        3.2), whose 60x60 map divides into each of its bins.
    """

    def __init__(self, bins: int = 1, **kwargs):
        super().__init__(**kwargs)
        if bins < 1:
            raise ValueError(f"`bins` must be at least 1. Received: bins={bins}.")
        self.bins = bins

    def call(self, values):
        height, width = ops.shape(values)[1:3]
        # summed in float32: a bfloat16 sum stops growing after a few hundred pixels
        pooled = ops.einsum("nh,bhwc->bnwc", self._shares(height), ops.cast(values, "float32"))
        return ops.cast(ops.einsum("nw,bhwc->bhnc", self._shares(width), pooled), values.dtype)

    def _shares(self, length):
        """Weights (bins, length) of each row in each bin's mean."""
        at, index = ops.arange(length), ops.arange(self.bins)[:, None]
        first, end = index * length // self.bins, -(-(index + 1) * length // self.bins)
        return ops.cast((at >= first) & (at < end), "float32") / ops.cast(end - first, "float32")

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.bins, self.bins, input_shape[3])

    def get_config(self):
        return {**super().get_config(), "bins": self.bins}


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
