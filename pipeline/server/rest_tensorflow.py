"""TensorFlow Serving's REST protocol: status, metadata and `:predict` of a model."""

from __future__ import annotations

from google.protobuf import json_format
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.server import tensorflow_json
from pipeline.server.tensorflow_messages import signature_definitions
from pipeline.server.web import ask, asking, in_thread, json_response, version_of


def routes() -> list[Route]:
    """The calls of the protocol."""
    found = []
    for prefix in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
        found.append(Route(f"{prefix}:predict", _predict, methods=["POST"]))
        found.append(Route(f"{prefix}/metadata", _metadata))
        found.append(Route(prefix, _status))
    return found


async def _status(request: Request) -> Response:
    plane, version = request.app.state.plane, version_of(request)
    plane.check_name(request.path_params["name"])
    states = plane.versions.states()
    if version is not None and version not in states:
        plane.versions.get(version)  # raises
    rows = [
        {"version": str(number), "state": state, "status": {"error_code": "OK", "error_message": ""}}
        for number, state in sorted(states.items(), reverse=True)
        if version in (None, number)
    ]
    return JSONResponse({"model_version_status": rows})


async def _metadata(request: Request) -> Response:
    model = request.app.state.plane.model(request.path_params["name"], version_of(request))
    written = json_format.MessageToDict(
        signature_definitions(model), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    spec = {"name": request.path_params["name"], "signature_name": "", "version": str(model.number)}
    return JSONResponse({"model_spec": spec, "metadata": {"signature_def": written}})


@asking
async def _predict(request: Request, plane, body: bytes, deadline: float) -> Response:
    model = plane.model(request.path_params["name"], version_of(request))

    def read():
        message = tensorflow_json.read_json(body)
        signature = model.signature(tensorflow_json.signature_name(message))
        return signature, *tensorflow_json.read_inputs(message, signature)

    signature, inputs, rows = await in_thread(read)
    outputs = await ask(request, plane, model, signature, inputs, deadline)
    return json_response(await in_thread(tensorflow_json.write_outputs, outputs, rows, plane.max_bytes))
