"""Files of weights as Keras writes them, read by layer name. Keras, and h5py when a file is read.

Whatever a file says about itself is checked before memory is taken for it: it may hold at most `MAX_RATIO` times its own size and
`MAX_BYTES`, and not refer to other files. So a damaged or hostile file costs little more than a sound one.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib

import keras
import numpy as np

from kseg._extras import extra

MAX_BYTES = 2**31
"""Of all weights in a file; the largest encoder here has a tenth of it."""
MAX_RATIO = 20
"""Of the bytes inside to those of the file: Keras compresses nothing, and trained weights hardly shrink."""
ZIP, MEMBER = b"PK\x03\x04", "model.weights.h5"
_DAMAGED = (
    OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, EOFError, MemoryError, RecursionError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What h5py and zipfile may raise about damaged bytes."""


def read(path) -> dict[str, list[np.ndarray]]:
    """The weights in a file by layer name, in Keras's order: kernel and bias; gamma, beta, moving mean and variance.

    Args:
        path: `.weights.h5`, `.keras`, or `.h5` as Keras 2 wrote them and keras.applications offers them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: Keras did not write it, it is damaged, or what it says about its weights cannot be true.
    """
    check_is_file(path)
    with extra("encoders"):
        import h5py
    try:
        source, size = _open(path)
        with h5py.File(source) as file:
            named = _legacy(file) or _current(file)
            if not named:
                raise ValueError("no layer in it has weights")
            _check_sizes(named, size)
            return {name: [np.array(dataset) for dataset in datasets] for name, datasets in named.items()}
    except _DAMAGED as error:
        raise ValueError(
            f"`weights` must be a file of Keras's. Received: weights={path} [{_reason(error)}]. Save one with "
            "`model.save_weights`, or copy it again if it was cut off on the way."
        ) from error


def load(model: keras.Model, path) -> None:
    """Loads a whole model's weights as `model.load_weights` does, after the checks of `read`.

    Args:
        model: of the same layers as the one whose weights were saved.
        path: as in `read`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: as in `read`; or the file is of another network.
    """
    for name, values in read(path).items():
        check_finite(values, f"weights={path}", name)
    try:
        model.load_weights(path)
    except _DAMAGED as error:
        raise ValueError(
            f"`weights` must be those of {model.name}, built in the same way. Received: weights={path} [{_reason(error)}]. "
            "Save them with `save_weights` of that network."
        ) from error


def check_finite(values: list[np.ndarray], origin: str, layer: str) -> None:
    """Refuses weights of a layer that are NaN or infinite.

    Args:
        values: of the layer.
        origin: where they are from, for the message.
        layer: its name.

    Raises:
        ValueError: one is.
    """
    if not all(np.isfinite(value).all() for value in values):
        raise ValueError(
            f"Weights must be finite. Received: {origin}, whose {layer!r} holds NaN or infinity. "
            "Save them before training diverged."
        )


def check_is_file(path) -> None:
    """Refuses what is no regular file: a folder, a pipe or a device, whose reading may never end.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: `path` is no path.
    """
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f'`weights` must be None, "imagenet" or a path. Received: weights={path!r:.80}.')
    if not os.path.isfile(path):
        kind = "a folder" if os.path.isdir(path) else "not a regular file" if os.path.exists(path) else "no such file"
        raise FileNotFoundError(
            f"`weights` must be a file. Received: weights={path} [{kind}]. Save a network's with `model.save_weights`, give "
            'weights="imagenet" to download them, or fetch a "notop" file from the page of keras.applications.'
        )


def _reason(error: BaseException) -> str:
    """A library's message on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."


def _open(path) -> tuple:
    """What h5py opens, the path or the weights inside a `.keras` archive in memory, and its size in bytes."""
    with open(path, "rb") as file:
        if file.read(len(ZIP)) != ZIP:
            return path, os.path.getsize(path)
    with zipfile.ZipFile(path) as archive:
        if MEMBER not in archive.namelist():
            raise ValueError(f"an archive without {MEMBER}")
        declared = archive.getinfo(MEMBER).file_size
        _check_bytes(declared, os.path.getsize(path), "an archive")
        return io.BytesIO(archive.read(MEMBER)), declared


def _check_bytes(declared: int, size: int, what: str) -> None:
    """Refuses contents much larger than the file that is said to hold them."""
    limit = min(MAX_RATIO * size, MAX_BYTES)
    if declared > limit:
        raise ValueError(f"{what} of {size:,} bytes that claims to hold {declared:,}, of at most {limit:,}")


def _check_sizes(named, size: int) -> None:
    """Refuses datasets (by layer) that are no numbers, lie in other files, or are together much larger than their file."""
    for name, datasets in named.items():
        for dataset in datasets:
            if dataset.dtype.kind not in "fiub" or dataset.shape is None:
                raise ValueError(f"{name!r} holds {dataset.dtype} instead of numbers")
            if dataset.is_virtual or dataset.external:
                raise ValueError(f"{name!r} refers to another file")
    _check_bytes(sum(dataset.nbytes for datasets in named.values() for dataset in datasets), size, "a file")


def _legacy(file) -> dict:
    """Keras 2: the datasets of one group per layer, with the order of its weights in an attribute."""
    group = _member(file, "model_weights") if "model_weights" in file else file
    layers = {name: _member(group, name) for name in map(_text, group.attrs.get("layer_names", []))}
    return {name: [_member(layer, _text(key)) for key in layer.attrs["weight_names"]] for name, layer in layers.items()}


def _current(file) -> dict:
    """Keras 3: the datasets of groups `vars` that hold 0, 1, ... and the layer's name."""
    named = {}

    def visit(path, group):
        if path.rpartition("/")[2] == "vars" and "name" in group.attrs and len(group):
            named[_text(group.attrs["name"])] = [_member(group, str(index)) for index in range(len(group))]

    file.visititems(visit)
    return named


def _member(group, path: str):
    """A member of a group by its path; soft and external links, which may lead out of the file, are not followed.

    Raises:
        ValueError: there is none.
    """
    import h5py

    for name in filter(None, path.split("/")):
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{path!r} is missing, or a reference to another place")
        group = group[name]
    return group


def _text(name) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
