"""Files of weights that are none, are damaged, or claim what cannot be: one error in our words, little memory and time."""

import functools
import os
import resource
import struct
import zipfile

import h5py
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kseg
from kseg.encoders import weight_files, weights
from kseg.encoders.torch_files import read_state_dict


def small():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(2, 3, name="first")(image)
    return keras.Model(image, keras.layers.Conv2D(4, 1, name="second")(x))


@pytest.fixture
def saved(tmp_path):
    """Files of one network, in every form that Keras writes, by suffix."""
    model, files = small(), {}
    for suffix in (".weights.h5", ".h5", ".keras"):
        files[suffix] = tmp_path / f"network{suffix}"
        (model.save_weights if suffix == ".weights.h5" else model.save)(files[suffix])
    return files


def archive(path, *members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members:
            file.writestr(name, content)


def hdf5(path, fill):
    with h5py.File(path, "w") as file:
        fill(file)


def layer(file, name="first", **dataset):
    """A layer as Keras 3 writes it, whose only weight is the dataset."""
    group = file.create_group(f"layers/{name}/vars")
    group.attrs["name"] = name
    return group.create_dataset("0", **dataset)


def external(file):
    group = file.create_group("layers/first/vars")
    group.attrs["name"] = "first"
    group["0"] = h5py.ExternalLink("/etc/hostname", "/")


def soft(file):
    group = file.create_group("layers/first/vars")
    group.attrs["name"] = "first"
    group["0"] = h5py.SoftLink("/layers/first/vars/0")


def legacy_without_weights(file):
    file.attrs["layer_names"] = [b"first"]
    file.create_group("first")


BROKEN = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no weights"),
    "signature_only": lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"),
    "zip_signature_only": lambda path: path.write_bytes(b"PK\x03\x04"),
    "archive_without_weights": lambda path: archive(path, ("config.json", "{}")),
    "archive_of_text": lambda path: archive(path, ("model.weights.h5", b"text" * 99)),
    "bomb": lambda path: archive(path, ("model.weights.h5", bytes(10**8)), compression=zipfile.ZIP_DEFLATED),
    "nothing": lambda path: hdf5(path, lambda file: None),
    "terabytes": lambda path: hdf5(path, lambda file: layer(file, shape=(2**40,), dtype="f4", chunks=(2**20,))),
    "overflow": lambda path: hdf5(path, lambda file: layer(file, shape=(2**31, 2**31), dtype="f8", chunks=(1, 2**20))),
    "many_claims": lambda path: hdf5(
        path, lambda file: [layer(file, f"l{i}", shape=(2**18,), dtype="f4", chunks=(2**10,)) for i in range(200)]
    ),
    "strings": lambda path: hdf5(path, lambda file: layer(file, data="text")),
    "no_values": lambda path: hdf5(path, lambda file: layer(file, data=h5py.Empty("f4"))),
    "other_file": lambda path: hdf5(path, external),
    "endless_link": lambda path: hdf5(path, soft),
    "outside": lambda path: hdf5(path, lambda file: layer(file, shape=(4,), dtype="f4", external="/etc/hostname")),
    "legacy_without_weights": lambda path: hdf5(path, legacy_without_weights),
    "legacy_of_a_missing_layer": lambda path: hdf5(path, lambda file: file.attrs.update(layer_names=[b"gone"])),
    "legacy_of_numbers": lambda path: hdf5(path, lambda file: file.attrs.update(layer_names=3)),
}


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_sound_file_is_refused_by_every_reader_in_little_memory(tmp_path, kind, suffix):
    path = tmp_path / f"weights{suffix}"
    BROKEN[kind](path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (
        weight_files.read,
        functools.partial(weights.fill, small()),
        functools.partial(weight_files.load, small()),
    ):
        with pytest.raises(
            ValueError, match=r"must be a file of Keras's\. Received: weights=.*weights.*\. Save one with"
        ) as caught:
            read(path)
        assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB


@pytest.mark.parametrize("reader", ["read", "fill", "load"])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), "a folder"),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
        (lambda path: path.symlink_to(path), "no such file"),
        (lambda path: None, "no such file"),
    ],
)
def test_what_is_no_file_is_named_and_never_waited_for(tmp_path, make, message, reader):
    make(tmp_path / "x.h5")
    read = {"read": weight_files.read, "fill": functools.partial(weights.fill, small())}
    read["load"] = functools.partial(weight_files.load, small())
    with pytest.raises(FileNotFoundError, match=rf"`weights` must be a file\. Received: weights=.*x\.h5 \[{message}\]"):
        read[reader](tmp_path / "x.h5")


