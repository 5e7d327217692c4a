"""Layers for sizes: crop and resize to a reference, and refuse images that are too small. `keras.ops` only."""

from __future__ import annotations

import keras
from keras import ops

from kseg._checks import check_integer, check_pair


@keras.saving.register_keras_serializable(package="kseg")
class CropToMatch(keras.layers.Layer):
    """Crops a map to the height and width of a reference.

    Called on [map (B, H, W, C), reference (B, h, w, ...)]; returns (B, h, w, C), the map's rows and columns from `offset` on.

    Args:
        offset: (rows, columns) to drop at the top and the left, one integer for both, or "centre".

    Raises:
        ValueError: `offset` is none of these, or negative; or the reference is larger than the rest of the map, where both
            sizes are static. TensorFlow refuses the crop where they are known only when the graph runs.

    Source: the Crop layer of the FCNs (Long et al. 2015); "centre" as in U-Net (Ronneberger et al. 2015).
    """

    def __init__(self, offset=0, **kwargs):
        super().__init__(**kwargs)
        if offset != "centre":
            offset = check_pair("offset", offset, minimum=0, otherwise='"centre", or ')
        self.offset = offset

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
                    f"The map must not be smaller than the reference plus `offset`. Received: map {tuple(values)}, reference "
                    f"{tuple(reference)}, offset={self.offset} in layer {self.name!r}. Give a larger image."
                )

    def get_config(self):
        return {**super().get_config(), "offset": self.offset}


@keras.saving.register_keras_serializable(package="kseg")
class MinimumSize(keras.layers.Layer):
    """Returns an image (B, H, W, C), and refuses one with too few rows or columns for unpadded convolutions.

    TensorFlow returns meaningless numbers for an unpadded convolution of a map smaller than its kernel, so a network that shrinks
    its maps begins with this layer.

    Args:
        size: smallest H and W, pixels.

    Raises:
        ValueError: H or W is smaller, where it is static. TensorFlow refuses the image if it is known only when the graph runs.
    """

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        check_integer("size", size)
        self.size = size

    def call(self, image):
        self._check(image.shape)
        if None not in image.shape[1:3]:
            return image
        shape = ops.shape(image)
        missing = [ops.minimum(length - self.size, 0) for length in shape[1:3]]
        # Begins below 0, which TensorFlow refuses, where rows are missing.
        return ops.slice(image, (0, *missing, 0), shape)

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
class ResizeToMatch(keras.layers.Layer):
    """Interpolates a map bilinearly to the height and width of a reference, between the centres of pixels, borders repeated.

    Called on [map (B, H, W, C), reference (B, h, w, ...)]; returns (B, h, w, C). For small maps, such as means over a few
    regions: each position is a weighted sum over the whole map.
    """

    def call(self, inputs):
        values, reference = inputs
        (height, width), (rows, columns) = ops.shape(values)[1:3], ops.shape(reference)[1:3]
        values = ops.einsum("rh,bhwc->brwc", self._shares(height, rows, values.dtype), values)
        return ops.einsum("cw,brwk->brck", self._shares(width, columns, values.dtype), values)

    def _shares(self, length, resized, dtype):
        """Weight (resized, length) of each old position in each new one."""
        scale = ops.cast(length, "float32") / ops.cast(resized, "float32")
        at = (ops.cast(ops.arange(resized), "float32") + 0.5) * scale - 0.5
        at = ops.clip(at, 0.0, ops.cast(length - 1, "float32"))
        distance = ops.abs(at[:, None] - ops.cast(ops.arange(length), "float32"))
        return ops.cast(ops.maximum(1.0 - distance, 0.0), dtype)

    def compute_output_shape(self, input_shape):
        values, reference = input_shape
        return (values[0], *reference[1:3], values[3])
