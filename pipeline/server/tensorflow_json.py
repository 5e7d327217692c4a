"""JSON of TensorFlow Serving's REST protocol: rows ("instances") and columns ("inputs"), with bytes as {"b64": ...}.

Outputs whose names end in `_bytes` are encoded as bytes, other strings are text. numpy only.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping

import numpy as np

from pipeline.server.errors import Code, RequestError, invalid
from pipeline.server.signatures import STRING, Arrays, Signature, TensorSpec

BYTES_SUFFIX = "_bytes"
PIECE = 2**18
"""Values whose JSON is written at a time: lists of Python's numbers take ten times the memory of an array."""


def read_json(body: bytes) -> dict:
    """The object in a body.

    Raises:
        RequestError: it is no JSON, or something else.
    """
    try:
        value = json.loads(body)
    except RecursionError:
        raise invalid(
            "A body must be JSON of few levels. Received: lists or objects in each other a thousand times."
        ) from None
    except ValueError as error:
        raise invalid(f"A body must be JSON. Received: {error} [{len(body)} bytes].") from None
    if not isinstance(value, dict):
        raise invalid(f"A body must be a JSON object. Received: {type(value).__name__}.")
    return value


def signature_name(request: Mapping) -> str:
    """The signature that a request names; "serving_default" where it names none."""
    name = request.get("signature_name") or "serving_default"
    if not isinstance(name, str):
        raise invalid(f"`signature_name` must be a string. Received: {type(name).__name__}.")
    return name


def read_inputs(request: Mapping, signature: Signature) -> tuple[Arrays, bool]:
    """The input arrays of a request, and whether it is in rows.

    Raises:
        RequestError: it has neither rows nor columns, or values that fit into no tensor of the signature.
    """
    given = [key for key in ("instances", "inputs") if key in request]
    if len(given) != 1:
        raise invalid(
            "A request must have either rows, `instances`, or columns, `inputs`. Received: "
            f"{' and '.join(given) or 'neither of them'}."
        )
    if given == ["inputs"]:
        return _read_columns(request["inputs"], signature), False
    rows = request["instances"]
    if not isinstance(rows, list) or not rows:
        raise invalid("`instances` must be a list of at least one row. Received: " + _kind(rows) + ".")
    columns = _read_columns_of_rows(rows, signature)
    return {name: to_array(values, _spec(signature, name)) for name, values in columns.items()}, True


def _read_columns(columns, signature) -> Arrays:
    if _is_named(columns):
        return {name: to_array(values, _spec(signature, name)) for name, values in columns.items()}
    spec = _only_input(signature)
    return {spec.name: to_array(columns, spec)}


def _read_columns_of_rows(rows: list, signature) -> dict[str, list]:
    if not _is_named(rows[0]):
        if any(_is_named(row) for row in rows):
            raise invalid("Rows must be of one kind. Received: objects and values.")
        return {_only_input(signature).name: rows}
    if any(not _is_named(row) or row.keys() != rows[0].keys() for row in rows):
        raise invalid("Rows must have the same names. Received: rows that differ.")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _is_named(value) -> bool:
    """Whether a value is an object of tensors by name, not one of bytes."""
    return isinstance(value, dict) and value.keys() != {"b64"}


def _only_input(signature: Signature) -> TensorSpec:
    if len(signature.inputs) != 1:
        raise invalid(f"Inputs of {signature.name!r} must be named. Received: values without names.")
    return next(iter(signature.inputs.values()))


def _spec(signature: Signature, name: str) -> TensorSpec:
    signature_specs = signature.inputs
    if name not in signature_specs:
        raise invalid(
            f"Inputs must be those of the signature {signature.name!r}. Received: {name[:80]!r}. "
            f"Send {signature.describe_inputs()}."
        )
    return signature_specs[name]


