"""Reads the state dict of a PyTorch file of before 1.6 without PyTorch. Standard library and numpy.

Such a file is a row of pickles (magic number, protocol, system, state dict, storage keys), then for each key a count and raw
little-endian values. A pickle can name any function of Python, so the unpickler admits an ordered dictionary, tensors and
storages, and refuses everything else; a tensor that would reach outside its storage is refused, too. Newer files, which are zip
archives, are refused by name.
"""

from __future__ import annotations

import collections
import math
import pathlib
import pickle
import pickletools
import reprlib
import struct
from typing import NamedTuple

import numpy as np

MAX_MEMO = 1_000_000
"""Entries of a pickle's memo; a state dict of a thousand tensors has about ten thousand."""
MAX_REASON = 200
"""Characters of a message that a file may have written."""
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip
"""Storage types and the dtype of their values."""


def read_state_dict(path) -> dict[str, np.ndarray]:
    """The tensors of a state dict by name.

    Args:
        path: file that `torch.save(model.state_dict(), path)` of PyTorch before 1.6 wrote.

    Returns:
        Arrays of the tensors' shapes and dtypes.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file, is damaged, or holds anything but tensors.

    Source: `torch.serialization._legacy_load` of PyTorch.
    """
    path = pathlib.Path(path)
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is not a regular file")
        with open(path, "rb") as file:
            tensors, keys = _header(file)
            size = path.stat().st_size
            values = _storages(file, keys, {tensor.storage for tensor in tensors.values()}, size)
        return {name: tensor.array(values) for name, tensor in tensors.items()}
    except FileNotFoundError:
        raise
    except _MALFORMED as error:
        raise ValueError(
            f"Weights of PyTorch must be a state dict as written before version 1.6. Received: {path} "
            f"[{str(error)[:MAX_REASON] or type(error).__name__}]."
        ) from error


_MALFORMED = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError, MemoryError, RecursionError,
    struct.error, pickle.UnpicklingError,
)  # fmt: skip
"""What unpickling damaged bytes may raise."""


class _Storage(NamedTuple):
    key: str
    dtype: str
    count: int


class _Tensor(NamedTuple):
    """A view into a storage whose values follow later in the file. Of a tuple a pickle changes no attribute."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, values: dict[str, np.ndarray]) -> np.ndarray:
        """A copy of the values that the view shows."""
        flat = values[self.storage.key]
        if 0 in self.shape:
            return np.zeros(self.shape, flat.dtype)
        last = self.offset + sum((length - 1) * step for length, step in zip(self.shape, self.strides, strict=True))
        if last >= len(flat) or math.prod(self.shape) > len(
            flat
        ):  # views that repeat values would not be bounded by the file
            raise ValueError(f"a tensor of shape {self.shape} outside its storage of {len(flat)} values")
        steps = [step * flat.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, steps).copy()


class _Unpickler(pickle.Unpickler):
    """Knows an ordered dictionary, tensors and storages, and no other name."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise ValueError(f"it names {module}.{name}")

    def persistent_load(self, pid):
        kind, dtype, key, _, count, view = pid
        known = kind == "storage" and dtype in STORAGES.values() and view is None
        if not known or type(key) is not str or type(count) is not int:
            raise ValueError(f"a storage {reprlib.repr(pid)}")
        return _Storage(key, dtype, count)


def _tensor(storage, offset, shape, strides, *_):
    """Stands for `torch._utils._rebuild_tensor_v2`."""
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor without a storage")
    numbers = (offset, *shape, *strides)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(f"a tensor of offset, shape and strides {reprlib.repr(numbers)}")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _load(file):
    """The next object of the file, after a look at its opcodes.

    A memo is a list as long as its largest index: a few bytes could claim all memory.
    """
    start = file.tell()
    for opcode, argument, _ in pickletools.genops(file):
        if "PUT" in opcode.name and argument is not None and not 0 <= int(argument) <= MAX_MEMO:
            raise ValueError(f"a memo of {argument} entries")
    file.seek(start)
    return _Unpickler(file).load()


def _header(file) -> tuple[dict[str, _Tensor], list[str]]:
    """The state dict, and the keys of the storages in the order in which their values follow."""
    if file.read(4) == b"PK\x03\x04":
        raise ValueError("a zip archive, as PyTorch writes since 1.6")
    file.seek(0)
    if (magic := _load(file)) != MAGIC:
        raise ValueError(f"the magic number {reprlib.repr(magic)}")
    if (protocol := _load(file)) != PROTOCOL:
        raise ValueError(f"the protocol {reprlib.repr(protocol)}")
    _load(file)  # byte order and sizes of the writer's system; values are always little-endian
    state, keys = _load(file), _load(file)
    if not isinstance(state, dict) or not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError(f"{type(state).__name__} instead of a state dict")
    state = dict(state)  # a pickle may give an ordered dictionary attributes in place of its methods
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, _Tensor):
            raise ValueError(f"{reprlib.repr(name)} of type {type(value).__name__} in the state dict")
    return state, keys


def _storages(file, keys: list[str], storages: set[_Storage], size: int) -> dict[str, np.ndarray]:
    """The values of each storage."""
    known = {storage.key: storage for storage in storages}
    found = {}
    for key in keys:
        storage = known[key]
        (count,) = struct.unpack("<q", file.read(8))
        dtype = np.dtype(storage.dtype)
        if count != storage.count or not 0 <= count * dtype.itemsize <= size - file.tell():
            raise ValueError(f"a storage of {count} values")
        found[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    return found
