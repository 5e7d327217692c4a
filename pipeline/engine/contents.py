"""What a finished folder holds: the size and SHA-256 of each file, recorded when it is published, and checked when it is used.

This finds honest damage: a copy that was cut off, a file deleted or edited by hand, a failing disk. Whoever rewrites the
manifest as well is not found. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib

MANIFEST = "contents.json"
"""File at the top of a folder that lists all others. TensorFlow Serving ignores it in a SavedModel."""

NAMED = 3
"""Phrases that `shorten` keeps."""

_sound: dict[str, dict] = {}
"""By folder, what the file system said of its files when this process found their digests in order, or wrote them."""


def write_manifest(folder: pathlib.Path):
    """Records every file below `folder` in `folder/contents.json`: the last file to write before the folder gets its name.

    The manifest is {"files": {"a/b.json": {"bytes": 12, "sha256": "..."}}}, with paths relative to the folder.
    """
    folder = pathlib.Path(folder)
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / MANIFEST:
            files[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": file_digest(path)}
    (folder / MANIFEST).write_text(json.dumps({"files": files}, indent=1, sort_keys=True), encoding="utf-8")


def damage(folder: pathlib.Path, *, digests: bool = True) -> list[str]:
    """How the files below `folder` differ from its manifest.

    Files that the manifest does not name are no damage: people and servers may add some, such as warm-up requests.

    Args:
        folder: published with `write_manifest`.
        digests: compare the bytes of every file, once per process unless a file changes meanwhile. Otherwise sizes are compared,
            and the bytes of JSON files alone: they are small, and are read without a component that would check them.

    Returns:
        One phrase per file, such as "variables/variables.index: 512 bytes instead of 1024"; empty where nothing is damaged.
        A folder without a manifest, or whose manifest cannot be read, is damaged: to accept folders from before manifests,
        ask first whether `(folder / MANIFEST).is_file()`.

    Example:
        >>> damage(pathlib.Path("runs/none"))
        ['contents.json: missing']
    """
    folder = pathlib.Path(folder)
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        expected = {name: (entry["bytes"], entry["sha256"]) for name, entry in files.items()}
    except (FileNotFoundError, NotADirectoryError):
        return [f"{MANIFEST}: missing"]
    except OSError as error:
        return [f"{MANIFEST}: cannot be read ({error.strerror})"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"{MANIFEST}: not a list of files"]
    states = file_states(folder) if digests else {}
    digests = digests and _sound.get(os.path.abspath(folder)) != states
    found = ((name, _fault(folder / name, *entry, digests)) for name, entry in sorted(expected.items()))
    damaged = [f"{name}: {fault}" for name, fault in found if fault]
    if digests and not damaged:
        _sound[os.path.abspath(folder)] = states
    return damaged


def trust(folder: pathlib.Path):
    """Notes that the files of a folder are those whose manifest this process wrote, before the folder got its name."""
    _sound[os.path.abspath(folder)] = file_states(folder)


def shorten(phrases: list[str]) -> str:
    """The first phrases as text, and the number of the others."""
    more = [f"and {len(phrases) - NAMED} more"] if len(phrases) > NAMED else []
    return "; ".join([*phrases[:NAMED], *more])


def _fault(path: pathlib.Path, size: int, digest: str, digests: bool) -> str | None:
    """What is wrong with one file, or None."""
    try:
        if not path.is_file():
            return "missing"
        if path.stat().st_size != size:
            return f"{path.stat().st_size} bytes instead of {size}"
        if (digests or path.suffix == ".json") and file_digest(path) != digest:
            return "other bytes than were written"
    except FileNotFoundError:  # another process is replacing the folder
        return "missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None


def file_digest(path: pathlib.Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_states(folder: pathlib.Path) -> dict[str, tuple[int, ...]]:
    """What the file system says of every file below `folder`: size, time of change and inode, by path.

    While it is the same, no file was changed by a program; a failing disk changes files without it. Empty while another process
    replaces the folder.
    """
    try:
        states = [(path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    except FileNotFoundError:
        return {}
    return {path.relative_to(folder).as_posix(): (at.st_size, at.st_ctime_ns, at.st_ino) for path, at in states}
