"""The Open Inference Protocol version 2 over gRPC: GRPCInferenceService."""

from __future__ import annotations

import functools

from open_inference.grpc import protocol, service

import kseg
from pipeline.server import v2_tensors
from pipeline.server.data_plane import DataPlane
from pipeline.server.errors import invalid
from pipeline.server.grpc_calls import answering, ask
from pipeline.server.logs import Observer
from pipeline.server.rest_v2 import EXTENSIONS, choose_signature, metadata
from pipeline.server.signatures import Arrays
from pipeline.server.web import parse_version

_CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip


def add(plane: DataPlane, observer: Observer, server):
    """Adds the service to a server of gRPC."""
    servicer = service.GRPCInferenceServiceServicer()
    answers = {
        "ServerLive": _live,
        "ServerReady": _ready,
        "ModelReady": _model_ready,
        "ServerMetadata": _server_metadata,
        "ModelMetadata": _metadata,
        "ModelInfer": _infer,
    }
    for name, answer in answers.items():
        setattr(servicer, name, answering(observer, name, functools.partial(answer, plane)))
    service.add_GRPCInferenceServiceServicer_to_server(servicer, server)


def _version(text: str) -> int | None:
    return parse_version(text) if text else None


def _live(plane, request, context, asked):
    return protocol.ServerLiveResponse(live=True)


def _ready(plane, request, context, asked):
    return protocol.ServerReadyResponse(ready=plane.ready)


def _model_ready(plane, request, context, asked):
    plane.model(request.name, _version(request.version))
    return protocol.ModelReadyResponse(ready=True)


def _server_metadata(plane, request, context, asked):
    return protocol.ServerMetadataResponse(name="kseg", version=kseg.__version__, extensions=EXTENSIONS)


def _metadata(plane, request, context, asked):
    return protocol.ModelMetadataResponse(**metadata(plane, plane.model(request.name, _version(request.version))))


def _infer(plane, request, context, asked):
    model = plane.model(request.model_name, _version(request.model_version))
    wanted = [output.name for output in request.outputs]
    parameter = request.parameters.get("signature")
    if parameter is not None and parameter.WhichOneof("parameter_choice") != "string_param":
        raise invalid("The parameter `signature` must be a string. Received: another value.")
    names = [tensor.name for tensor in request.inputs]
    signature = choose_signature(model, parameter and parameter.string_param, names, wanted)
    signature.check_outputs(wanted)
    outputs = ask(plane, context, asked, model, signature, _read_inputs(request))
    response = protocol.ModelInferResponse(model_name=plane.name, model_version=str(model.number), id=request.id)
    for name in wanted or outputs:
        array = outputs[name]
        response.outputs.add(name=name, datatype=v2_tensors.datatype(array.dtype), shape=array.shape)
        response.raw_output_contents.append(v2_tensors.to_raw(array))
    return response


def _read_inputs(request) -> Arrays:
    """The inputs of a request, raw or in lists.

    Raises:
        RequestError: they are not whole.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise invalid(
            f"`raw_input_contents` must be one for each input. Received: {len(raw)} for {len(request.inputs)}."
        )
    inputs = {}
    for index, tensor in enumerate(request.inputs):
        if tensor.name in inputs:
            raise invalid("Each input must be sent once. Received: one of them twice.")
        dtype = v2_tensors.dtype_of(tensor.datatype)
        shape = v2_tensors.shape_of(list(tensor.shape), tensor.name)
        if raw:
            inputs[tensor.name] = v2_tensors.from_raw(raw[index], dtype, shape, tensor.name)
        else:
            values = _values(tensor)
            inputs[tensor.name] = v2_tensors.from_values(values, dtype, shape, tensor.name)
    return inputs


def _values(tensor) -> list:
    """The values of a tensor in the list of its datatype."""
    field = _CONTENTS.get(tensor.datatype)
    if field is None:
        raise invalid(f"Values of {tensor.datatype} must be raw. Received: lists.")
    return list(getattr(tensor.contents, field))
