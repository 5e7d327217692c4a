"""Means over regions of the image, at any input size. `keras.ops` only."""

from __future__ import annotations

import keras
from keras import ops

from kseg._checks import check_integer


@keras.saving.register_keras_serializable(package="kseg")
class ImagePooling2D(keras.layers.Layer):
    """Means of the image over `bins` x `bins` regions, at any input size.

    Bin i of n holds the rows from floor(i H / n) up to ceil((i + 1) H / n), likewise the columns: equal regions if n divides H,
    regions that share a row if it does not, repeated ones if n is larger. One bin is the mean over the image.

    (B, H, W, C) to (B, bins, bins, C).

    Args:
        bins: regions per side.

    Raises:
        ValueError: `bins` is less than 1.

    Example:
        >>> np.asarray(ImagePooling2D(2)(np.arange(5.0).reshape(1, 1, 5, 1)))[0, 0, :, 0].tolist()
        [1.0, 3.0]

    Source: image-level features of DeepLabv3 (Chen et al. 2017, section 3.3); the pyramid of PSPNet (Zhao et al. 2017, section
        3.2), whose 60x60 map divides into each of its bins.
    """

    def __init__(self, bins: int = 1, **kwargs):
        super().__init__(**kwargs)
        check_integer("bins", bins)
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
