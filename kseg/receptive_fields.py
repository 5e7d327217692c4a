"""How many pixels of the image a position of a network's map depends on, found by walking the functional graph.

The answer is exact away from the image's border, and for maps whose sizes divide by the strides. Every layer between the map
and the image has to be one that is known here; another one is named in the error rather than guessed at. `keras` only.
"""

from __future__ import annotations

import dataclasses
import functools
import graphlib
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


@dataclasses.dataclass(frozen=True)
class ReceptiveField:
    """What position i of a map sees of the image; each number is (rows, columns) where the two differ.

    Attributes:
        extent: the most pixels, from the first to the last, on which one position depends; inf for the whole image.
        stride: pixels between the windows of neighbouring positions; inf where the map is one vector for the whole image.
        offset: position i sees nothing before pixel i * stride + offset; below 0 where position 0 sees the padding.
        margin: the most pixels that a position sees on either side of its own place, i * stride to (i + 1) * stride - 1.
    """

    extent: float | tuple[float, float]
    stride: float | tuple[float, float]
    offset: float | tuple[float, float]
    margin: float | tuple[float, float]


def receptive_field(model: keras.Model, layer: str | None = None) -> ReceptiveField:
    """Receptive field of a layer's output with respect to the model's inputs.

    A convolution of size k, stride s and dilation d reads positions s * i - p to s * i - p + (k - 1) * d for its position i, a
    transposed one those between (i + p - k + 1) / s and (i + p) / s, and so on: the position's interval is traced back, layer by
    layer, to the image. Behind a transposed convolution neighbours see windows of different sizes; all of a period are traced.

    Args:
        model: functional model of images (B, H, W, C); several inputs count as one.
        layer: name of a layer; None for the model's output.

    Returns: extent, stride, offset and margin, in pixels.

    Raises:
        ValueError: the model is not functional, has several outputs where no `layer` was named, or a layer on the way is
            not known here.

    Example:
        >>> kseg.receptive_field(kseg.FullResolutionFCN(8, depth=7)).extent
        15

    Source: the intervals are those of Long et al. 2015 (arXiv:1411.4038), section 3, written without borders.
    """
    graph, target = _graph(model, layer)
    results = [_along(axis, graph, target) for axis in (0, 1)]
    names = [field.name for field in dataclasses.fields(ReceptiveField)]
    pairs = [tuple(_number(result[name]) for result in results) for name in names]
    return ReceptiveField(*[rows if rows == columns else (rows, columns) for rows, columns in pairs])


class _Node(NamedTuple):
    """One call of a layer."""

    operation: keras.Operation
    parents: list  # keys of the nodes whose outputs it takes
    sizes: list  # (H, W) of each, None where unknown


class _Grid(NamedTuple):
    """Where a map's positions lie: `stride` pixels apart, (N - lost) / stride of them for an image of N pixels."""

    stride: Fraction | float = Fraction(1)
    lost: Fraction = Fraction(0)


class _Reads(NamedTuple):
    """Position i of a layer reads its input from ceil(step * i + first) to floor(step * i + last).

    Of n input positions it makes (n + growth) / step.
    """

    step: Fraction | float = Fraction(1)
    first: Fraction | float = Fraction(0)
    last: Fraction | float = Fraction(0)
    growth: Fraction = Fraction(0)


ARITHMETIC = ("Add", "Subtract", "Multiply", "TrueDivide")
"""What `x + y` and the like leave in a graph: operations that are no layers, and whose classes Keras does not publish."""

_COLLAPSED = _Reads(math.inf, -math.inf, math.inf)
_WHOLE = _Reads(1, -math.inf, math.inf)


def _graph(model, layer):
    """Nodes by key, and the key of the wanted one. Only a model's configuration tells its graph in public."""
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs)
    config = model.get_config() if isinstance(model, keras.Model) else {}
    if "output_layers" not in config:
        raise ValueError(f"`model` must be a functional keras.Model. Received: model={model}.")
    operations = {operation.name: operation for operation in model.operations}
    graph = {}
    for entry in config["layers"]:
        for index, call in enumerate(entry["inbound_nodes"] or [None]):
            tensors = _tensors(call)
            parents = [tuple(tensor["keras_history"][:2]) for tensor in tensors]
            sizes = [tuple((*tensor["shape"][1:3], None, None)[:2]) for tensor in tensors]
            graph[entry["name"], index] = _Node(operations[entry["name"]], parents, sizes)
    if layer is None:
        if len(model.outputs) != 1:
            raise ValueError(
                f"`layer` must be named where a model has several outputs. Received: model {model.name!r} with "
                f"{len(model.outputs)} outputs and layer=None. Give one of {', '.join(operations)}."
            )
        output = config["output_layers"]
        return graph, tuple((output[0] if isinstance(output[0], list) else output)[:2])
    if layer not in operations:
        raise ValueError(f"`layer` must be one of {', '.join(operations)}. Received: layer={layer!r}.")
    return graph, (layer, 0)


