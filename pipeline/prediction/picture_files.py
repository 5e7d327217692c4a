"""Finds the pictures that a command labels, and names the files written for each.

Patterns, folders and files may be mixed. Outputs keep the folders of the pictures below the common folder of the patterns, so
that pictures of the same name do not collide. What an earlier run wrote into the output folder is left out. Refused: inputs
without pictures, two pictures with the same output, and other pictures inside the output folder. Standard library only.
"""

from __future__ import annotations

import dataclasses
import functools
import glob
import json
import os
import pathlib

from pipeline.engine.contents import file_digest
from pipeline.engine.files import read_json, write_json
from pipeline.prediction.picture_records import FOLDER, file_stem

SUFFIXES = (".jpg", ".jpeg", ".png")
OTHER_SUFFIXES = (".tif", ".tiff", ".npy")
"""Suffixes that are taken from a folder, the others where it has none of SUFFIXES; files that a pattern or a path names may have
any."""

RESULT_FOLDERS = ("label_maps", "overlays", "sheets")
"""Folders in the output that hold pictures."""

OPTIONS = "settings.json"
"""File in the output folder that holds the options and the models of its label maps."""


@dataclasses.dataclass(frozen=True)
class PictureFile:
    """A picture on disk.

    Attributes:
        source: its path.
        key: its path below the common folder, by which outputs are named: without the suffix, unless whole names were asked for.
    """

    source: pathlib.Path
    key: pathlib.PurePath


def picture_files(inputs: list[str], output: pathlib.Path, whole_names: bool = False) -> list[PictureFile]:
    """The pictures that patterns, folders and paths name, sorted by key.

    Args:
        inputs: patterns such as "photos/**/*.jpg", folders, whose JPEG and PNG files are taken, or where there are
            none the TIFF and .npy files, or files.
        output: folder to write below.
        whole_names: whether keys end in the suffix, so that a.jpg and a.png may lie side by side.

    Raises:
        ValueError: an input matches no file, two files have the same key, or a file lies in `output`.
    """
    found, bases, output = {}, [], pathlib.Path(_without_parents(output))
    for text in inputs:
        base, files = _match(text)
        files = [file for file in files if not _is_result(file, output)]
        _check_found(files, "--input", text)
        bases.append(base)
        found |= dict.fromkeys(files)
    common = pathlib.Path(os.path.commonpath([base.absolute() for base in bases]))
    keys = (file.absolute().relative_to(common) for file in found)
    pictures = [
        PictureFile(file, key if whole_names else key.with_suffix("")) for file, key in zip(found, keys, strict=True)
    ]
    _check(pictures, output)
    return sorted(pictures, key=lambda picture: picture.key)


def without_copies(pictures: list[PictureFile], inputs: list[str], flag: str) -> list[PictureFile]:
    """The pictures whose bytes are those of no other file.

    Args:
        pictures: to choose from.
        inputs: patterns, folders or files, as in `picture_files`, of the other files.
        flag: that gave `inputs`, for the message.

    Raises:
        ValueError: an input matches no file.
    """
    by_size = {}
    for text in inputs:
        _, files = _match(text)
        _check_found(files, flag, text)
        for file in files:
            if file.is_file():
                by_size.setdefault(file.stat().st_size, []).append(file)

    @functools.cache
    def digests(size):
        return {file_digest(file) for file in by_size[size]}

    def is_copy(source):
        try:
            size = source.stat().st_size if source.is_file() else None
            return size in by_size and file_digest(source) in digests(size)
        except PermissionError:  # it will be listed as unreadable
            return False

    return [picture for picture in pictures if not is_copy(picture.source)]


def _check_found(files: list[pathlib.Path], flag: str, text: str):
    if not files:
        raise ValueError(
            f"`{flag}` must match at least one picture. Received: {flag} {text} [in {pathlib.Path.cwd()}]. "
            "Check the path; quote patterns, so that the shell leaves `**` alone."
        )


def claim(output: pathlib.Path, options: dict):
    """Records the options in the output folder, unless it holds results of others.

    Args:
        output: folder to write below.
        options: JSON values that all results in a folder have in common.

    Raises:
        ValueError: it does.
    """
    file = output / OPTIONS
    if before := read_json(file, None):
        options = json.loads(json.dumps(options))  # tuples become lists, as they did before
        differing = [name for name in sorted({*before, *options}) if before.get(name) != options.get(name)]
        if differing:
            raise ValueError(
                "`--output` must not hold results of another model or of other options. "
                f"Received: {file}, which differs in {', '.join(differing)}. Choose another folder, or remove that one."
            )
    write_json(file, options)


def _match(text: str) -> tuple[pathlib.Path, list[pathlib.Path]]:
    """The folder above the first wildcard of a pattern, and the files that it matches."""
    text = _without_parents(text)
    path = pathlib.Path(text)
    if path.exists() and not path.is_dir():  # a pipe or device, too, which is listed as unreadable
        return path.parent, [path]
    if path.is_dir():
        files = (pathlib.Path(folder, name) for folder, _, names in os.walk(path) for name in names)
        files = [file for file in files if file.suffix.lower() in (*SUFFIXES, *OTHER_SUFFIXES)]
        return path, [file for file in files if file.suffix.lower() in SUFFIXES] or files
    fixed = [
        part for part in path.parts[: next(i for i, part in enumerate((*path.parts, "*")) if glob.has_magic(part))]
    ]
    files = [pathlib.Path(name) for name in glob.glob(text, recursive=True)]
    return pathlib.Path(*fixed), [file for file in files if file.exists() and not file.is_dir()]


def _without_parents(place: str | os.PathLike) -> str:
    """The same place without `..`, since keys are parts of paths and folders are compared by their names."""
    parts = pathlib.Path(place).parts
    if ".." not in parts:
        return os.fspath(place)
    behind = len(parts) - parts[::-1].index("..")
    return os.path.join(os.path.realpath(os.path.join(*parts[:behind])), *parts[behind:])


def _is_result(file, output) -> bool:
    """Whether an earlier run wrote the file, into `output` or another folder."""
    folders = (folder for folder in file.absolute().parents if folder.name in RESULT_FOLDERS)
    return any(folder.parent == output.absolute() or _is_output(folder.parent) for folder in folders)


@functools.lru_cache(maxsize=1024)
def _is_output(folder) -> bool:
    return (folder / OPTIONS).is_file() and (folder / FOLDER).is_dir()


def _check(pictures, output):
    seen = {}
    for picture in pictures:
        other = seen.setdefault(file_stem(picture.key), picture.source)
        if other != picture.source:
            raise ValueError(
                "Two pictures must not have the same output. "
                f"Received: {other} and {picture.source}, both for {picture.key}. Use two output folders."
            )
    inside = [picture.source for picture in pictures if output.absolute() in picture.source.absolute().parents]
    if inside:
        raise ValueError(
            "`--output` must not contain the pictures, or outputs would be labelled too. "
            f"Received: --output {output}, which contains {inside[0]}. Choose another folder."
        )
