"""A version of a model in memory: its SavedModel's signatures, those that the server adds, and one real request for each.

TensorFlow, which runs a SavedModel; this module is imported when a model is loaded.
"""

from __future__ import annotations

import dataclasses
import io
import pathlib
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from kseg.labels import LabelMap
from kseg.serving.manifest import FILE_NAME, read_manifest
from pipeline.publishing.entries import GRAPHS
from pipeline.server import runtimes
from pipeline.server.additions import additional_signatures
from pipeline.server.errors import RequestError, invalid
from pipeline.server.signatures import STRING, Arrays, Signature, TensorSpec
from pipeline.server.tensorflow_functions import computed_by, first_line

UNKNOWN_SIZE = (64, 64)
"""(height, width) of the first request to a model that does not say the size of its images."""


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A version that can be asked.

    Attributes:
        number: of the version.
        signatures: by name.
        definitions: `SignatureDef` of the signatures in the file, by name.
        labels: its classes; None where kseg did not export it.
        backend: what computes the network.
    """

    number: int
    signatures: Mapping[str, Signature]
    definitions: Mapping
    labels: LabelMap | None
    backend: runtimes.Backend

    def signature(self, name: str) -> Signature:
        """The signature of this name.

        Raises:
            RequestError: there is none.
        """
        if name not in self.signatures:
            raise invalid(
                f"The signature must be one of {', '.join(self.signatures)}. Received: {name[:80]!r} [version {self.number}]."
            )
        return self.signatures[name]


def load(
    place: pathlib.Path,
    number: int,
    *,
    backend: str = runtimes.TENSORFLOW,
    log: Callable = lambda event, **details: None,
) -> LoadedModel:
    """Loads a version and sends each of its signatures one request, so that the first client does not wait for more.

    Args:
        place: folder of the version.
        number: of the version.
        backend: what is to compute the network, or "auto": the fastest of those that the export holds.
        log: function that is told what computes it, such as `log("backend", version=7, backend="openvino", ...)`.

    Raises:
        ValueError: the SavedModel cannot be loaded, a signature that kseg exported does not answer, or the backend does not.
    """
    exported = (place / "assets" / FILE_NAME).is_file()
    try:
        loaded = tf.saved_model.load(str(place))
        definitions = _read_definitions(place)
        labels = LabelMap.load(place / "assets") if (place / "assets" / "labels.json").is_file() else None
        manifest = read_manifest(place)
    except Exception as error:  # of any type: TensorFlow raises even IndexError for a file that was cut off
        raise ValueError(f"it does not load: {first_line(str(error))}") from error
    names = sorted(loaded.signatures, key=lambda name: (name != "serving_default", name != "serve_bytes", name))
    signatures = {name: _signature(loaded, name, batch=exported) for name in names}
    signatures, chosen = runtimes.choose(place, backend, signatures, labels, manifest)
    if backend != runtimes.TENSORFLOW:
        log("backend", version=number, summary=str(chosen), backend=chosen.name, **chosen.figures())
    signatures |= additional_signatures(signatures, labels, manifest)
    if not signatures:
        raise ValueError("it has no signature")
    size = manifest["image_size"] or UNKNOWN_SIZE
    for name, signature in signatures.items():
        try:
            signature.finish(signature.compute(example_request(signature, size)))
        except RequestError as error:
            if exported:
                raise ValueError(f"its signature {name} does not answer: {error}") from error
    return LoadedModel(number, signatures, definitions, labels, chosen)


def find_devices():
    """Looks for GPUs, which TensorFlow does anyway with the first model: CUDA's libraries print what they do not find."""
    tf.config.list_physical_devices()


def _read_definitions(place: pathlib.Path) -> dict:
    """The public signatures in the file of a SavedModel, as `SignatureDef`."""
    file = saved_model_pb2.SavedModel()
    if (place / GRAPHS[0]).is_file():
        file.ParseFromString((place / GRAPHS[0]).read_bytes())
    else:
        text_format.Parse((place / GRAPHS[1]).read_text(encoding="utf-8"), file)
    found = {}
    for graph in file.meta_graphs:
        for name, definition in graph.signature_def.items():
            if not name.startswith("__"):
                found[name] = type(definition).FromString(definition.SerializeToString())  # not the whole file
    return found


def _signature(loaded, name: str, batch: bool) -> Signature:
    """A signature of a SavedModel; `batch`: whether its first axes, where their size is open, are those of a batch."""
    function = loaded.signatures[name]
    inputs = _specs(function.structured_input_signature[1])
    outputs = _specs(function.structured_outputs)

    open_first = all(spec.shape and spec.shape[0] is None for spec in (*inputs.values(), *outputs.values()))
    compute = computed_by(function, inputs, loaded)
    return Signature(name, inputs, outputs, compute, batch=batch and open_first, base=name)


def _specs(tensors: Mapping) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(
            name,
            STRING if tensor.dtype == tf.string else np.dtype(tensor.dtype.as_numpy_dtype),
            None if tensor.shape.rank is None else tuple(tensor.shape.as_list()),
        )
        for name, tensor in sorted(tensors.items())
    }


def example_request(signature: Signature, size: tuple[int, int]) -> Arrays:
    """A batch of one grey picture of `size` for each input, encoded where it is a string; zeros where it is no picture."""
    return {name: _example(spec, size) for name, spec in signature.inputs.items()}


def _example(spec: TensorSpec, size) -> np.ndarray:
    shape = spec.shape if spec.shape is not None else (None,)
    if spec.dtype == STRING:
        file = io.BytesIO()
        Image.new("RGB", tuple(reversed(size)), (128, 128, 128)).save(file, "PNG")
        content = file.getvalue()
        if spec.name == "examples":
            feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))
            content = tf.train.Example(features=tf.train.Features(feature={"image": feature})).SerializeToString()
        return np.full([length or 1 for length in shape], content, STRING)
    sizes = (1, *size, 3) if len(shape) == 4 else (1,) * len(shape)
    return np.full(
        [wanted or given for wanted, given in zip(shape, sizes, strict=True)], 128 if len(shape) == 4 else 0, spec.dtype
    )
