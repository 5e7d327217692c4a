"""What one position of a layer's output reads of its inputs: one rule per kind of layer. `keras` only."""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import NamedTuple

import keras
from keras import layers

from kseg.layers import (
    BedOfNails2D,
    CropToMatch,
    DilatedMaxPooling2D,
    ImageNetNormalization,
    ImagePooling2D,
    Interpolation2D,
    LocalResponseNormalization,
    MaxPoolingWithIndices2D,
    MaxUnpooling2D,
    MinimumSize,
    ReflectionPadding2D,
    ResizeToMatch,
)


class Grid(NamedTuple):
    """The positions of a map: `stride` pixels apart, (N - lost) / stride of them for an image of N pixels."""

    stride: Fraction | float = Fraction(1)
    lost: Fraction = Fraction(0)


class Reads(NamedTuple):
    """Position i of a layer reads its input from ceil(step * i + first) to floor(step * i + last).

    Of n input positions it makes (n + growth) / step.
    """

    step: Fraction | float = Fraction(1)
    first: Fraction | float = Fraction(0)
    last: Fraction | float = Fraction(0)
    growth: Fraction = Fraction(0)


ARITHMETIC = ("Add", "Subtract", "Multiply", "TrueDivide")
"""Operations that `x + y` and the like leave in a graph; they are no layers, and Keras does not publish their classes."""

COLLAPSED = Reads(math.inf, -math.inf, math.inf)
"""For maps that depend on the whole image at every position."""


@functools.singledispatch
def read_by(layer, axis: int, grids: list[Grid], sizes: list[int | None]) -> list[Reads | None]:
    """What a layer reads of each input, with the inputs' grids and sizes along `axis`; None if it uses its size only."""
    if not isinstance(layer, keras.Layer) and type(layer).__name__ in ARITHMETIC:
        return _pointwise(layer, axis, grids, sizes)
    return _unknown(layer, axis, grids, sizes)


def _unknown(layer, axis, grids, sizes):
    raise ValueError(
        f"receptive_field must know every layer between the map and the image. Received: layer {layer.name!r} of type "
        f"{type(layer).__name__}. Name an earlier layer, or add a rule to kseg/receptive_fields/reads.py."
    )


@read_by.register(layers.InputLayer)
@read_by.register(layers.Activation)
@read_by.register(layers.ReLU)
@read_by.register(layers.LeakyReLU)
@read_by.register(layers.Softmax)
@read_by.register(layers.Dropout)
@read_by.register(layers.SpatialDropout2D)
@read_by.register(layers.Rescaling)
@read_by.register(layers.Normalization)
@read_by.register(layers.Dense)
@read_by.register(layers.Add)
@read_by.register(layers.Multiply)
@read_by.register(layers.Concatenate)
@read_by.register(layers.BatchNormalization)
@read_by.register(ImageNetNormalization)
@read_by.register(LocalResponseNormalization)
@read_by.register(MinimumSize)
def _pointwise(layer, axis, grids, sizes):
    along = getattr(layer, "axis", -1)
    if not {-1, 3}.issuperset(along if isinstance(along, list | tuple) else (along,)):
        return _unknown(layer, axis, grids, sizes)
    return [Reads()] * len(grids)


@read_by.register(layers.GlobalAveragePooling2D)
@read_by.register(layers.GlobalMaxPooling2D)
@read_by.register(layers.Flatten)
@read_by.register(ImagePooling2D)
def _collapsed(layer, axis, grids, sizes):
    return [COLLAPSED]


@read_by.register(layers.GroupNormalization)
def _statistics_of_the_image(layer, axis, grids, sizes):
    return [Reads(first=-math.inf, last=math.inf)]


@read_by.register(layers.SpectralNormalization)
def _wrapped(layer, axis, grids, sizes):
    return read_by(layer.layer, axis, grids, sizes)


@read_by.register(layers.Reshape)
def _reshaped(layer, axis, grids, sizes):
    return [Reads()] if grids[0].stride == math.inf else _unknown(layer, axis, grids, sizes)


