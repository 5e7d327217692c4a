"""All upsampling modes behind one argument, to compare decoders. `keras.ops`; on TensorFlow its own bilinear interpolation."""

from __future__ import annotations

import keras
from keras import ops

from kseg._checks import check_boolean, check_choice, check_integer
from kseg.layers.unpooling import BedOfNails2D, MaxUnpooling2D

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
REACH = 2
"""Pixels on either side of the nearest one that contribute to bicubic interpolation."""
MODES = ("bed_of_nails", *INTERPOLATIONS, "max_unpooling", "transposed_bilinear", "transposed_random")


def Upsampling(
    mode: str, factor: int, *, filters: int | None = None, padding: str = "same", trainable: bool = True, name=None
) -> keras.layers.Layer:
    """The layer that enlarges a map (B, H, W, C) by `factor`.

    - "bed_of_nails": each value at the top left of a block of zeros.
    - "nearest", "bilinear", "bicubic": interpolation between the centres of pixels.
    - "max_unpooling": each value at the position of the maximum that pooling kept; called on [values, indices].
    - "transposed_bilinear": transposed convolution with a kernel of 2 * factor and no bias, initialised as bilinear interpolation
      of each channel, as in the FCNs.
    - "transposed_random": transposed convolution with a kernel of `factor` and a bias, initialised at random, as in U-Net.

    Args:
        mode: one of "bed_of_nails", "nearest", "bilinear", "bicubic", "max_unpooling", "transposed_bilinear" and
            "transposed_random".
        factor: pixels out per pixel in, in both directions.
        filters: channels out; required by transposed convolutions, and for them only.
        padding: "same", or for transposed convolutions "valid", with which "transposed_bilinear" gives `factor` pixels more.
        trainable: whether a transposed convolution learns.
        name: of the layer.

    Returns: a layer to (B, factor * H, factor * W, C or filters).

    Raises:
        ValueError: `mode` is none of these, `factor` is below 1, or `filters` or `padding` does not fit the mode.

    Example:
        >>> np.asarray(Upsampling("nearest", 2)(np.array([1.0, 2.0]).reshape(1, 1, 2, 1)))[0, :, :, 0].tolist()
        [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]
    """
    check_choice("mode", mode, MODES)
    check_integer("factor", factor)
    check_choice("padding", padding, ("same", "valid"))
    check_boolean("trainable", trainable)
    transposed = mode.startswith("transposed")
    if (filters is not None) != transposed or (padding != "same" and not transposed):
        raise ValueError(
            "`filters` is required for transposed convolutions; other modes take neither `filters` nor `padding`. "
            f"Received: mode={mode!r}, filters={filters}, padding={padding!r}."
        )
    if mode == "bed_of_nails":
        return BedOfNails2D(factor, name=name)
    if mode == "max_unpooling":
        return MaxUnpooling2D(factor, name=name)
    if mode in INTERPOLATIONS:
        return Interpolation2D(factor, mode, name=name)
    bilinear = mode == "transposed_bilinear"
    return keras.layers.Conv2DTranspose(
        filters,
        2 * factor if bilinear else factor,
        strides=factor,
        padding=padding,
        use_bias=not bilinear,
        kernel_initializer=Bilinear() if bilinear else "he_normal",
        trainable=trainable,
        name=name,
    )


@keras.saving.register_keras_serializable(package="kseg")
class Interpolation2D(keras.layers.Layer):
    """Interpolates between the centres of pixels, border pixels repeated: (B, H, W, C) to (B, factor * H, factor * W, C).

    Unlike Keras's `UpSampling2D` it runs in an exported graph for images of any size, and gives the same numbers on every
    backend. "bicubic" is the kernel of Keys with a = -1/2.

    Args:
        factor: pixels out per pixel in, in both directions.
        interpolation: "nearest", "bilinear" or "bicubic".

    Raises:
        ValueError: `interpolation` is none of these.

    Source: Keys 1981, "Cubic convolution interpolation for digital image processing".
    """

    def __init__(self, factor=2, interpolation="bilinear", **kwargs):
        super().__init__(**kwargs)
        check_integer("factor", factor)
        check_choice("interpolation", interpolation, INTERPOLATIONS)
        self.factor, self.interpolation = factor, interpolation

    def call(self, values):
        batch, height, width, channels = ops.shape(values)
        size = self.factor * height, self.factor * width
        if self.interpolation == "nearest":
            shape = batch, height, self.factor, width, self.factor, channels
            return ops.reshape(ops.broadcast_to(values[:, :, None, :, None], shape), (-1, *size, channels))
        if self.interpolation == "bilinear":
            return _resize_bilinear(values, size)
        weights = ops.convert_to_tensor(self._weights(), dtype=values.dtype)
        above, below = values[:, :1], values[:, -1:]
        rows = ops.concatenate([above] * REACH + [values] + [below] * REACH, axis=1)
        taps = ops.stack([rows[:, tap : tap + height] for tap in range(2 * REACH + 1)], axis=2)
        values = ops.reshape(ops.einsum("rt,bhtwc->bhrwc", weights, taps), (-1, size[0], width, channels))
        left, right = values[:, :, :1], values[:, :, -1:]
        columns = ops.concatenate([left] * REACH + [values] + [right] * REACH, axis=2)
        taps = ops.stack([columns[:, :, tap : tap + width] for tap in range(2 * REACH + 1)], axis=3)
        return ops.reshape(ops.einsum("rt,bhwtc->bhwrc", weights, taps), (-1, *size, channels))

    def _weights(self) -> list[list[float]]:
        """Of bicubic interpolation: weight of the pixel at each distance, for each of the `factor` positions within a pixel."""
        positions = [(i + 0.5) / self.factor - 0.5 for i in range(self.factor)]
        return [[_keys(abs(position - distance)) for distance in range(-REACH, REACH + 1)] for position in positions]

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, height and self.factor * height, width and self.factor * width, channels)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor, "interpolation": self.interpolation}


def _resize_bilinear(values, size):
    """The backend's own interpolation, twenty times faster than sums of shifted maps."""
    if keras.backend.backend() != "tensorflow":
        return ops.image.resize(values, size, interpolation="bilinear", data_format="channels_last")
    import tensorflow as tf  # keras.ops refuses a size that is known only when the graph runs

    return tf.cast(tf.image.resize(values, size), values.dtype)


def _keys(u: float) -> float:
    """The cubic kernel at the distance u >= 0."""
    if u < 1:
        return 1.5 * u**3 - 2.5 * u**2 + 1
    return -0.5 * u**3 + 2.5 * u**2 - 4 * u + 2 if u < 2 else 0.0


@keras.saving.register_keras_serializable(package="kseg")
class Bilinear(keras.initializers.Initializer):
    """Kernel (k, k, out, in) of a transposed convolution that interpolates each channel.

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