def _tensors(call) -> list[dict]:
    """The serialised tensors anywhere in the serialised arguments of a call."""
    if isinstance(call, dict) and call.get("class_name") == "__keras_tensor__":
        return [call["config"]]
    inner = call.values() if isinstance(call, dict) else call if isinstance(call, list | tuple) else ()
    return [tensor for value in inner for tensor in _tensors(value)]


def _along(axis, graph, target) -> dict:
    """The four numbers of rows (axis 0) or columns (axis 1)."""
    order = _ancestors(graph, target)
    grids, reads = {}, {}
    for key in order:
        node = graph[key]
        above = [grids[parent] for parent in node.parents]
        reads[key] = _reads(node.operation, axis, above, [size[axis] for size in node.sizes])
        grids[key] = _answered(above, reads[key])
    stride = grids[target].stride
    finite = [stride / grids[key].stride for key in order if grids[key].stride < math.inf]
    period = math.lcm(*(Fraction(ratio).denominator for ratio in finite)) if stride < math.inf else 1
    spans = [_span(graph, order, reads, position) for position in range(period)]
    if not all(map(math.isfinite, (stride, *spans[0]))):
        return {"extent": math.inf, "stride": stride, "offset": -math.inf, "margin": math.inf}
    places = [(math.floor(i * stride), math.ceil((i + 1) * stride) - 1) for i in range(period)]
    margins = [max(place[0] - first, last - place[1]) for place, (first, last) in zip(places, spans, strict=True)]
    return {
        "extent": max(last - first + 1 for first, last in spans),
        "stride": stride,
        "offset": min(first - i * stride for i, (first, _) in enumerate(spans)),
        "margin": max(0, *margins),
    }


def _ancestors(graph, target) -> list:
    """The nodes that `target` depends on, image first, itself last."""
    found, waiting = {}, [target]
    while waiting:
        key = waiting.pop()
        if key not in found:
            found[key] = graph[key].parents
            waiting += graph[key].parents
    return list(graphlib.TopologicalSorter(found).static_order())


def _answered(grids, reads) -> _Grid:
    """The grid of a layer's own map: of its inputs the finest, unless there is one whose size the map takes over."""
    if None in reads:
        return grids[reads.index(None)]
    pairs = zip(grids, reads, strict=True)
    own = [
        _Grid(grid.stride * read.step, grid.lost - (read.growth and read.growth * grid.stride)) for grid, read in pairs
    ]
    return min(own, default=_Grid())


def _span(graph, order, reads, position) -> tuple:
    """First and last pixel that `position` of the last of `order` depends on."""
    spans = {order[-1]: (position, position)}
    pixels = []
    for key in reversed(order):
        if key in spans and not graph[key].parents:
            pixels.append(spans[key])
        for parent, read in zip(graph[key].parents, reads[key], strict=True):
            if key in spans and read:
                span = _back(read, *spans[key])
                if span[0] <= span[1]:  # bed-of-nails positions read nothing
                    known = spans.get(parent, span)
                    spans[parent] = min(span[0], known[0]), max(span[1], known[1])
    return min(first for first, _ in pixels), max(last for _, last in pixels)


def _back(read, first, last) -> tuple:
    if math.inf in (last, read.last):
        return -math.inf, math.inf
    return math.ceil(read.step * first + read.first), math.floor(read.step * last + read.last)


def _number(value):
    return int(value) if math.isfinite(value) and value == int(value) else float(value)


@functools.singledispatch
def _reads(layer, axis: int, grids: list[_Grid], sizes: list[int | None]) -> list[_Reads | None]:
    """What a layer reads of each of its inputs, whose grids and sizes along `axis` are given; None of one it only measures."""
    if not isinstance(layer, keras.Layer) and type(layer).__name__ in ARITHMETIC:
        return _pointwise(layer, axis, grids, sizes)
    return _unknown(layer, axis, grids, sizes)


def _unknown(layer, axis, grids, sizes):
    raise ValueError(
        f"receptive_field must know every layer between the map and the image. Received: layer {layer.name!r} of type "
        f"{type(layer).__name__}. Name a layer before it, or add what it reads to kseg/receptive_fields.py."
    )


@_reads.register(layers.InputLayer)
@_reads.register(layers.Activation)
@_reads.register(layers.ReLU)
@_reads.register(layers.LeakyReLU)
@_reads.register(layers.Softmax)
@_reads.register(layers.Dropout)
@_reads.register(layers.SpatialDropout2D)
@_reads.register(layers.Rescaling)
@_reads.register(layers.Normalization)
@_reads.register(layers.Dense)
@_reads.register(layers.Add)
@_reads.register(layers.Multiply)
@_reads.register(layers.Concatenate)
@_reads.register(layers.BatchNormalization)
@_reads.register(ImageNetNormalization)
@_reads.register(LocalResponseNormalization)
@_reads.register(MinimumSize)
def _pointwise(layer, axis, grids, sizes):
    along = getattr(layer, "axis", -1)
    if not {-1, 3}.issuperset(along if isinstance(along, list | tuple) else (along,)):
        return _unknown(layer, axis, grids, sizes)
    return [_Reads()] * len(grids)


