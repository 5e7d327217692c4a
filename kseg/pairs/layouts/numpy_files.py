"""Arrays of numpy that hold many pictures: one .npz, one .npz a pair, or images.npy and masks.npy.

    data.npz with images (N, H, W, C) and masks (N, H, W)             also x_train and y_train, arr_0 and arr_1, and so on
    train/case1.npz with image (H, W, C) and label (H, W)
    images.npy (N, H, W, C) + masks.npy (N, H, W)                     also as .npz of one array each, or a pair a split:
    X_train.npy + y_train.npy, val/images.npy + val/masks.npy

Folders of one .npy a picture are read like those of other pictures. One picture is read at a time.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import pathlib
import zipfile

import numpy as np

from kseg.pairs.decoding import MAX_PIXELS
from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import check_file, may_list
from kseg.pairs.layouts.class_files import find_classes
from kseg.pairs.layouts.label_tools import split_and_key
from kseg.pairs.layouts.matching import subfolders, walk
from kseg.pairs.layouts.recognised import Recognised
from kseg.pairs.layouts.words import role_of
from kseg.pairs.listing import IMAGE_SUFFIXES, Listing, Pair
from kseg.pairs.other_formats import ARRAY_ERRORS, encode_array
from kseg.pairs.split_names import split_in_name, split_of_name

SHORT = {"x": "image", "y": "mask"}


@dataclasses.dataclass(frozen=True)
class ArraySlice:
    """One picture of an array, or a whole array; see `kseg.pairs.sides.Side`.

    Args:
        path: a .npy, or a .npz.
        member: name of the array in a .npz, "" in a .npy.
        index: along the first axis; None: the array is the picture.
        is_mask: whether it holds classes.
    """

    path: pathlib.Path
    member: str = ""
    index: int | None = None
    is_mask: bool = False

    own_file = None

    @property
    def kind(self) -> str:
        return self.path.suffix.lower().removeprefix(".")

    @property
    def name(self) -> str:
        place = printable(self.path) + (f", {printable(self.member)}" if self.member else "")
        return place if self.index is None else f"{place}[{self.index}]"

    @property
    def files(self) -> tuple[pathlib.Path, ...]:
        return (self.path,)

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        return encode_array(self._load(), self.name, max_pixels, is_mask=self.is_mask)

    def has_colour(self) -> bool:
        shape = array_shapes(self.path)[self.member]
        return len(shape) - (self.index is not None) == 3 and 3 in (shape[-1], shape[-3])

    def _load(self) -> np.ndarray:
        try:
            if not self.member:
                array = np.lib.format.open_memmap(self.path, mode="r")
                return array if self.index is None else array[self.index]
            return _read_member(self.path, self.member, self.index)
        except ARRAY_ERRORS as error:
            raise PairError(
                "damaged_file", f"A file must hold arrays of numpy's. Received: {error}", self.name, "Save it again."
            ) from error


def _read_member(path, member, index) -> np.ndarray:
    """An array of a .npz, or one entry along its first axis, without the rest."""
    stream, start, shape, fortran, dtype = _open_member(path, os.stat(path).st_mtime_ns, member)
    if fortran and index is not None:
        raise ValueError(f"{member} is stored in Fortran order; save numpy.ascontiguousarray of it")
    picture = shape if index is None else shape[1:]
    count = int(np.prod(picture)) * dtype.itemsize
    stream.seek(start + (index or 0) * count)
    data = stream.read(count)
    return np.frombuffer(data, dtype).reshape(picture, order="F" if fortran else "C")


@functools.lru_cache(maxsize=4)
def _open_member(path, changed, member):
    """An open array of a .npz, which goes on where the last picture ended, since a compressed one cannot jump back."""
    stream = zipfile.ZipFile(path).open(f"{member}.npy")  # noqa: SIM115 (stays open for the next picture)
    shape, fortran, dtype = _header(stream)
    return stream, stream.tell(), shape, fortran, dtype


def _header(stream):
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if any(side < 0 for side in shape):
        raise ValueError(f"a shape of {shape}")
    if dtype.hasobject:
        raise ValueError("pickled objects are not read")
    return shape, fortran, dtype


@functools.lru_cache(maxsize=64)
def _shapes(path, changed) -> dict[str, tuple[int, ...]]:
    try:
        if path.suffix.lower() == ".npy":
            return {"": np.lib.format.open_memmap(path, mode="r").shape}
        found = {}
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                with archive.open(entry) as stream:
                    shape, _, dtype = _header(stream)
                    if math.prod(shape) * dtype.itemsize + stream.tell() > entry.file_size:
                        raise ValueError(f"{entry.filename} has fewer numbers than its shape {shape} says")
                    found[entry.filename.removesuffix(".npy")] = shape
        return found
    except ARRAY_ERRORS as error:
        raise PairError(
            "damaged_file", f"A file must hold arrays of numpy's. Received: {error}", printable(path), "Save it again."
        ) from error


def array_shapes(path: pathlib.Path) -> dict[str, tuple[int, ...]]:
    """The shape of each array of a file by its name, "" in a .npy; only headers are read.

    Raises:
        PairError: the file holds no arrays, or must not be opened.
    """
    check_file(path)
    return _shapes(path, os.stat(path).st_mtime_ns)


def recognise(root: pathlib.Path) -> Recognised | None:
    """A .npz of many pictures, or a folder of one .npz a pair, or one of images.npy and masks.npy.

    Raises:
        PairError: a file holds no arrays, or their lengths differ.
    """
    if root.is_file():
        return _of_one_file(root) if root.suffix.lower() == ".npz" else None
    for suffix in (".npy", ".npz"):
        if places := _arrays_by_role(root, suffix):
            names = [path.name for path, _ in places.values()]
            return _stacked(f"{', '.join(names[:-1])} and {names[-1]}", root, places)
    folders = (root, *subfolders(root).values())
    if not any(path.suffix.lower() == ".npz" for folder in folders for path in folder.iterdir()):
        return None
    every = walk(root)
    if any(path.suffix.lower() in IMAGE_SUFFIXES for path in every):
        return None
    paths = [path for path in every if path.suffix.lower() == ".npz"]
    if len(paths) == 1 and any(len(shape) > 3 for shape in array_shapes(paths[0]).values()):
        return _of_one_file(paths[0])
    roles = _roles(paths[0])
    if set(roles) != {("image", ""), ("mask", "")} or len(array_shapes(paths[0])[roles["mask", ""]]) != 2:
        return None
    pairs = []
    for path in paths:
        split, key = split_and_key(root, path)
        names = _roles(path)
        sides = [ArraySlice(path, names.get((role, ""), role)) for role in ("image", "mask")]
        pairs.append(Pair(key, split, *sides))
    return Recognised("one .npz a pair", Listing(pairs, []), root, find_classes(root))


def _arrays_by_role(root, suffix) -> dict[tuple[str, str], tuple[pathlib.Path, str]]:
    """The files of one array each, in a folder or its folders of splits, by role and split, where the names tell both.

    Nothing where a role is missing, comes twice for a split, or where the arrays hold one picture each.
    """
    found = {}
    folders = {"": root} | {split: path for path in subfolders(root).values() if (split := split_of_name(path.name))}
    for of_folder, folder in folders.items():
        for path in sorted(folder.iterdir()) if may_list(folder) else ():
            if path.suffix.lower() != suffix or path.name.startswith("."):
                continue
            split, rest = (split_in_name(path.stem) or ("", path.stem)) if not of_folder else (of_folder, path.stem)
            role = SHORT.get(rest.lower()) or role_of(rest)
            if not role or (role, split) in found or len(array_shapes(path)) != 1:
                return {}
            (member, shape), *_ = array_shapes(path).items()
            if len(shape) < 3 or (role == "mask" and len(shape) == shape[-1] == 3):
                return {}
            found[role, split] = (path, member)
    splits = {split for _, split in found}
    return found if {("image", split) for split in splits} | {("mask", split) for split in splits} == set(found) else {}


def _of_one_file(path) -> Recognised | None:
    places = {role: (path, member) for role, member in _roles(path).items()}
    if not places:
        found = ", ".join(f"{name} {shape}" for name, shape in array_shapes(path).items()) or "no arrays"
        raise PairError(
            "unknown_arrays",
            f"A .npz must hold arrays called images and masks, x and y, or two whose shapes tell them apart. Received: {found}",
            printable(path),
            "Save them under these names.",
        )
    named = ", ".join(f"{member} as {role}s" for (role, _), (_, member) in places.items())
    return _stacked(f"one .npz, {named}", path, places)


def _stacked(name, root, places) -> Recognised:
    pairs = []
    for split in sorted({split for _, split in places}):
        sides = [places.get((role, split)) for role in ("image", "mask")]
        if None in sides:
            continue
        shapes = [array_shapes(path)[member] for path, member in sides]
        if any(len(shape) < 3 for shape in shapes):
            raise PairError(
                "unsupported_array",
                f"Arrays must have the shapes (N, H, W, C) and (N, H, W). Received: {shapes[0]} and {shapes[1]}",
                ", ".join(printable(path) for path, _ in sides),
                "Save them with the pictures along the first axis.",
            )
        lengths = [shape[0] for shape in shapes]
        if lengths[0] != lengths[1]:
            raise PairError(
                "page_mismatch",
                f"Arrays of images and masks must have one length. Received: {lengths[0]} and {lengths[1]}",
                ", ".join(printable(path) for path, _ in sides),
                "Save both again from the same pairs.",
            )
        width = len(str(lengths[0] - 1))
        for index in range(lengths[0]):
            key = f"{sides[0][1] or sides[0][0].stem}/{index:0{width}}"
            pairs.append(Pair(key, split, *(ArraySlice(path, member, index) for path, member in sides)))
    return Recognised(name, Listing(pairs, []), root, find_classes(root if root.is_dir() else root.parent))


def _roles(path) -> dict[tuple[str, str], str]:
    """The arrays of a .npz by their role and split, by their names or else by their shapes; none where a role is not clear."""
    return _roles_by_name(path) or _roles_by_shape(path)


def _roles_by_shape(path) -> dict[tuple[str, str], str]:
    """Of two arrays the one with three channels as images, where the other has the same shape without these."""
    if len(array_shapes(path)) != 2:
        return {}
    (mask, small), (image, large) = sorted(array_shapes(path).items(), key=lambda item: (math.prod(item[1]), item[0]))
    fits = len(large) >= 3 and large[-1] == 3 and small in (large[:-1], (*large[:-1], 1))
    return {("image", ""): image, ("mask", ""): mask} if fits else {}


def _roles_by_name(path) -> dict[tuple[str, str], str]:
    found = {}
    for member in array_shapes(path):
        split, rest = split_in_name(member) or ("", member)
        role = SHORT.get(rest.lower()) or role_of(rest)
        if role:
            if (role, split) in found:
                return {}
            found[role, split] = member
    return found if any(role == "mask" for role, _ in found) and any(role == "image" for role, _ in found) else {}
