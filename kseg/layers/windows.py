"""Layers that give every pixel its own window: mirrored borders, and pooling that is dilated instead of strided."""

from __future__ import annotations

import functools

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kseg")
class ReflectionPadding2D(keras.layers.Layer):
    """Continues a map beyond its border as facing mirrors would; the outermost row is not repeated, the reflections are.

    Row j of the result, counted from the map's own first row, is row -j above the top, 2(n - 1) - j past the bottom, and so on
    with period 2(n - 1), so that the smallest map can be continued by any margin. (B, H, W, C) becomes
    (B, top + H + bottom, left + W + right, C).

    Args:
        padding: ((top, bottom), (left, right)) in pixels, or one integer for all.
        multiple: H and W are first continued, at the bottom and the right, to the next multiple of this.

    Raises:
        ValueError: a padding is negative, or `multiple` below 1.

    Example:
        >>> rows = np.arange(3.0).reshape(1, 3, 1, 1)
        >>> np.asarray(ReflectionPadding2D(((0, 4), (0, 0)))(rows))[0, :, 0, 0]
        array([0., 1., 2., 1., 0., 1., 2.], dtype=float32)
    """

    def __init__(self, padding=1, multiple=1, **kwargs):
        super().__init__(**kwargs)
        padding = ((padding, padding),) * 2 if isinstance(padding, int) else padding
        self.padding, self.multiple = tuple(tuple(pair) for pair in padding), multiple
        if min(map(min, self.padding)) < 0:
            raise ValueError(f"`padding` must not be negative. Received: padding={padding}.")
        if multiple < 1:
            raise ValueError(f"`multiple` must be at least 1. Received: multiple={multiple}.")

    def call(self, inputs):
        for axis, (before, after) in enumerate(self.padding, start=1):
            size = ops.shape(inputs)[axis]
            positions = ops.arange(-before, size + -size % self.multiple + after)
            last = size - 1
            folded = ops.mod(positions, ops.maximum(2 * last, 1))
            inputs = ops.take(inputs, last - ops.abs(last - folded), axis=axis)
        return inputs

    def compute_output_shape(self, input_shape):
        sizes = [
            None if size is None else before + size + -size % self.multiple + after
            for size, (before, after) in zip(input_shape[1:3], self.padding, strict=True)
        ]
        return (input_shape[0], *sizes, *input_shape[3:])

    def get_config(self):
        return {**super().get_config(), "padding": self.padding, "multiple": self.multiple}


@keras.saving.register_keras_serializable(package="kseg")
class DilatedMaxPooling2D(keras.layers.Layer):
    """Maximum over `pool_size` positions that lie `dilation_rate` apart; no stride, no padding.

    (B, H, W, C) to (B, H - (p - 1) * d, W - (p - 1) * d, C). What max pooling becomes where every position is answered.

    Args:
        pool_size: (rows, columns).
        dilation_rate: (rows, columns).
    """

    def __init__(self, pool_size=(2, 2), dilation_rate=(1, 1), **kwargs):
        super().__init__(**kwargs)
        self.pool_size, self.dilation_rate = tuple(pool_size), tuple(dilation_rate)

    def call(self, inputs):
        for axis, (size, rate) in enumerate(zip(self.pool_size, self.dilation_rate, strict=True), start=1):
            length = ops.shape(inputs)[axis] - (size - 1) * rate
            places = [(slice(None),) * axis + (slice(i * rate, i * rate + length),) for i in range(size)]
            inputs = functools.reduce(ops.maximum, [inputs[place] for place in places])
        return inputs

    def compute_output_shape(self, input_shape):
        lost = [(size - 1) * rate for size, rate in zip(self.pool_size, self.dilation_rate, strict=True)]
        sizes = [None if size is None else size - less for size, less in zip(input_shape[1:3], lost, strict=True)]
        return (input_shape[0], *sizes, input_shape[3])

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size, "dilation_rate": self.dilation_rate}
