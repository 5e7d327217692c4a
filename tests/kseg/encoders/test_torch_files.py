"""State dicts of PyTorch are read without PyTorch, and nothing else that a pickle can hold is admitted."""

import collections
import io
import os
import pickle
import struct
import sys
import types

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kseg.encoders.torch_files import MAGIC, PROTOCOL, read_state_dict

VALUES = np.arange(12, dtype="<f4")


class Tensor:
    """What torch.save pickles for a tensor: a call of `_rebuild_tensor_v2` on a storage."""

    def __init__(self, key="0", offset=0, shape=(3, 4), strides=(4, 1), count=12):
        self.storage, self.view = Storage(key, count), (offset, shape, strides)

    def __reduce__(self):
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (self.storage, *self.view, False, collections.OrderedDict())


class Storage:
    def __init__(self, key, count):
        self.key, self.count = key, count


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, Storage):
            return "storage", sys.modules["torch"].FloatStorage, value.key, "cpu", value.count, None
        return None


@pytest.fixture
def torch(monkeypatch):
    """Modules of the names that a file refers to, as far as pickling needs them."""

    def _rebuild_tensor_v2(*_):
        raise AssertionError("never called")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    storage = type("FloatStorage", (), {"__module__": "torch"})
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(FloatStorage=storage))
    monkeypatch.setitem(sys.modules, "torch._utils", types.SimpleNamespace(_rebuild_tensor_v2=_rebuild_tensor_v2))


def written(state, values=VALUES, magic=MAGIC, protocol=PROTOCOL, count=None) -> bytes:
    """The bytes of a file that holds `state` and one storage."""
    file = io.BytesIO()
    for part in (magic, protocol, {"little_endian": True}, state, ["0"]):
        Pickler(file, 2).dump(part)
    file.write(struct.pack("<q", len(values) if count is None else count) + values.tobytes())
    return file.getvalue()


def read(folder, content: bytes):
    path = folder / "weights.pth"
    path.write_bytes(content)
    return read_state_dict(path)


def test_tensors_come_back_by_name_as_the_views_that_they_are(tmp_path, torch):
    state = collections.OrderedDict(
        whole=Tensor(), transposed=Tensor(shape=(4, 3), strides=(1, 4)), part=Tensor(offset=5, shape=(2,), strides=(3,)),
        scalar=Tensor(offset=7, shape=(), strides=()), nothing=Tensor(shape=(0, 4)),
    )  # fmt: skip
    found = read(tmp_path, written(state))
    assert list(found) == list(state)
    np.testing.assert_array_equal(found["whole"], VALUES.reshape(3, 4))
    np.testing.assert_array_equal(found["transposed"], VALUES.reshape(3, 4).T)
    np.testing.assert_array_equal(found["part"], [5, 8])
    assert found["scalar"] == 7 and found["scalar"].shape == () and found["nothing"].shape == (0, 4)
    assert all(array.dtype == np.float32 for array in found.values())


@pytest.mark.parametrize(
    "view",
    [
        {"offset": 1}, {"strides": (5, 1)}, {"shape": (4, 4)}, {"offset": -1, "shape": (1,), "strides": (1,)},
        {"shape": (2**40,), "strides": (0,)}, {"shape": (2,), "strides": (-1,)}, {"shape": (2.0,), "strides": (1,)},
        {"shape": (2**70,), "strides": (1,)},
    ],
)  # fmt: skip
def test_a_tensor_that_reaches_outside_its_storage_or_repeats_values_is_refused(view, tmp_path, torch):
    with pytest.raises(ValueError, match=r"state dict as written before .* Received: .*weights\.pth \["):
        read(tmp_path, written({"weight": Tensor(**view)}))


class Hostile:
    """Pickled as a call of a function that would leave a file behind."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.mkdir, ("{place}",)),
        (exec, ("import os; os.mkdir('{place}')",)),
        (eval, ("__import__('os').mkdir('{place}')",)),
    ],
)
def test_a_pickle_that_names_a_function_is_refused_before_it_is_called(function, arguments, tmp_path, torch):
    place = tmp_path / "made"
    hostile = Hostile(function, *(argument.format(place=place) for argument in arguments))
    for content in (written({"weight": hostile}), written({"weight": Tensor()}, magic=hostile), written(hostile)):
        with pytest.raises(ValueError, match=r"it names \w+\.\w+"):
            read(tmp_path, content)
    assert not place.exists()


def test_attributes_of_admitted_names_cannot_be_reached(tmp_path, torch):
    # GLOBAL "collections" "OrderedDict.__init__.__globals__": protocol 4 would follow the dots
    names = b"".join(
        b"\x8c" + bytes([len(name)]) + name for name in (b"collections", b"OrderedDict.__init__.__globals__")
    )
    content = pickle.dumps(MAGIC, 2) + b"\x80\x04" + names + b"\x93."
    with pytest.raises(ValueError, match="it names collections"):
        read(tmp_path, content)


def test_a_pickle_changes_neither_a_tensor_nor_the_methods_of_a_dictionary(tmp_path, torch):
    dictionary = collections.OrderedDict
    changed = [{"array": dictionary}, (None, {"items": dictionary}), {"storage": Tensor()}]
    for attributes in changed:
        with pytest.raises(ValueError, match="state dict"):
            read(tmp_path, written({"weight": Built(attributes)}))


class Built(Tensor):
    """A tensor that is given attributes after it was made."""

    def __init__(self, attributes):
        super().__init__()
        self.attributes = attributes

    def __reduce__(self):
        return *super().__reduce__(), self.attributes


def test_tuples_of_themselves_are_refused_without_being_written_out(tmp_path, torch):
    nested = ()
    for _ in range(60):
        nested = nested, nested
    for content in (
        written({"weight": Tensor(shape=nested)}),
        written({"weight": Tensor(count=nested)}),
        written({"weight": Tensor()}, magic=nested),
        written(nested),
    ):
        with pytest.raises(ValueError, match=r"state dict as written before .{0,400}$"):
            read(tmp_path, content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"magic": 7}, "the magic number 7"), ({"protocol": 1000}, "the protocol 1000"), ({"count": 11}, "a storage of 11"),
        ({"values": VALUES[:5], "count": 12}, "a storage of 12"), ({"count": -1}, "a storage of -1"),
    ],
)  # fmt: skip
def test_a_wrong_header_or_a_cut_storage_is_refused(change, message, tmp_path, torch):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, written({"weight": Tensor()}, **change))


@pytest.mark.parametrize("state", [[Tensor()], {"weight": 3.0}, {"weight": "text"}, {7: Tensor()}, None])
def test_what_is_no_dictionary_of_tensors_is_refused(state, tmp_path, torch):
    with pytest.raises(ValueError, match="state dict"):
        read(tmp_path, written(state))


def test_a_zip_archive_is_named_and_a_missing_file_too(tmp_path):
    with pytest.raises(ValueError, match=r"a zip archive, as PyTorch writes since 1\.6"):
        read(tmp_path, b"PK\x03\x04" + bytes(100))
    with pytest.raises(FileNotFoundError):
        read_state_dict(tmp_path / "missing.pth")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_refused_or_read_and_never_end_otherwise(data, tmp_path, torch):
    content = bytearray(written({"weight": Tensor(), "bias": Tensor(shape=(4,), strides=(1,))}))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    try:
        found = read(tmp_path, bytes(content))
    except ValueError:
        return
    assert all(isinstance(array, np.ndarray) and array.nbytes <= len(content) for array in found.values())