def to_array(values, spec: TensorSpec) -> np.ndarray:
    """Nested lists as an array of the dtype that a signature wants.

    Args:
        values: a number, a string, {"b64": ...}, or lists of them.
        spec: what is wanted.

    Raises:
        RequestError: lists differ in length, or a value does not fit the dtype.

    Example:
        >>> to_array([[1, 2]], TensorSpec("x", np.dtype(np.uint8), None))
        array([[1, 2]], dtype=uint8)
    """
    try:
        if spec.dtype == STRING:
            return np.array(_strings(values), STRING)
        array = np.asarray(values)
    except (ValueError, RecursionError, OverflowError):
        raise invalid(f"Lists of {spec.name!r} must have equal lengths. Received: lists that differ.") from None
    if array.size == 0:
        return array.astype(spec.dtype)
    if array.dtype.kind not in {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}.get(spec.dtype.kind, ""):
        raise invalid(f"Values must be as the signature says, {spec}. Received: {_describe(array)}.")
    if spec.dtype.kind in "iu":
        limits = np.iinfo(spec.dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise invalid(
                f"Values must be as the signature says, {spec}. Received: numbers from {array.min()} to {array.max()}."
            )
    return array.astype(spec.dtype)


def _strings(values):
    """Nested lists with bytes in the place of strings and {"b64": ...}."""
    if isinstance(values, list):
        return [_strings(value) for value in values]
    if isinstance(values, str):
        return values.encode("utf-8", "surrogatepass")
    if isinstance(values, dict) and values.keys() == {"b64"} and isinstance(values["b64"], str):
        return from_base64(values["b64"])
    raise invalid(f'Values must be strings, or bytes as {{"b64": "..."}}. Received: {_kind(values)}.')


def from_base64(text: str) -> bytes:
    """The bytes that text stands for.

    Raises:
        RequestError: it is no base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(f"Bytes must be base64. Received: {error}.") from None


def _kind(value) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return "an empty list" if value == [] else names.get(type(value), "a number")


def _describe(array: np.ndarray) -> str:
    return {"b": "true or false", "f": "numbers with a fraction", "U": "strings"}.get(array.dtype.kind, "other values")


def write_outputs(outputs: Mapping[str, np.ndarray], rows: bool, max_bytes: int) -> bytes:
    """The body of an answer.

    Args:
        outputs: by name.
        rows: whether in rows, "predictions", or in columns, "outputs".
        max_bytes: of the arrays.

    Raises:
        RequestError: they are larger, or have no rows of one number.
    """
    check_json_size(outputs, max_bytes)
    if not rows:
        if len(outputs) == 1:
            return b'{"outputs": ' + b"".join(to_json(name, array) for name, array in outputs.items()) + b"}"
        return b'{"outputs": ' + _object(outputs) + b"}"
    if len({array.shape[:1] for array in outputs.values()}) != 1 or any(not array.ndim for array in outputs.values()):
        raise invalid("Outputs must have one length to be written in rows. Received: others. Send columns, `inputs`.")
    number = len(next(iter(outputs.values())))
    if len(outputs) == 1:
        texts = [to_json(name, array[i]) for name, array in outputs.items() for i in range(number)]
    else:
        texts = [_object({name: array[i] for name, array in outputs.items()}) for i in range(number)]
    return b'{"predictions": [' + b", ".join(texts) + b"]}"


def check_json_size(outputs: Mapping[str, np.ndarray], max_bytes: int):
    """Refuses to write large arrays as JSON, which takes several times their memory."""
    size = sum(sum(map(len, array.flat)) if array.dtype == STRING else array.nbytes for array in outputs.values())
    if size > max_bytes:
        raise RequestError(
            Code.TOO_LARGE,
            f"An answer in JSON must have at most {max_bytes:,} bytes of arrays. Received: a request for {size:,}. Ask for the "
            "encoded label map (serve_bytes), for fewer outputs, or over gRPC or the binary extension.",
        )


def _object(values: Mapping[str, np.ndarray]) -> bytes:
    return (
        b"{"
        + b", ".join(json.dumps(name).encode() + b": " + to_json(name, array) for name, array in values.items())
        + b"}"
    )


def to_json(name: str, array) -> bytes:
    """An array as nested lists in JSON; strings as text, or as {"b64": ...} where the name ends in `_bytes`.

    Example:
        >>> to_json("label_map_bytes", np.array([b"PNG"], object)), to_json("message", np.array([b"none"], object))
        (b'[{"b64": "UE5H"}]', b'["none"]')
    """
    if isinstance(array, bytes):
        array = np.array(array, STRING)
    if array.dtype == STRING:
        return json.dumps(_texts(array.tolist(), name.endswith(BYTES_SUFFIX))).encode()
    if array.size <= PIECE:
        return json.dumps(array.tolist()).encode()
    if array.ndim == 1:
        pieces = np.split(array, range(PIECE, len(array), PIECE))
        return b"[" + b", ".join(to_json(name, piece)[1:-1] for piece in pieces) + b"]"
    return b"[" + b", ".join(to_json(name, part) for part in array) + b"]"


def _texts(value, as_bytes: bool):
    if isinstance(value, list):
        return [_texts(part, as_bytes) for part in value]
    return {"b64": base64.b64encode(value).decode()} if as_bytes else value.decode("utf-8", "replace")
