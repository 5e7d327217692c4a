"""TensorFlow Serving's gRPC: `Predict` and `GetModelMetadata` of PredictionService, and `GetModelStatus` of ModelService."""

from __future__ import annotations

import functools

from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from pipeline.server import tensorflow_messages
from pipeline.server.data_plane import DEFAULT_SIGNATURE, DataPlane
from pipeline.server.errors import invalid
from pipeline.server.grpc_calls import answering, ask
from pipeline.server.logs import Observer


def add(plane: DataPlane, observer: Observer, server):
    """Adds the services to a server of gRPC."""
    prediction = prediction_service_pb2_grpc.PredictionServiceServicer()
    prediction.Predict = answering(observer, "Predict", functools.partial(_predict, plane))
    prediction.GetModelMetadata = answering(observer, "GetModelMetadata", functools.partial(_metadata, plane))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, server)
    models = model_service_pb2_grpc.ModelServiceServicer()
    models.GetModelStatus = answering(observer, "GetModelStatus", functools.partial(_status, plane))
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(models, server)


def _version(spec) -> int | None:
    if spec.version_label:
        raise invalid(f"A version must be a number. Received: the label {spec.version_label[:80]!r}.")
    return spec.version.value if spec.HasField("version") else None


def _fill(spec, name: str, version: int, signature: str = ""):
    """Names what answered in a message's `ModelSpec`."""
    spec.name, spec.signature_name = name, signature
    spec.version.value = version


def _predict(plane: DataPlane, request, context, asked):
    model = plane.model(request.model_spec.name, _version(request.model_spec))
    signature = model.signature(request.model_spec.signature_name or DEFAULT_SIGNATURE)
    signature.check_outputs(request.output_filter)
    inputs = {
        name: tensorflow_messages.to_array(tensor, name, plane.max_bytes) for name, tensor in request.inputs.items()
    }
    outputs = ask(plane, context, asked, model, signature, inputs)
    response = predict_pb2.PredictResponse()
    _fill(response.model_spec, plane.name, model.number, signature.name)
    for name in request.output_filter or outputs:
        response.outputs[name].CopyFrom(tensorflow_messages.to_proto(outputs[name]))
    return response


def _metadata(plane: DataPlane, request, context, asked):
    model = plane.model(request.model_spec.name, _version(request.model_spec))
    if list(request.metadata_field) != ["signature_def"]:
        raise invalid(f"`metadata_field` must be signature_def. Received: {list(request.metadata_field)[:3]}.")
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    _fill(response.model_spec, plane.name, model.number)
    response.metadata["signature_def"].Pack(tensorflow_messages.signature_definitions(model))
    return response


def _status(plane: DataPlane, request, context, asked):
    plane.check_name(request.model_spec.name)
    version, states = _version(request.model_spec), plane.versions.states()
    if version is not None and version not in states:
        plane.versions.get(version)  # raises
    response = get_model_status_pb2.GetModelStatusResponse()
    for number, state in sorted(states.items(), reverse=True):
        if version in (None, number):
            row = response.model_version_status.add(version=number)
            row.state = get_model_status_pb2.ModelVersionStatus.State.Value(state)
    return response