@_reads.register(layers.GlobalAveragePooling2D)
@_reads.register(layers.GlobalMaxPooling2D)
@_reads.register(layers.Flatten)
@_reads.register(ImagePooling2D)
def _collapsed(layer, axis, grids, sizes):
    return [_COLLAPSED]


@_reads.register(layers.Conv2D)
@_reads.register(layers.DepthwiseConv2D)
@_reads.register(layers.SeparableConv2D)
def _convolution(layer, axis, grids, sizes):
    return [_window(layer.kernel_size[axis], layer.strides[axis], layer.dilation_rate[axis], layer.padding, sizes[0])]


@_reads.register(layers.MaxPooling2D)
@_reads.register(layers.AveragePooling2D)
def _pooling(layer, axis, grids, sizes):
    return [_window(layer.pool_size[axis], layer.strides[axis], 1, layer.padding, sizes[0])]


@_reads.register(DilatedMaxPooling2D)
def _dilated_pooling(layer, axis, grids, sizes):
    return [_window(layer.pool_size[axis], 1, layer.dilation_rate[axis], "valid", sizes[0])]


def _window(size, stride, dilation, padding, positions) -> _Reads:
    reach = (size - 1) * dilation
    if padding == "valid":
        return _Reads(Fraction(stride), 0, reach, stride - 1 - reach)
    rest = stride if positions is None else positions % stride or stride
    before = max(reach + 1 - rest, 0) // 2
    return _Reads(Fraction(stride), -before, reach - before)


@_reads.register(layers.Conv2DTranspose)
def _transposed(layer, axis, grids, sizes):
    stride, reach = layer.strides[axis], (layer.kernel_size[axis] - 1) * layer.dilation_rate[axis]
    beyond = max(reach + 1 - stride, 0)
    before = beyond // 2 if layer.padding == "same" else 0
    growth = Fraction(beyond, stride) if layer.padding == "valid" else 0
    return [_Reads(Fraction(1, stride), Fraction(before - reach, stride), Fraction(before, stride), growth)]


@_reads.register(layers.UpSampling2D)
def _upsampling(layer, axis, grids, sizes):
    return [_interpolation(Fraction(1, layer.size[axis]), layer.interpolation)]


@_reads.register(Interpolation2D)
def _interpolated(layer, axis, grids, sizes):
    return [_interpolation(Fraction(1, layer.factor), layer.interpolation)]


@_reads.register(MaxPoolingWithIndices2D)
def _pooling_with_indices(layer, axis, grids, sizes):
    return [_window(layer.pool_size[axis], layer.pool_size[axis], 1, "valid", None)]


@_reads.register(MaxUnpooling2D)
def _unpooling(layer, axis, grids, sizes):
    return [_interpolation(Fraction(1, layer.pool_size[axis]), "nearest")] * 2


@_reads.register(BedOfNails2D)
def _bed_of_nails(layer, axis, grids, sizes):
    return [_Reads(Fraction(1, layer.factor[axis]))]


def _interpolation(step: Fraction, mode: str) -> _Reads:
    """Half-pixel centres: position i lies at x = (i + 1/2) * step - 1/2 and reads less than `far` on both sides of x."""
    if mode == "nearest":
        return _Reads(step, step - 1, Fraction(0))
    far = {"bilinear": 1, "bicubic": 2}[mode] - Fraction(1, 2 * step.denominator)  # x is a multiple of that
    shift = (step - 1) / 2
    return _Reads(step, shift - far, shift + far)


@_reads.register(ResizeToMatch)
def _resized(layer, axis, grids, sizes):
    return [_WHOLE, None]


@_reads.register(layers.ZeroPadding2D)
@_reads.register(ReflectionPadding2D)
def _padding(layer, axis, grids, sizes):
    before, after = layer.padding[axis]
    return [_Reads(first=-before, last=-before, growth=before + after)]


@_reads.register(layers.Cropping2D)
def _cropping(layer, axis, grids, sizes):
    before, after = layer.cropping[axis]
    return [_Reads(first=before, last=before, growth=-before - after)]


@_reads.register(CropToMatch)
def _crop_to_match(layer, axis, grids, sizes):
    map_, reference = grids
    before = (
        layer.offset[axis] if layer.offset != "centre" else math.floor((reference.lost - map_.lost) / map_.stride / 2)
    )
    return [_Reads(first=before, last=before), None]
