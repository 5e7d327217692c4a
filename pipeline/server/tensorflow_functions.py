"""A function of TensorFlow's tensors as one of arrays, and its errors as those of a request. TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from pipeline.server.errors import Code, RequestError
from pipeline.server.signatures import STRING, Arrays, TensorSpec

_CODES = {
    tf.errors.INVALID_ARGUMENT: Code.INVALID,
    tf.errors.OUT_OF_RANGE: Code.INVALID,
    tf.errors.RESOURCE_EXHAUSTED: Code.UNAVAILABLE,
}


def computed_by(function: Callable, inputs: Mapping[str, TensorSpec], owner) -> Callable[[Arrays], Arrays]:
    """What computes a signature: a function of TensorFlow as one of arrays.

    Args:
        function: of tensors, by the names of `inputs`.
        inputs: of the signature.
        owner: what the function needs and does not hold, such as the variables of a SavedModel.
    """

    def compute(arrays: Arrays) -> Arrays:
        tensors = {key: tf.constant(array, _tf_dtype(inputs[key])) for key, array in arrays.items()}
        try:
            return {key: _to_array(value) for key, value in function(**tensors).items()}
        except tf.errors.OpError as error:
            code = _CODES.get(error.error_code, Code.INTERNAL)
            raise RequestError(code, _refusal(error.message)) from error

    compute.owner = owner
    return compute


def _tf_dtype(spec: TensorSpec):
    return tf.string if spec.dtype == STRING else tf.dtypes.as_dtype(spec.dtype)


def _to_array(tensor) -> np.ndarray:
    """The values of a tensor; strings in an array of objects also where there is one only."""
    return np.array(tensor.numpy(), STRING) if tensor.dtype == tf.string else np.asarray(tensor.numpy())


def _refusal(message: str) -> str:
    """The message of a check in an exported graph; of other errors the first line."""
    if found := re.search(r"assertion failed: ((?:\[.*?\] ?)+)", message, re.DOTALL):
        return " ".join(re.findall(r"\[(.*?)\](?= \[| ?$)", found[1].strip(), re.DOTALL)) or found[1].strip()
    return first_line(message)


def first_line(message: str) -> str:
    """The first line of a message, cut where it is long."""
    return (message.strip().splitlines() or ["no message"])[0][:400]
