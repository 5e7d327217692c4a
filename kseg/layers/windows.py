"""Layers that give every pixel its own window: mirrored borders, and dilated instead of strided pooling. `keras.ops` only."""

from __future__ import annotations

import functools

import keras
from keras import ops

from kseg._checks import check_integer, check_pair


@keras.saving.register_keras_serializable(package="kseg")
class ReflectionPadding2D(keras.layers.Layer):
    """Extends a map beyond its border as facing mirrors would; the outermost row is not repeated, the reflections are.

    Row j of the result, counted from the map's own first row, is row -j above the top, 2(n - 1) - j past the bottom, and so on
    with period 2(n - 1), so even the smallest map can be extended by any margin. (B, H, W, C) becomes
    (B, top + H + bottom, left + W + right, C).

    Args:
        padding: ((top, bottom), (left, right)) in pixels, or one integer for all.
        multiple: H and W are first extended, at the bottom and the right, to the next multiple of this.

    Raises:
        ValueError: `padding` is not of this form, or negative, or `multiple` is below 1.

    Example:
        >>> rows = np.arange(3.0).reshape(1, 3, 1, 1)
        >>> np.asarray(ReflectionPadding2D(((0, 4), (0, 0)))(rows))[0, :, 0, 0]
        array([0., 1., 2., 1., 0., 1., 2.], dtype=float32)
    """

    def __init__(self, padding=1, multiple=1, **kwargs):
        super().__init__(**kwargs)
        pairs = padding if isinstance(padding, tuple | list) else (padding, padding)
        if len(pairs) != 2:
            raise ValueError(f"`padding` must be ((top, bottom), (left, right)). Received: padding={padding!r}.")
        check_integer("multiple", multiple)
        self.padding, self.multiple = tuple(check_pair("padding", pair, minimum=0) for pair in pairs), multiple

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

    (B, H, W, C) to (B, H - (p - 1) * d, W - (p - 1) * d, C). Max pooling for the windows of every position.

    Args:
        pool_size: (rows, columns), or one integer for both.
        dilation_rate: (rows, columns), or one integer for both.

    Raises:
        ValueError: one of them is not one or two integers of at least 1.
    """

    def __init__(self, pool_size=(2, 2), dilation_rate=(1, 1), **kwargs):
        super().__init__(**kwargs)
        self.pool_size = check_pair("pool_size", pool_size)
        self.dilation_rate = check_pair("dilation_rate", dilation_rate)

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
