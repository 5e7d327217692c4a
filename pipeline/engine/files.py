"""Files that appear whole or not at all, JSON, CSV, and places checked before any work. Standard library only."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import pathlib
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable

from pipeline.engine.urls import refuse_url

MAX_NAME = 255
"""Bytes of a file name that file systems take."""

_REQUIRED = object()
_SCRATCH, _IN_USE = ".unfinished-", "in_use"


@contextlib.contextmanager
def atomic(path: pathlib.Path):
    """Replaces `path` by one rename when the block ends; leaves it as it was when the block fails.

    Args:
        path: file to write; its folder is made when missing.

    Yields:
        A path to write to, different in each call: in the same folder, or in that of `unfinished_in`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = getattr(_thread, "unfinished", None) or path.parent
    unfinished = folder / f".{uuid.uuid4().hex}"  # not the name with a suffix: that could be too long
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


_thread = threading.local()


@contextlib.contextmanager
def unfinished_in(folder: pathlib.Path):
    """During the block this thread's unfinished files lie in a folder that somebody removes, also after this process is killed.

    Args:
        folder: on the disk of the files that are written.
    """
    before = getattr(_thread, "unfinished", None)
    _thread.unfinished = folder
    try:
        yield
    finally:
        _thread.unfinished = before


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


FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a cell begins that a spreadsheet runs as a formula (OWASP, CSV injection)."""


def csv_cell(value):
    """A value as a cell of CSV that no spreadsheet runs as a formula.

    Text that begins with one of `FORMULA_STARTS` or with an apostrophe gets an apostrophe in front, so whoever removes the first
    apostrophe of a cell has the text again.

    Example:
        >>> [csv_cell(value) for value in ("a.png", "=1+1", "'a", -1)]
        ['a.png', "'=1+1", "''a", -1]
    """
    return f"'{value}" if isinstance(value, str) and value.startswith((*FORMULA_STARTS, "'")) else value


def csv_writer(stream):
    """A function that writes a row of `csv_cell`s to a text stream; text is quoted, or a semicolon would split it in some."""
    writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC)

    def write(row):
        writer.writerow([csv_cell(value) for value in row])

    return write


def write_csv(path: pathlib.Path, rows):
    """Writes a CSV file atomically, in UTF-8, with cells that no spreadsheet runs as formulas.

    Args:
        path: of the file.
        rows: iterable of lists of text and numbers.
    """
    stream = io.StringIO()
    write = csv_writer(stream)
    for row in rows:
        write(row)
    write_text(path, stream.getvalue())


@contextlib.contextmanager
def scratch_folder(parent: pathlib.Path):
    """A hidden folder in `parent` for unfinished files, removed when the block ends; what killed processes left goes first.

    Args:
        parent: an existing folder, which several processes may share.

    Yields:
        The folder, of this process alone.
    """
    for left in parent.glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError), open(left / _IN_USE) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # fails while its process lives
            shutil.rmtree(left, ignore_errors=True)
    folder = parent / f".{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    with open(folder / _IN_USE, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        folder = folder.rename(parent / f"{_SCRATCH}{uuid.uuid4().hex}")  # locked before anybody looks for it
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


REMOVE = "Remove it, or bring it back from a copy, then give the same command again."


def read_json(path: pathlib.Path, default=_REQUIRED, *, keys: tuple[str, ...] = (), cure: str = REMOVE):
    """The table in a JSON file; what the pipeline writes is a table everywhere.

    Args:
        path: file of UTF-8.
        default: returned where there is no such file.
        keys: that the table must have.
        cure: what the user can do where the file is cut off or something else.

    Raises:
        FileNotFoundError: there is no such file and no default.
        ValueError: it is no regular file, cut off, not JSON or not UTF-8, or it is no table with these keys.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):  # reading a pipe would wait for its writer
        raise ValueError(
            f"A file of JSON must be a regular file. Received: a pipe, socket or device [{path}]. Remove it."
        )
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if default is _REQUIRED:
            raise
        return default
    except (ValueError, RecursionError) as error:
        raise ValueError(f"A file of JSON must be whole. Received: {error} [{path}]. {cure}") from None
    missing = [key for key in keys if key not in value] if isinstance(value, dict) else ["table"]
    if missing:
        raise ValueError(f"A file of JSON must hold a table. Received: no {', '.join(missing)} in it [{path}]. {cure}")
    return value


def check_output_folder(place: str | os.PathLike, flag: str):
    """Refuses a folder in which nothing can be written, before any work.

    Args:
        place: the folder; made later where it is missing.
        flag: that names it, for the message.

    Raises:
        ValueError: a file lies there or above, or the nearest folder that exists cannot be written to.
    """
    refuse_url(place, flag, "Choose a folder on this disk.")
    path = pathlib.Path(place)
    message = f"`{flag}` must be a folder that can be written. Received: {flag} {place}"
    _check_names(path, message)
    _check_nearest_folder(path, message)


def check_output_file(place: str | os.PathLike, flag: str, is_result: Callable[[pathlib.Path], bool]):
    """Refuses a file that cannot be written or must not be replaced, before any work.

    Args:
        place: the file; its folder is made later where it is missing.
        flag: that names it, for the message.
        is_result: whether a file that is there may be replaced, as an earlier result of the command; an empty one always may.

    Raises:
        ValueError: something else lies there, or the nearest folder that exists cannot be written to.
    """
    refuse_url(place, flag, "Choose a file on this disk.")
    path = pathlib.Path(place)
    message = f"`{flag}` must be a file that can be written. Received: {flag} {place}"
    _check_names(path, message)
    if path.is_dir() or os.fspath(place).endswith("/"):
        raise ValueError(f"{message} [it is a folder]. Name a file in it.")
    if path.exists() and not path.is_file():  # a rename would replace the device itself
        raise ValueError(f"{message} [it is a pipe, socket or device]. Name a file.")
    if path.exists() and path.stat().st_size and not is_result(path):  # a mistyped name may be that of a photograph
        raise ValueError(
            f"`{flag}` must be a new file or a result of this command, which is replaced. "
            f"Received: {flag} {place}, which holds something else. Choose another name, or remove it."
        )
    _check_nearest_folder(path.parent, message)


def _check_names(path: pathlib.Path, message: str):
    """Refuses names that no file can have."""
    if any(len(os.fsencode(part)) > MAX_NAME for part in path.parts):
        raise ValueError(f"{message} [a name of more than {MAX_NAME} bytes]. Choose a shorter one.")


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