@pytest.mark.parametrize("given_weights", [5, 1.5, b"x", ["a"], object()])
def test_what_is_no_path_is_refused(given_weights):
    with pytest.raises(ValueError, match='`weights` must be None, "imagenet" or a path'):
        weights.fill(small(), given_weights)


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b"])
def test_a_path_that_no_file_can_have_is_refused(path):
    with pytest.raises(FileNotFoundError, match="`weights` must be a file"):
        weight_files.read(path)


def test_a_file_is_known_by_its_content_not_by_its_suffix(saved, tmp_path):
    renamed = saved[".keras"].rename(tmp_path / "renamed.h5")
    for path in (renamed, saved[".weights.h5"], saved[".h5"]):
        assert weight_files.read(path).keys() >= {"first", "second"}


def test_a_compressed_archive_of_true_weights_is_read(saved, tmp_path):
    archive(
        tmp_path / "small.keras",
        ("model.weights.h5", saved[".weights.h5"].read_bytes()),
        compression=zipfile.ZIP_DEFLATED,
    )
    assert weight_files.read(tmp_path / "small.keras").keys() == {"first", "second"}


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = small()
    model.get_layer("second").bias.assign([0, np.nan, 0, 0])
    model.save_weights(tmp_path / "diverged.weights.h5")
    for load in (weights.fill, weight_files.load):
        with pytest.raises(ValueError, match=r"Weights must be finite\. .* whose 'second' holds NaN"):
            load(small(), tmp_path / "diverged.weights.h5")


def test_the_weights_of_another_network_are_refused_by_load(saved):
    image = keras.Input((None, None, 3))
    other = keras.Model(image, keras.layers.Conv2D(7, 5, name="other")(image), name="other_network")
    with pytest.raises(ValueError, match=r"must be those of other_network, built in the same way"):
        weight_files.load(other, saved[".weights.h5"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, derandomize=True)
@given(data=st.data(), suffix=st.sampled_from([".weights.h5", ".h5", ".keras"]))
def test_cut_and_damaged_files_are_refused_or_read(saved, tmp_path, data, suffix):
    content = bytearray(saved[suffix].read_bytes())
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    try:
        found = weight_files.read(path)
    except ValueError as error:
        assert "`weights` must be a file of Keras's" in str(error)
        return
    assert sum(array.nbytes for arrays in found.values() for array in arrays) <= 20 * len(content)


@pytest.mark.parametrize("network", [kseg.UNet, kseg.FCN8s, kseg.DeepLabV3, kseg.PSPNet])
def test_networks_and_encoders_hand_their_weights_to_the_same_checks(tmp_path, network, symbolic):
    os.mkfifo(tmp_path / "pipe.h5")
    options = {
        kseg.UNet: {"encoder": "vgg16"},
        kseg.DeepLabV3: {"encoder": "resnet50"},
        kseg.PSPNet: {"encoder": "resnet50"},
    }
    with pytest.raises(FileNotFoundError, match="not a regular file"):
        network(3, weights=tmp_path / "pipe.h5", **options.get(network, {}))


def test_backbones_of_keras_cv_hand_their_weights_to_the_same_checks(tmp_path):
    pytest.importorskip("keras_cv")
    from kseg.encoders import keras_cv

    os.mkfifo(tmp_path / "pipe.weights.h5")
    (tmp_path / "text.weights.h5").write_text("no weights")
    image = keras.Input((None, None, 3))
    with pytest.raises(FileNotFoundError, match="not a regular file"):
        keras_cv.encoder("resnet18_v2", image, weights=tmp_path / "pipe.weights.h5")
    with pytest.raises(ValueError, match="must be a file of Keras's"):
        keras_cv.encoder("resnet18_v2", image, weights=tmp_path / "text.weights.h5")


def test_a_state_dict_is_no_pipe_and_claims_no_memory(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(ValueError, match="not a regular file"):
        read_state_dict(tmp_path / "pipe.pth")
    (tmp_path / "memo.pth").write_bytes(b"\x80\x02]r" + struct.pack("<I", 2**31) + b".")
    with pytest.raises(ValueError, match="a memo of 2147483648 entries"):
        read_state_dict(tmp_path / "memo.pth")
