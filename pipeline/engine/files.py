"""Files that appear whole or not at all, JSON, and places checked before any work. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import tempfile
import uuid

_REQUIRED = object()


@contextlib.contextmanager
def atomic(path: pathlib.Path):
    """Replaces `path` by one rename when the block ends; leaves it as it was when the block fails.

    Args:
        path: file to write; its folder is made when missing.

    Yields:
        A path in the same folder to write to, different in each call.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{uuid.uuid4().hex}")  # not the name with a suffix: that could be too long
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_bytes(path: pathlib.Path, data: bytes):
    """Writes a file atomically."""
    with atomic(path) as unfinished:
        unfinished.write_bytes(data)


def write_text(path: pathlib.Path, text: str):
    """Writes a file of UTF-8 atomically."""
    write_bytes(path, text.encode())


def write_json(path: pathlib.Path, value, *, allow_nan: bool = True):
    """Writes a JSON file atomically, indented and in UTF-8.

    Raises:
        ValueError: a number is not finite and `allow_nan` is false.
    """
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=allow_nan))


def read_json(path: pathlib.Path, default=_REQUIRED):
    """The value in a JSON file.

    Args:
        path: file of UTF-8.
        default: returned where there is no such file.

    Raises:
        FileNotFoundError: there is no such file and no default.
        ValueError: the file is not JSON, or not UTF-8.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if default is _REQUIRED:
            raise
        return default


def check_output_folder(place: str | os.PathLike, flag: str):
    """Refuses a folder in which nothing can be written, before any work.

    Args:
        place: the folder; made later where it is missing.
        flag: that names it, for the message.

    Raises:
        ValueError: a file lies there or above, or the nearest folder that exists cannot be written to.
    """
    path = pathlib.Path(place)
    _check_nearest_folder(path, f"`{flag}` must be a folder that can be written. Received: {flag} {place}")


def check_output_file(place: str | os.PathLike, flag: str):
    """Refuses a file that cannot be written, before any work.

    Args:
        place: the file; its folder is made later where it is missing.
        flag: that names it, for the message.

    Raises:
        ValueError: a folder lies there, or the nearest folder that exists cannot be written to.
    """
    path = pathlib.Path(place)
    message = f"`{flag}` must be a file that can be written. Received: {flag} {place}"
    if path.is_dir():
        raise ValueError(f"{message} [it is a folder]. Name a file in it.")
    _check_nearest_folder(path.parent, message)


def _check_nearest_folder(path: pathlib.Path, message: str):
    """Makes a file without a name in the nearest folder that exists, since permissions alone do not tell what a disk allows."""
    nearest = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
    if not nearest.is_dir():
        raise ValueError(f"{message} [{nearest} is not a folder]. Choose another place.")
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise ValueError(
            f"{message} [{error.strerror}: {nearest}]. Choose another place, or ask its owner for access."
        ) from None
