"""Brings the local copy of a place in an object store up to date: what changed is fetched, what is gone is removed.

A file gets its name by one rename after its last byte, and the record of the copy is written as the work goes on, so what an
interrupted run fetched is not fetched again. The object store is listed again at the end: the copy is that of one moment, unless
somebody wrote all the time.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import time
import uuid
from collections.abc import Callable

from pipeline.engine import progress
from pipeline.engine.contents import file_digest
from pipeline.storage.copies import PARTIAL, copy_of, locked, read_record, write_record
from pipeline.storage.stores import Object, explained, key_of, list_objects, open_store

THREADS = 16
ROUNDS = 5
"""How often what changed meanwhile is fetched again."""

SECONDS_BETWEEN_RECORDS = 30.0
SPARE = 64 * 2**20
"""Bytes that stay free on the disk."""


def bring_data(url: str, root: str | os.PathLike, flag: str = "--data", *, anew: bool = False) -> pathlib.Path:
    """The local copy of data in an object store, brought up to date.

    Of a single object, such as a table of pairs, the folder that holds it is copied, since its files lie there.

    Args:
        url: as `check_url` leaves it, of a folder or an object.
        root: of the store of results, in which the copy lies.
        flag: that names it, for messages.
        anew: compare the bytes of all files with what was fetched, too.

    Returns:
        The folder or file in the copy.

    Raises:
        ValueError: nothing lies there, a name cannot be that of a file, the disk is too small, or the object store refuses or
            fails.
    """
    store = open_store(url, flag)
    listed = list_objects(store, url, flag)
    if not listed:
        raise ValueError(
            f"The data must exist. Received: {flag} {url}, below which there is no object. Check the name of the folder."
        )
    folder, name = url.rsplit("/", 1) if "" in listed else (url, "")
    copy = copy_of(folder, root)
    with locked(copy), progress.component("data"):
        bring(store, folder, copy, flag, anew=anew, listed=None if name else listed)
    return copy / name


def bring(
    store,
    url: str,
    copy: pathlib.Path,
    flag: str,
    *,
    wanted: Callable[[str], bool] = lambda name: True,
    select: Callable[[dict], dict] = dict,
    anew: bool = False,
    listed: dict[str, Object] | None = None,
) -> dict[str, Object]:
    """Makes the files of a copy, whose lock the caller holds, equal to the objects below a URL.

    Args:
        store: that holds them.
        url: of the folder.
        copy: of the folder.
        flag: that names it, for messages.
        wanted: of a name, whether it is looked at; other objects are not fetched, and other files are not removed.
        select: the objects to copy of those that are listed.
        anew: compare the bytes of all files with what was fetched, too.
        listed: the objects below the URL, where they have just been listed.

    Returns:
        The objects that were listed at last, by name, wanted or not.

    Raises:
        ValueError: as for `bring_data`.
    """
    record = read_record(copy)
    known = record["objects"] if record.get("url") == url else {}
    shutil.rmtree(copy.parent / PARTIAL, ignore_errors=True)  # of a killed run
    for _ in range(ROUNDS):
        listed = listed or list_objects(store, url, flag)
        expected = {name: about for name, about in select(listed).items() if wanted(name)}
        _remove_others(copy, expected, wanted)
        stale = [name for name, about in expected.items() if not _is_current(copy / name, about, known.get(name), anew)]
        kept = {name: entry for name, entry in known.items() if name in expected or not wanted(name)}
        if not stale:
            if kept != known or record.get("url") != url:
                write_record(copy, url, kept)
            return listed
        _check_disk(copy, sum(expected[name].size for name in stale), url, flag)
        known, listed = _fetch(store, url, copy, flag, {name: expected[name] for name in stale}, kept), None
    raise ValueError(
        f"Data must not change while they are fetched. Received: {len(stale)} objects below {flag} {url} that were written "
        "meanwhile, again and again. Give the same command again when nobody writes there."
    )


def _is_current(file: pathlib.Path, about: Object, entry: list | None, anew: bool) -> bool:
    """Whether a file is what was fetched of an object as it is now."""
    if not entry or [about.size, about.tag] != entry[:2]:
        return False
    try:
        status = os.stat(file)
    except OSError:
        return False
    same = [status.st_size, status.st_mtime_ns] == [entry[0], entry[3]]
    return same and (not anew or file_digest(file) == entry[2])


def _remove_others(copy: pathlib.Path, expected: dict, wanted):
    """Removes files that are wanted no more, and folders that are empty then."""
    for folder, folders, files in os.walk(copy, topdown=False):
        prefix = os.path.relpath(folder, copy)
        for name in [*files, *(one for one in folders if os.path.islink(os.path.join(folder, one)))]:
            relative = name if prefix == "." else f"{prefix}/{name}"
            if relative not in expected and wanted(relative):
                os.unlink(os.path.join(folder, name))
        if prefix != ".":
            with contextlib.suppress(OSError):  # it is not empty
                os.rmdir(folder)


def _check_disk(copy: pathlib.Path, size: int, url: str, flag: str):
    """Refuses to fetch what the disk cannot hold, before anything is fetched."""
    free = shutil.disk_usage(copy).free
    if size + SPARE > free:
        raise ValueError(
            f"The disk of --root must hold a copy of the data. Received: {flag} {url}, of which {_megabytes(size)} are to be "
            f"fetched, and {_megabytes(free)} free [{copy.parents[2]}]. Choose another --root, or free some space."
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.2f} MB"


def _fetch(store, url, copy, flag, stale: dict[str, Object], known: dict[str, list]) -> dict[str, list]:
    """Fetches objects; returns what is known of the copy then, which is recorded also if it fails or is interrupted."""
    size = sum(about.size for about in stale.values())
    files = f"{len(stale):,} file{'s' if len(stale) > 1 else ''}"
    progress.print_message(f"fetching {files}, {_megabytes(size)}, of {url}")
    progress.set_total(len(stale))
    partial, known, recorded = copy.parent / PARTIAL, dict(known), time.monotonic()
    partial.mkdir()

    def fetch(name):
        file, unfinished = copy / name, partial / uuid.uuid4().hex
        with explained(f"{url}/{name}", flag), contextlib.suppress(FileNotFoundError):
            store.get_file(f"{key_of(url)}/{name}", str(unfinished))
        if not unfinished.exists() or (got := unfinished.stat().st_size) != stale[name].size:
            return  # it was replaced or removed meanwhile: the next listing shows it
        digest, written = file_digest(unfinished), unfinished.stat().st_mtime_ns
        file.parent.mkdir(parents=True, exist_ok=True)
        os.replace(unfinished, file)
        known[name] = [got, stale[name].tag, digest, written]

    pool = concurrent.futures.ThreadPoolExecutor(THREADS)
    try:
        for future in concurrent.futures.as_completed([pool.submit(fetch, name) for name in stale]):
            future.result()
            progress.advance()
            if time.monotonic() - recorded > SECONDS_BETWEEN_RECORDS:
                write_record(copy, url, dict(known))
                recorded = time.monotonic()
    finally:
        pool.shutdown(cancel_futures=True)
        write_record(copy, url, known)
        shutil.rmtree(partial, ignore_errors=True)
    return known
