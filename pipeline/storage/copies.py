"""Where the local copies of places in object stores lie, and what is known of their files. Standard library only.

A copy lies below the root of a store of results, at `.objects/<16 digits of the URL's SHA-256>/`: `files/` equals what is in the
object store, `record.json` says the URL, and of each file the size and the tag that the object store gave, its SHA-256, and the
time at which it was written here.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pathlib
import re

from pipeline.engine.files import read_json, write_json

FOLDER = ".objects"
FILES, RECORD, LOCK, PARTIAL = "files", "record.json", "lock", "partial"
_INSIDE = re.compile(rf"(.*?/{re.escape(FOLDER)}/[0-9a-f]{{16}})/{FILES}(?=/|$)", re.DOTALL)


def copy_of(url: str, root: str | os.PathLike) -> pathlib.Path:
    """The folder that equals what lies below a URL, whether it is there yet or not.

    Args:
        url: as `check_url` leaves it.
        root: of the store of results.
    """
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    return pathlib.Path(os.path.abspath(root), FOLDER, digest, FILES)


def possible_copies(url: str, root: str | os.PathLike) -> dict[str, pathlib.Path]:
    """By URL, the copies that data may be read from: of the URL itself, and of the folder that holds a single object."""
    return {place: copy_of(place, root) for place in (url, url.rpartition("/")[0])}


def url_of(path: str | os.PathLike) -> str | None:
    """The URL of a file or folder in a copy; None where it is in none."""
    found = _INSIDE.match(os.path.abspath(path))
    url = read_record(pathlib.Path(found[1], FILES)).get("url") if found else None
    return url and url + os.path.abspath(path)[found.end() :]


def name_by_url(value, path: str | os.PathLike):
    """`say_url` for the copy that holds a file or folder; the value itself where it is in none."""
    found, url = _INSIDE.match(os.path.abspath(path)), url_of(path)
    if not url:
        return value
    return say_url(value, found[0], url.removesuffix(os.path.abspath(path)[found.end() :]))


def say_url(value, copy: str | os.PathLike, url: str):
    """A value of texts, lists and tables, in which each path in a copy is the URL that was copied.

    Example:
        >>> say_url({"where": ["/runs/.objects/0f/files/a.png"]}, "/runs/.objects/0f/files", "s3://bucket/photos")
        {'where': ['s3://bucket/photos/a.png']}
    """
    if isinstance(value, str):
        return value.replace(os.fspath(copy), url)
    if isinstance(value, dict):
        return {key: say_url(one, copy, url) for key, one in value.items()}
    return [say_url(one, copy, url) for one in value] if isinstance(value, list | tuple) else value


@contextlib.contextmanager
def saying_urls(copies: dict[str, pathlib.Path]):
    """Lets errors of the block name the URL where they would name its copy.

    Args:
        copies: by URL.
    """
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        for url, copy in copies.items():
            error.args = tuple(say_url(list(error.args), copy, url))
        raise


def read_record(copy: pathlib.Path) -> dict:
    """What is known of a copy: "url", and "objects": {name: [bytes, tag, SHA-256, nanoseconds]}; nothing where it is spoilt."""
    try:
        record = read_json(copy.parent / RECORD, {"objects": {}}, keys=("objects",))
    except (ValueError, OSError):
        return {"objects": {}}
    objects = record["objects"] if isinstance(record["objects"], dict) else {}
    return record | {
        "objects": {name: entry for name, entry in objects.items() if isinstance(entry, list) and len(entry) == 4}
    }


def write_record(copy: pathlib.Path, url: str, objects: dict[str, list]):
    """Writes what is known of a copy."""
    write_json(copy.parent / RECORD, {"url": url, "objects": objects})


@contextlib.contextmanager
def locked(copy: pathlib.Path):
    """Holds the lock of a copy, which is made when missing; whoever wants it, too, waits."""
    copy.mkdir(parents=True, exist_ok=True)
    with open(copy.parent / LOCK, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
