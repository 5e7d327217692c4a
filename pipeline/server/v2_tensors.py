"""Tensors of the Open Inference Protocol: datatypes, values in JSON, and raw bytes. numpy only."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Sequence

import numpy as np

from pipeline.server.errors import invalid
from pipeline.server.signatures import STRING, TensorSpec
from pipeline.server.tensorflow_json import from_base64, to_array

_NAMES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64", "int8": "INT8",
    "int16": "INT16", "int32": "INT32", "int64": "INT64", "float16": "FP16", "float32": "FP32", "float64": "FP64",
    "object": "BYTES", "bfloat16": "BF16",
}  # fmt: skip
_DTYPES = {name: np.dtype(dtype) for dtype, name in _NAMES.items() if dtype != "bfloat16"}
MAX_AXES = 32
BASE64 = "base64"
"""Content type of strings in JSON that stand for bytes, as MLServer names it."""


def datatype(dtype: np.dtype) -> str:
    """The protocol's name of a dtype."""
    return _NAMES.get(dtype.name, dtype.name.upper())


def dtype_of(name) -> np.dtype:
    """The dtype of a name.

    Raises:
        RequestError: there is none.
    """
    if not isinstance(name, str) or name not in _DTYPES:
        raise invalid(f"A datatype must be one of {', '.join(_DTYPES)}. Received: {str(name)[:40]!r}.")
    return _DTYPES[name]


def shape_of(value, name: str) -> tuple[int, ...]:
    """The shape in a request.

    Raises:
        RequestError: it is no list of sizes.
    """
    sizes = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else None
    if (
        sizes is None
        or len(sizes) > MAX_AXES
        or any(isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < 2**63 for size in sizes)
    ):
        raise invalid(f"The shape of {name[:80]!r} must be a list of sizes. Received: {str(value)[:80]}.")
    return tuple(sizes)


def open_shape(spec: TensorSpec) -> list[int]:
    """The shape of a signature's tensor as metadata tells it: -1 where any size is allowed."""
    return [-1] if spec.shape is None else [-1 if size is None else size for size in spec.shape]


def from_values(
    values, dtype: np.dtype, shape: tuple[int, ...], name: str, content_type: str | None = None
) -> np.ndarray:
    """An array from values in JSON or in the lists of gRPC, flat or nested.

    Raises:
        RequestError: they do not fit.
    """
    if dtype == STRING and values and isinstance(values[0], bytes):  # of gRPC
        array = np.empty(len(values), STRING)
        array[:] = values
    else:
        array = to_array(values, TensorSpec(name, dtype, None))
    if array.size != math.prod(shape):
        raise _wrong_number(name, shape, f"{array.size} values")
    if dtype == STRING and content_type == BASE64:
        array = np.array([from_base64(value.decode("utf-8", "replace")) for value in array.ravel()], STRING)
    return _shaped(array, shape, name)


def from_raw(data, dtype: np.dtype, shape: tuple[int, ...], name: str) -> np.ndarray:
    """An array from raw bytes: little-endian values, or strings that each follow their length.

    Raises:
        RequestError: there are more or fewer bytes.
    """
    number = math.prod(shape)
    if dtype == STRING:
        strings = _read_strings(data, name, number)
        array = np.empty(number, STRING)
        array[:] = strings
        return _shaped(array, shape, name)
    if len(data) != number * dtype.itemsize:
        raise _wrong_number(name, shape, f"{len(data)} bytes for values of {dtype.itemsize}")
    return _shaped(np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False), shape, name)


def _shaped(array: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    try:
        return array.reshape(shape)
    except ValueError:  # no values, and sizes that numpy cannot multiply
        raise _wrong_number(name, shape, f"{array.size} values") from None


def _read_strings(data, name: str, number: int) -> list[bytes]:
    view, place, found = memoryview(data), 0, []
    while place < len(view):
        if place + 4 > len(view) or len(found) == number:
            raise _wrong_number(name, (number,), f"{len(view)} bytes")
        (length,) = struct.unpack_from("<I", view, place)
        place += 4
        if place + length > len(view):
            raise invalid(
                f"A string of {name[:80]!r} must have the length before it. Received: {len(view) - place} bytes of {length}."
            )
        found.append(bytes(view[place : place + length]))
        place += length
    if len(found) != number:
        raise _wrong_number(name, (number,), f"{len(found)} strings")
    return found


def _wrong_number(name, shape, received: str):
    return invalid(f"The data of {name[:80]!r} must fill its shape {list(shape)}. Received: {received}.")


def to_raw(array: np.ndarray) -> bytes:
    """The raw bytes of an array.

    Example:
        >>> to_raw(np.array([b"ab"], object))
        b'\\x02\\x00\\x00\\x00ab'
    """
    if array.dtype == STRING:
        return b"".join(part for value in array.ravel() for part in (struct.pack("<I", len(value)), value))
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<") if array.dtype.isbuiltin else None).tobytes()


def to_base64(array: np.ndarray) -> list[str]:
    """Strings as base64, flat."""
    return [base64.b64encode(value).decode() for value in array.ravel()]
