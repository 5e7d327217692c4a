"""SHA-256 of files, remembered by what the file system says about them, so that a large data set is read once, not in every run.

A digest counts as long as path, size, time of modification, time of change, inode and device of the file are the same. It is not
remembered where the file had changed within the last seconds: a second change within one tick of the file system's clock would
leave no trace. Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import stat
import time
from collections.abc import Iterable

from pipeline.engine import progress
from pipeline.engine.contents import file_digest
from pipeline.engine.files import read_json, write_json

FOLDER = ".digests"
"""Below the root of a store: one file for each folder of data."""

RECENT = 3_000_000_000
"""Nanoseconds during which a changed file may change once more without another time; the coarsest clock in use, FAT's, ticks
every 2 s."""

_ANNOUNCED_AFTER = 5.0  # seconds


class FileDigests:
    """Digests of files, remembered below the root of a store.

    Args:
        root: of the store.
        anew: forget what earlier processes remembered.
        write: remember for later processes.
    """

    def __init__(self, root, *, anew: bool = False, write: bool = True):
        self._folder, self.anew, self._write = pathlib.Path(root) / FOLDER, anew, write
        self._known: dict[pathlib.Path, dict[str, list]] = {}

    def combined(
        self, opened: Iterable[os.PathLike | str], closed: Iterable[os.PathLike | str], place: pathlib.Path
    ) -> str:
        """One digest of the names and bytes of files, whatever their order.

        Args:
            opened: files whose bytes count; one that is missing, or no regular file, counts as such.
            closed: files whose names alone count.
            place: the folder to which names are relative, so that the same files elsewhere have the same digest; or a file in it.
        """
        base = os.path.join(place if place.is_dir() else place.parent, "")
        names = {_name(file, base): file for file in opened}
        names |= dict.fromkeys((_name(file, base) for file in closed), None)
        memory = self._folder / f"{hashlib.sha256(os.fsencode(os.path.abspath(place))).hexdigest()[:16]}.json"
        known = self._known.setdefault(memory, {} if self.anew else _remembered(memory))
        found, combined, start, announced = {}, hashlib.sha256(), time.monotonic(), False
        for name in sorted(names):
            digest, entry = _digest(names[name], known.get(name)) if names[name] else ("not opened", None)
            combined.update(os.fsencode(name) + f"\0{digest}\n".encode())
            if entry:
                found[name] = entry
            is_read = entry is None or entry is not known.get(name)
            if is_read and not announced and time.monotonic() - start > _ANNOUNCED_AFTER:
                progress.print_message(f"reading {len(names):,} files of {place}, once")
                announced = True
        self._known[memory] = found
        if self._write and found != known:
            with contextlib.suppress(OSError):  # a disk that is full or closed costs time here, not the run
                write_json(memory, found)
        return combined.hexdigest()


def _name(file: os.PathLike | str, base: str) -> str:
    """The path of a file relative to `base`, which ends with a slash; the place of `base` is no part of it."""
    path = os.fspath(file)
    return path.removeprefix(base) if path.startswith(base) else os.path.relpath(path, base)


def _remembered(memory: pathlib.Path) -> dict[str, list]:
    """What an earlier process remembered; nothing where its file is missing or spoilt, since everything can be read anew."""
    try:
        found = read_json(memory, {})
    except (OSError, ValueError):
        return {}
    return {name: entry for name, entry in found.items() if isinstance(entry, list) and len(entry) == 6}


def _digest(file: os.PathLike | str, known: list | None) -> tuple[str, list | None]:
    """The digest of a file, and what to remember: its signature and the digest, or None."""
    try:
        signature = _signature(os.stat(file))
        if signature is None:
            return "no file", None
        if known and known[:-1] == signature:
            return known[-1], known
        now = time.time_ns()
        entry = [*signature, file_digest(file)]
        _, modified, changed, *_ = signature
        recent = changed > now - RECENT or now - RECENT < modified <= now
        return entry[-1], entry if not recent and _signature(os.stat(file)) == signature else None
    except FileNotFoundError:
        return "missing", None
    except OSError as error:  # the component that reads it says more
        return f"unreadable: {error.errno}", None


def _signature(status: os.stat_result) -> list[int] | None:
    """What changes with a regular file; None for a folder, pipe, socket or device."""
    if not stat.S_ISREG(status.st_mode):
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]
