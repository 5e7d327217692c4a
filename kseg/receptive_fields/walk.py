"""The walk from a layer back to the image, and its result. `keras` only."""

from __future__ import annotations

import dataclasses
import graphlib
import math
from fractions import Fraction
from typing import NamedTuple

import keras

from kseg.receptive_fields.reads import Grid, read_by


@dataclasses.dataclass(frozen=True)
class ReceptiveField:
    """What position i of a map depends on in the image; each number is (rows, columns) if the two differ.

    Attributes:
        extent: the most pixels, from the first to the last, on which one position depends; inf for the whole image.
        stride: pixels between the windows of neighbouring positions; inf if the map is one vector for the whole image.
        offset: the first pixel that position i may depend on is i * stride + offset; below 0 if position 0 reads padding.
        margin: the most pixels that a position depends on, on either side of its own pixels i * stride to (i + 1) * stride - 1.
    """

    extent: float | tuple[float, float]
    stride: float | tuple[float, float]
    offset: float | tuple[float, float]
    margin: float | tuple[float, float]


def receptive_field(model: keras.Model, layer: str | None = None) -> ReceptiveField:
    """Receptive field of a layer's output with respect to the model's inputs.

    A convolution of size k, stride s and dilation d reads positions s * i - p to s * i - p + (k - 1) * d for its position i, a
    transposed one those between (i + p - k + 1) / s and (i + p) / s, and so on: the position's interval is traced back, layer by
    layer, to the image. After a transposed convolution the windows of neighbouring positions differ; all in a period are traced.

    Args:
        model: functional model of images (B, H, W, C); several inputs count as one.
        layer: name of a layer; None: the model's output.

    Returns: extent, stride, offset and margin, in pixels.

    Raises:
        ValueError: the model is not functional, has several outputs and no `layer` is named, or a layer on the way is unknown.

    Example:
        >>> kseg.receptive_field(kseg.FullResolutionFCN(8, depth=7)).extent
        15

    Source: Araujo, Norris, Sim 2019, "Computing receptive fields of convolutional neural networks" (Distill), whose numbers for
        AlexNet, VGG16 and ResNets it gives; transposed convolutions and interpolation are added here.
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


def _graph(model, layer):
    """Nodes by key, and the key of the target. Keras publishes a model's graph only in its configuration."""
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
                f"`layer` must be named if a model has several outputs. Received: model {model.name!r} with "
                f"{len(model.outputs)} outputs and layer=None. Name one of {', '.join(operations)}."
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
        reads[key] = read_by(node.operation, axis, above, [size[axis] for size in node.sizes])
        grids[key] = _output_grid(above, reads[key])
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


def _output_grid(grids, reads) -> Grid:
    """The grid of a layer's output: the finest of its inputs' grids, unless the layer takes the size of one of them."""
    if None in reads:
        return grids[reads.index(None)]
    pairs = zip(grids, reads, strict=True)
    own = [
        Grid(grid.stride * read.step, grid.lost - (read.growth and read.growth * grid.stride)) for grid, read in pairs
    ]
    return min(own, default=Grid())


def _span(graph, order, reads, position) -> tuple:
    """First and last pixel that `position` of the last of `order` depends on."""
    spans = {order[-1]: (position, position)}
    pixels = []
    for key in reversed(order):
        if key in spans and not graph[key].parents:
            pixels.append(spans[key])
        for parent, read in zip(graph[key].parents, reads[key], strict=True):
            if key in spans and read:
                span = _trace_back(read, *spans[key])
                if span[0] <= span[1]:  # bed-of-nails positions read nothing
                    known = spans.get(parent, span)
                    spans[parent] = min(span[0], known[0]), max(span[1], known[1])
    return min(first for first, _ in pixels), max(last for _, last in pixels)


def _trace_back(read, first, last) -> tuple:
    if math.inf in (last, read.last):
        return -math.inf, math.inf
    return math.ceil(read.step * first + read.first), math.floor(read.step * last + read.last)


def _number(value):
    return int(value) if math.isfinite(value) and value == int(value) else float(value)
