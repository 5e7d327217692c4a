"""The Open Inference Protocol version 2 over REST with its binary extension, as Triton and KServe speak it.

The protocol knows no signatures: the parameter `signature` of a request names one. Without it, it is `serving_default`, or, where
that has other inputs or outputs than the request, `serve_bytes`, or else the first signature that has them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import kseg
from pipeline.server import v2_tensors
from pipeline.server.data_plane import DEFAULT_SIGNATURE
from pipeline.server.errors import Code, invalid
from pipeline.server.signatures import STRING, Arrays, Signature
from pipeline.server.tensorflow_json import BYTES_SUFFIX, check_json_size, read_json, to_json
from pipeline.server.web import ask, asking, dumps, in_thread, version_of

HEADER_LENGTH = "inference-header-content-length"
PLATFORM = "tensorflow_savedmodel"
EXTENSIONS = ["binary_tensor_data"]


def routes() -> list[Route]:
    """The calls of the protocol."""
    found = [Route("/v2", _server), Route("/v2/health/live", _live), Route("/v2/health/ready", _ready)]
    for prefix in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        found.append(Route(f"{prefix}/infer", _infer, methods=["POST"]))
        found.append(Route(f"{prefix}/ready", _model_ready))
        found.append(Route(prefix, _metadata))
    return found


async def _server(request: Request) -> Response:
    return JSONResponse({"name": "kseg", "version": kseg.__version__, "extensions": EXTENSIONS})


async def _live(request: Request) -> Response:
    return JSONResponse({"live": True})


async def _ready(request: Request) -> Response:
    ready = request.app.state.plane.ready
    return JSONResponse({"ready": ready}, 200 if ready else Code.UNAVAILABLE.http)


async def _model_ready(request: Request) -> Response:
    model = request.app.state.plane.model(request.path_params["name"], version_of(request))
    return JSONResponse({"name": request.path_params["name"], "version": str(model.number), "ready": True})


async def _metadata(request: Request) -> Response:
    plane = request.app.state.plane
    model = plane.model(request.path_params["name"], version_of(request))
    return JSONResponse(metadata(plane, model, request.query_params.get("signature")))


def metadata(plane, model, signature: str | None = None) -> dict:
    """What the protocol tells about a model.

    Args:
        plane: that serves it.
        model: a loaded version.
        signature: whose tensors are told; None: the default.
    """
    chosen = model.signature(signature) if signature else default_signature(model)

    def tensors(specs):
        return [
            {"name": name, "datatype": v2_tensors.datatype(spec.dtype), "shape": v2_tensors.open_shape(spec)}
            for name, spec in specs.items()
        ]

    return {
        "name": plane.name,
        "versions": [str(number) for number, state in sorted(plane.versions.states().items()) if state == "AVAILABLE"],
        "platform": PLATFORM,
        "inputs": tensors(chosen.inputs),
        "outputs": tensors(chosen.outputs),
        "properties": {"signature": chosen.name, "signatures": ",".join(model.signatures)},
    }


def default_signature(model) -> Signature:
    """The signature of a request that names none."""
    return model.signatures.get(DEFAULT_SIGNATURE) or next(iter(model.signatures.values()))


def choose_signature(model, parameter, inputs: Iterable[str], outputs: Iterable[str]) -> Signature:
    """The signature that a request means.

    Args:
        model: a loaded version.
        parameter: the parameter `signature` of the request; None where it has none.
        inputs: names of its inputs.
        outputs: names of the outputs that it asks for; none: all.
    """
    if parameter is not None:
        if not isinstance(parameter, str):
            raise invalid("The parameter `signature` must be a string. Received: another value.")
        return model.signature(parameter)
    default, inputs, outputs = default_signature(model), set(inputs), set(outputs)
    for signature in (default, *model.signatures.values()):
        if inputs == set(signature.inputs) and outputs <= set(signature.outputs):
            return signature
    return default  # whose checks say what is wrong


@asking
async def _infer(request: Request, plane, body: bytes, deadline: float) -> Response:
    model = plane.model(request.path_params["name"], version_of(request))
    message, signature, inputs = await in_thread(_read, request.headers.get(HEADER_LENGTH), body, model)
    outputs = await ask(request, plane, model, signature, inputs, deadline)
    content, header_length = await in_thread(_write, plane, model, message, outputs)
    if header_length is None:
        return Response(content, media_type="application/json")
    headers = {HEADER_LENGTH: str(header_length)}
    return Response(content, media_type="application/octet-stream", headers=headers)


def _read(header_length: str | None, body: bytes, model) -> tuple[dict, Signature, Arrays]:
    """The JSON of a request, its signature and its inputs.

    Raises:
        RequestError: something is wrong with it.
    """
    head, binary = _split(body, header_length)
    message = read_json(head)
    tensors, outputs = _listed(message, "inputs"), _listed(message, "outputs")
    if not tensors:
        raise invalid("`inputs` must be a list of tensors. Received: none.")
    names = [tensor["name"] for tensor in tensors]
    if len(set(names)) < len(names):
        raise invalid("Each input must be sent once. Received: one of them twice.")
    wanted = [tensor["name"] for tensor in outputs]
    signature = choose_signature(model, _parameters(message).get("signature"), names, wanted)
    signature.check_outputs(wanted)
    inputs, place = {}, 0
    for tensor in tensors:
        size = _parameters(tensor).get("binary_data_size")
        inputs[tensor["name"]] = _read_tensor(tensor, size, binary[place:])
        place += size or 0
    if place != len(binary):
        raise invalid(f"Binary data must be those of the inputs. Received: {len(binary)} bytes for {place}.")
    return message, signature, inputs


def _split(body: bytes, header_length: str | None) -> tuple[bytes, memoryview]:
    if header_length is None:
        return body, memoryview(b"")
    number = (
        int(header_length) if header_length.isascii() and header_length.isdecimal() and len(header_length) < 12 else -1
    )
    if not 0 <= number <= len(body):
        raise invalid(
            f"Inference-Header-Content-Length must be the number of bytes of the JSON. Received: {header_length[:20]!r}, "
            f"{len(body)} bytes in all."
        )
    return body[:number], memoryview(body)[number:]


def _listed(message: Mapping, key: str) -> list[dict]:
    """The tensors in a list of a request, each with a name."""
    tensors = message.get(key, [])
    if not isinstance(tensors, list) or not all(
        isinstance(tensor, dict) and isinstance(tensor.get("name"), str) for tensor in tensors
    ):
        raise invalid(f"`{key}` must be a list of tensors with a name each. Received: something else.")
    return tensors


def _parameters(value: Mapping) -> dict:
    parameters = value.get("parameters", {})
    if not isinstance(parameters, dict):
        raise invalid("`parameters` must be an object. Received: something else.")
    return parameters


def _read_tensor(tensor: Mapping, size, binary: memoryview) -> np.ndarray:
    name, dtype = tensor["name"], v2_tensors.dtype_of(tensor.get("datatype"))
    shape = v2_tensors.shape_of(tensor.get("shape"), name)
    if size is None:
        if "data" not in tensor:
            raise invalid(f"The tensor {name[:80]!r} must have data. Received: neither `data` nor `binary_data_size`.")
        return v2_tensors.from_values(tensor["data"], dtype, shape, name, _parameters(tensor).get("content_type"))
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(binary):
        raise invalid(f"`binary_data_size` must be bytes that are there. Received: {str(size)[:20]} of {len(binary)}.")
    return v2_tensors.from_raw(binary[:size], dtype, shape, name)


def _write(plane, model, message: Mapping, outputs: Arrays) -> tuple[bytes, int | None]:
    """The body of an answer; and the bytes of its JSON, where binary data follow."""
    wanted = {tensor["name"]: _parameters(tensor).get("binary_data") for tensor in _listed(message, "outputs")}
    binary_by_default = bool(_parameters(message).get("binary_data_output"))
    heads, binary, in_json = [], [], {}
    for name in wanted or outputs:
        array, chosen = outputs[name], wanted.get(name)
        head = {"name": name, "datatype": v2_tensors.datatype(array.dtype), "shape": list(array.shape)}
        if binary_by_default if chosen is None else chosen:
            binary.append(v2_tensors.to_raw(array))
            heads.append(dumps({**head, "parameters": {"binary_data_size": len(binary[-1])}}))
            continue
        in_json[name] = array
        check_json_size(in_json, plane.max_bytes)
        heads.append(_with_values(head, array))
    beginning = {"model_name": plane.name, "model_version": str(model.number)}
    beginning |= {"id": message["id"]} if isinstance(message.get("id"), str) else {}
    text = dumps(beginning)[:-1] + b', "outputs": [' + b", ".join(heads) + b"]}"
    return b"".join([text, *binary]), len(text) if binary else None


def _with_values(head: dict, array: np.ndarray) -> bytes:
    """A tensor in JSON, its values flat; bytes as base64, which its parameters say."""
    if array.dtype == STRING and head["name"].endswith(BYTES_SUFFIX):
        return json.dumps(
            {**head, "parameters": {"content_type": v2_tensors.BASE64}, "data": v2_tensors.to_base64(array)}
        ).encode()
    return dumps(head)[:-1] + b', "data": ' + to_json(head["name"], array.ravel()) + b"}"
