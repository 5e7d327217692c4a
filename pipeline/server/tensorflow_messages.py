"""Protocol buffers of TensorFlow: tensors and definitions of signatures. TensorFlow, which defines them."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2

from pipeline.server.errors import Code, RequestError, invalid
from pipeline.server.signatures import STRING, Signature, TensorSpec

METHOD = "tensorflow/serving/predict"


def signature_definitions(model) -> get_model_metadata_pb2.SignatureDefMap:
    """The signatures of a loaded version: those of its file as they are there, those that the server adds by their tensors."""
    found = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in model.signatures.items():
        found.signature_def[name].CopyFrom(model.definitions.get(name) or _definition(signature))
    return found


def _definition(signature: Signature) -> meta_graph_pb2.SignatureDef:
    definition = meta_graph_pb2.SignatureDef(method_name=METHOD)
    for specs, tensors in ((signature.inputs, definition.inputs), (signature.outputs, definition.outputs)):
        for name, spec in specs.items():
            tensors[name].CopyFrom(_tensor_info(spec))
    return definition


def _tensor_info(spec: TensorSpec) -> meta_graph_pb2.TensorInfo:
    dtype = tf.string if spec.dtype == STRING else tf.dtypes.as_dtype(spec.dtype)
    shape = tensor_shape_pb2.TensorShapeProto(unknown_rank=spec.shape is None)
    for size in spec.shape or ():
        shape.dim.add(size=-1 if size is None else size)
    return meta_graph_pb2.TensorInfo(name=f"{spec.name}:0", dtype=dtype.as_datatype_enum, tensor_shape=shape)


def to_array(proto: tensor_pb2.TensorProto, name: str, max_bytes: int) -> np.ndarray:
    """The values of a tensor in a request.

    Args:
        proto: of which a few values may fill a large shape.
        name: for messages.
        max_bytes: of the array.

    Raises:
        RequestError: it is damaged, of a dtype that numpy lacks, or larger.
    """
    sizes = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in sizes):
        raise invalid(f"The tensor {name[:80]!r} must have a shape. Received: {sizes}.")
    try:
        dtype = tf.dtypes.as_dtype(proto.dtype)
        size = math.prod(sizes) * (dtype.size if dtype.is_numeric or dtype.is_bool else 1)
        if size > max_bytes:
            raise RequestError(
                Code.TOO_LARGE,
                f"A tensor must have at most {max_bytes:,} bytes. Received: {size:,} [{name[:80]!r}]. Send fewer images at once.",
            )
        if dtype == tf.string:
            return _strings(proto.string_val, sizes, name)
        return tf.make_ndarray(proto)
    except (ValueError, TypeError, KeyError, MemoryError) as error:
        raise invalid(f"The tensor {name[:80]!r} must be whole. Received: {str(error)[:200]}.") from None


def _strings(values, sizes: list[int], name: str) -> np.ndarray:
    if math.prod(sizes) != len(values):
        raise invalid(f"The strings of {name[:80]!r} must fill its shape {sizes}. Received: {len(values)}.")
    array = np.empty(len(values), STRING)
    array[:] = list(values)
    return array.reshape(sizes)


def to_proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    """An array as a tensor."""
    if array.dtype == STRING:
        shape = tensor_shape_pb2.TensorShapeProto(dim=[{"size": size} for size in array.shape])
        return tensor_pb2.TensorProto(
            dtype=tf.string.as_datatype_enum, tensor_shape=shape, string_val=array.ravel().tolist()
        )
    return tf.make_tensor_proto(array)