@read_by.register(layers.Conv2D)
@read_by.register(layers.DepthwiseConv2D)
@read_by.register(layers.SeparableConv2D)
def _convolution(layer, axis, grids, sizes):
    return [_window(layer.kernel_size[axis], layer.strides[axis], layer.dilation_rate[axis], layer.padding, sizes[0])]


@read_by.register(layers.MaxPooling2D)
@read_by.register(layers.AveragePooling2D)
def _pooling(layer, axis, grids, sizes):
    return [_window(layer.pool_size[axis], layer.strides[axis], 1, layer.padding, sizes[0])]


@read_by.register(DilatedMaxPooling2D)
def _dilated_pooling(layer, axis, grids, sizes):
    return [_window(layer.pool_size[axis], 1, layer.dilation_rate[axis], "valid", sizes[0])]


def _window(size, stride, dilation, padding, positions) -> Reads:
    reach = (size - 1) * dilation
    if padding == "valid":
        return Reads(Fraction(stride), 0, reach, stride - 1 - reach)
    rest = stride if positions is None else positions % stride or stride
    before = max(reach + 1 - rest, 0) // 2
    return Reads(Fraction(stride), -before, reach - before)


@read_by.register(layers.Conv2DTranspose)
def _transposed(layer, axis, grids, sizes):
    stride, reach = layer.strides[axis], (layer.kernel_size[axis] - 1) * layer.dilation_rate[axis]
    beyond = max(reach + 1 - stride, 0)
    before = beyond // 2 if layer.padding == "same" else 0
    growth = Fraction(beyond, stride) if layer.padding == "valid" else 0
    return [Reads(Fraction(1, stride), Fraction(before - reach, stride), Fraction(before, stride), growth)]


@read_by.register(layers.UpSampling2D)
def _upsampling(layer, axis, grids, sizes):
    return [_interpolation(Fraction(1, layer.size[axis]), layer.interpolation)]


@read_by.register(Interpolation2D)
def _interpolated(layer, axis, grids, sizes):
    return [_interpolation(Fraction(1, layer.factor), layer.interpolation)]


@read_by.register(MaxPoolingWithIndices2D)
def _pooling_with_indices(layer, axis, grids, sizes):
    return [_window(layer.pool_size[axis], layer.pool_size[axis], 1, "valid", None)]


@read_by.register(MaxUnpooling2D)
def _unpooling(layer, axis, grids, sizes):
    return [_interpolation(Fraction(1, layer.pool_size[axis]), "nearest")] * 2


@read_by.register(BedOfNails2D)
def _bed_of_nails(layer, axis, grids, sizes):
    return [Reads(Fraction(1, layer.factor[axis]))]


def _interpolation(step: Fraction, mode: str) -> Reads:
    """Half-pixel centres: position i lies at x = (i + 1/2) * step - 1/2 and reads less than `far` on both sides of x."""
    if mode == "nearest":
        return Reads(step, step - 1, Fraction(0))
    far = {"bilinear": 1, "bicubic": 2}[mode] - Fraction(1, 2 * step.denominator)  # x is a multiple of that
    shift = (step - 1) / 2
    return Reads(step, shift - far, shift + far)


@read_by.register(ResizeToMatch)
def _resized(layer, axis, grids, sizes):
    map_, reference = grids
    if map_.stride == math.inf:
        return [COLLAPSED, None]
    return [_interpolation(Fraction(reference.stride / map_.stride), "bilinear"), None]


@read_by.register(layers.ZeroPadding2D)
@read_by.register(ReflectionPadding2D)
def _padding(layer, axis, grids, sizes):
    before, after = layer.padding[axis]
    return [Reads(first=-before, last=-before, growth=before + after)]


@read_by.register(layers.Cropping2D)
def _cropping(layer, axis, grids, sizes):
    before, after = layer.cropping[axis]
    return [Reads(first=before, last=before, growth=-before - after)]


@read_by.register(CropToMatch)
def _crop_to_match(layer, axis, grids, sizes):
    map_, reference = grids
    before = (
        layer.offset[axis] if layer.offset != "centre" else math.floor((reference.lost - map_.lost) / map_.stride / 2)
    )
    return [Reads(first=before, last=before), None]
