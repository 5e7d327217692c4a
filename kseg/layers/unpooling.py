"""Max pooling that returns the index of each maximum, and its inverses: to those positions, or to a regular grid.

Windows are reshaped to one axis and compared there, so that every backend counts positions alike; without `ops.argmax`, whose
operations on bits other runtimes lack. `keras.ops` only.
"""

from __future__ import annotations

import keras
from keras import ops

from kseg._checks import check_pair


@keras.saving.register_keras_serializable(package="kseg")
class MaxPoolingWithIndices2D(keras.layers.Layer):
    """Max pooling over windows that do not overlap, which also returns the index of each maximum in its window.

    (B, H, W, C) to [maxima (B, h, w, C), indices (B, h, w, C) int32], h = ceil(H / rows) and w = ceil(W / columns): windows at
    the bottom and the right may be cut. An index is row * columns + column within the window; of equal maxima the first one
    counts, and it alone receives the gradient.

    Args:
        pool_size: (rows, columns) of a window, pixels, or one integer for both.

    Raises:
        ValueError: `pool_size` is not one or two integers of at least 1.

    Example:
        >>> maxima, indices = MaxPoolingWithIndices2D(2)(np.array([[1.0, 4.0], [4.0, 2.0]]).reshape(1, 2, 2, 1))
        >>> float(maxima[0, 0, 0, 0]), int(indices[0, 0, 0, 0])
        (4.0, 1)

    Source: SegNet (Badrinarayanan et al. 2017, arXiv:1511.00561), section 3.
    """

    def __init__(self, pool_size=2, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = check_pair("pool_size", pool_size)

    def call(self, values):
        windows = self._windows(values)
        indices = _first_maximum(windows)
        # The sum over the one kept value: the gradient of a maximum would be shared among equal values.
        maxima = ops.sum(ops.where(_at(indices, self.pool_size), windows, ops.zeros_like(windows)), axis=3)
        return maxima, indices

    def _windows(self, values):
        """(B, H, W, C) as (B, h, w, rows * columns, C), padded with values that are never a first maximum."""
        rows, columns = self.pool_size
        height, width = ops.shape(values)[1:3]
        beyond = [[0, 0], [0, -height % rows], [0, -width % columns], [0, 0]]
        values = ops.pad(values, beyond, constant_values=-float("inf"))
        _, height, width, channels = ops.shape(values)
        values = ops.reshape(values, (-1, height // rows, rows, width // columns, columns, channels))
        values = ops.transpose(values, (0, 1, 3, 2, 4, 5))
        return ops.reshape(values, (-1, height // rows, width // columns, rows * columns, channels))

    def compute_output_spec(self, values):
        sizes = [
            None if size is None else -(-size // pool)
            for size, pool in zip(values.shape[1:3], self.pool_size, strict=True)
        ]
        shape = (values.shape[0], *sizes, values.shape[3])
        return keras.KerasTensor(shape, self.compute_dtype), keras.KerasTensor(shape, "int32")

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size}


@keras.saving.register_keras_serializable(package="kseg")
class MaxUnpooling2D(keras.layers.Layer):
    """Puts each value at its index from `MaxPoolingWithIndices2D` in its window, and 0 everywhere else.

    Called on [values (B, h, w, C), indices (B, h, w, C)]; returns (B, rows * h, columns * w, C), to be cropped where the pooled
    map's size was no multiple of the window. The gradient of a value is that at its place.

    Args:
        pool_size: (rows, columns) of a window, pixels, or one integer for both.

    Raises:
        ValueError: `pool_size` is not one or two integers of at least 1, or values and indices differ in shape.

    Source: SegNet (Badrinarayanan et al. 2017, arXiv:1511.00561), section 3.
    """

    def __init__(self, pool_size=2, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = check_pair("pool_size", pool_size)

    def call(self, inputs):
        values, indices = inputs
        _, height, width, channels = ops.shape(values)
        rows, columns = self.pool_size
        values = ops.expand_dims(values, 3)
        windows = ops.where(_at(indices, self.pool_size), values, ops.zeros_like(values))
        windows = ops.reshape(windows, (-1, height, width, rows, columns, channels))
        windows = ops.transpose(windows, (0, 1, 3, 2, 4, 5))
        return ops.reshape(windows, (-1, height * rows, width * columns, channels))

    def compute_output_shape(self, input_shape):
        values, indices = input_shape
        if tuple(values)[1:] != tuple(indices)[1:]:
            raise ValueError(
                f"Values and indices must have the same shape. Received: values {tuple(values)}, indices {tuple(indices)} in "
                f"layer {self.name!r}. Change the values' channels to those of the pooled map by a 1x1 convolution."
            )
        return _enlarged(values, self.pool_size)

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size}


@keras.saving.register_keras_serializable(package="kseg")
class BedOfNails2D(keras.layers.Layer):
    """Puts each value at the top left of a block and 0 in the rest of it.

    (B, H, W, C) to (B, rows * H, columns * W, C).

    Args:
        factor: (rows, columns) of a block, pixels, or one integer for both.

    Raises:
        ValueError: `factor` is not one or two integers of at least 1.

    Example:
        >>> np.asarray(BedOfNails2D(2)(np.full((1, 1, 1, 1), 5.0)))[0, :, :, 0].tolist()
        [[5.0, 0.0], [0.0, 0.0]]
    """

    def __init__(self, factor=2, **kwargs):
        super().__init__(**kwargs)
        self.factor = check_pair("factor", factor)

    def call(self, values):
        rows, columns = self.factor
        _, height, width, channels = ops.shape(values)
        # Side after side: LiteRT pads no maps of six axes.
        values = ops.reshape(values, (-1, height, width, 1, channels))
        values = ops.pad(values, [[0, 0], [0, 0], [0, 0], [0, columns - 1], [0, 0]])
        values = ops.reshape(values, (-1, height, 1, width * columns, channels))
        values = ops.pad(values, [[0, 0], [0, 0], [0, rows - 1], [0, 0], [0, 0]])
        return ops.reshape(values, (-1, height * rows, width * columns, channels))

    def compute_output_shape(self, input_shape):
        return _enlarged(input_shape, self.factor)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def _first_maximum(windows):
    """Windows (B, h, w, places, C) to the first place of the maximum in each, (B, h, w, C), int32."""
    maxima = windows[:, :, :, 0]
    indices = ops.zeros_like(maxima, dtype="int32")
    for place in range(1, windows.shape[3]):
        larger = windows[:, :, :, place] > maxima
        maxima = ops.where(larger, windows[:, :, :, place], maxima)
        indices = ops.where(larger, ops.cast(place, "int32"), indices)
    return indices


def _at(indices, pool_size):
    """(B, h, w, rows * columns, C), true at the position in each window that `indices` (B, h, w, C) holds."""
    positions = ops.arange(pool_size[0] * pool_size[1], dtype=indices.dtype)
    return ops.expand_dims(indices, 3) == ops.reshape(positions, (-1, 1))


def _enlarged(shape, factor) -> tuple:
    sizes = [None if size is None else size * by for size, by in zip(shape[1:3], factor, strict=True)]
    return (shape[0], *sizes, shape[3])
