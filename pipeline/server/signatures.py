"""A signature of a loaded model as a function from arrays to arrays, and the checks of what it is given. numpy only.

Strings are arrays of `bytes` with dtype object, which is how TensorFlow hands them out.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping

import numpy as np

from pipeline.server.errors import invalid

Arrays = dict[str, np.ndarray]
STRING = np.dtype(object)


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """What a tensor of a signature may be.

    Attributes:
        name: of the tensor.
        dtype: of numpy; object for strings.
        shape: sizes, None where any is allowed; None: any number of axes.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int | None, ...] | None

    def allows(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape fits."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            wanted in (None, size) for wanted, size in zip(self.shape, shape, strict=True)
        )

    def __str__(self):
        dtype = "string" if self.dtype == STRING else self.dtype.name
        if self.shape is None:
            return f"{self.name}: {dtype} of any shape"
        return f"{self.name}: {dtype} ({', '.join('any' if size is None else str(size) for size in self.shape)})"


def _unchanged(outputs: Arrays) -> Arrays:
    return outputs


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function of a model.

    Attributes:
        name: of the signature.
        inputs: by name.
        outputs: by name.
        compute: arrays of all inputs to arrays; raises `RequestError` where the model refuses them.
        finish: what follows for each request on its own, when requests were computed together.
        batch: whether all tensors have the images of a request on their first axis, so that requests can be computed together.
        base: name of the signature that `compute` belongs to.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    compute: Callable[[Arrays], Arrays]
    finish: Callable[[Arrays], Arrays] = _unchanged
    batch: bool = False
    base: str = ""

    def check(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """Returns the inputs in the order of the signature.

        Raises:
            RequestError: a name, dtype, rank or size is not the signature's, the batch is empty, or its tensors differ in length.
        """
        if set(inputs) != set(self.inputs):
            raise invalid(
                f"Inputs must be those of the signature {self.name!r}. Received: {_names(inputs)}. Send {self.describe_inputs()}."
            )
        for name, spec in self.inputs.items():
            array = inputs[name]
            if array.dtype != spec.dtype or not spec.allows(array.shape):
                received = TensorSpec(name, array.dtype, array.shape)
                raise invalid(f"An input must be as the signature {self.name!r} says: {spec}. Received: {received}.")
        if self.batch and len({len(array) for array in inputs.values()}) > 1:
            raise invalid(f"Inputs must have one length. Received: {', '.join(map(str, self._received(inputs)))}.")
        if self.batch and not len(next(iter(inputs.values()))):
            raise invalid("A batch must have an image. Received: 0 images. Send at least one.")
        return {name: inputs[name] for name in self.inputs}

    def check_outputs(self, names: typing.Iterable[str]):
        """Refuses names of outputs that the signature does not have."""
        for name in names:
            if name not in self.outputs:
                raise invalid(
                    f"Outputs must be those of the signature {self.name!r}. Received: {name!r}. "
                    f"Ask for {', '.join(self.outputs)}."
                )

    def describe_inputs(self) -> str:
        """The inputs, for messages."""
        return "; ".join(map(str, self.inputs.values())) or "none"

    def _received(self, inputs):
        return (TensorSpec(name, array.dtype, array.shape) for name, array in inputs.items())


def _names(inputs) -> str:
    """Names that a client sent, at most a few and not in full length."""
    shown = [repr(name[:40]) for name in list(inputs)[:5]]
    return ", ".join(shown + ["..."] * (len(inputs) > 5)) or "none"
