"""Pushed models in an object store: `--push-to s3://BUCKET/FOLDER`.

Versions are made, checked, compared, rolled back and removed in a local copy of the folder, by the same functions as on a disk;
what changed goes back. Object stores have no rename, so a version is there when its `saved_model.pb` is, which is written last
and removed first. Whoever pushes claims the number with an object `.pushing`, which only one can make, and writes it again and
again: a version that has a claim but no `saved_model.pb`, and does not change any more, was left by a killed run and is removed.
Standard library only, beside the packages of the object store.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import os
import pathlib
import re
import time
import uuid

from pipeline.engine import progress
from pipeline.engine.contents import file_digest
from pipeline.engine.urls import is_url
from pipeline.publishing.entries import GRAPHS
from pipeline.storage.copies import copy_of, locked, read_record, write_record
from pipeline.storage.fetching import THREADS, bring
from pipeline.storage.stores import explained, key_of, list_objects, open_store

FLAG = "--push-to"
CLAIM = ".pushing"
"""Object in the folder of a version that is being pushed."""

MINE = "pushing"
"""File beside a copy that holds the claim of its last push, until that has ended."""

BEAT, QUIET = 5.0, 60.0
"""Seconds between two writings of a claim, and without any change after which a version counts as left by a killed run."""

LAST_VERSION = ".last_version"
ATTEMPTS = 5


class NumberTaken(FileExistsError):
    """Another run has claimed the number, or pushed a version of it, since the object store was looked at."""


def local_folder(push_to: str, root: str | os.PathLike) -> pathlib.Path:
    """The folder of pushed models on this disk: `push_to` itself, or the copy of what is in an object store."""
    return copy_of(push_to, root) if is_url(push_to) else pathlib.Path(push_to)


def refresh(push_to: str, root: str | os.PathLike, name: str | None) -> pathlib.Path:
    """Brings the copy of pushed models in an object store up to date; does nothing where they are on this disk.

    Args:
        push_to: folder of pushed models.
        root: of the store of results.
        name: of the model; None: only what says which results each model needs, for every model.

    Returns:
        The folder of pushed models on this disk.

    Raises:
        ValueError: the object store cannot be read.
    """
    folder = local_folder(push_to, root)
    if is_url(push_to):
        store = open_store(push_to, FLAG)
        with locked(folder):
            _bring(store, push_to, folder, name)
    return folder


def _bring(store, url: str, copy: pathlib.Path, name: str | None):
    def select(listed):
        left_out = _unfinished(listed)
        return {
            one: about for one, about in listed.items() if not one.endswith(f"/{CLAIM}") and _entry(one) not in left_out
        }

    def describes(one):
        return one.endswith(("/assets.extra/lineage.json", "/contents.json"))

    bring(store, url, copy, FLAG, wanted=describes if name is None else lambda one: _concerns(one, name), select=select)


def _entry(name: str) -> str:
    """MODEL/VERSION of an object's name."""
    return "/".join(name.split("/")[:2])


def _concerns(name: str, model: str) -> bool:
    """Whether an object or file belongs to a model, or lies beside all of them."""
    return name.startswith(f"{model}/") or "/" not in name


def _unfinished(listed) -> set[str]:
    """The entries that have a claim and no graph."""
    claimed = {_entry(name) for name in listed if name.count("/") == 2 and name.endswith(f"/{CLAIM}")}
    return {entry for entry in claimed if not any(f"{entry}/{graph}" in listed for graph in GRAPHS)}


def list_names(listed) -> list[str]:
    """The names of the models that have a version, in order."""
    return sorted({name.split("/")[0] for name in listed if re.fullmatch(rf"[^/]+/\d+/({'|'.join(GRAPHS)})", name)})


def check_writable(push_to: str, name: str):
    """Refuses an object store in which nothing can be written and removed, before any work.

    Raises:
        ValueError: it refuses.
    """
    store, key = open_store(push_to, FLAG), key_of(f"{push_to}/{name}/.write-check-{uuid.uuid4().hex}")
    with explained(push_to, FLAG):
        store.pipe_file(key, b"")
        store.rm_file(key)


@contextlib.contextmanager
def updating(push_to: str, copy: pathlib.Path, name: str):
    """Lets the block change the copy of a model's folder as it would change it on a disk; what changed goes back at the end.

    Before, what killed runs left of a push is removed; another run that pushes this model now is waited for.

    Args:
        push_to: URL of the folder of pushed models.
        copy: of it.
        name: of the model.

    Yields:
        The names of the models that have a version there, this one aside.

    Raises:
        NumberTaken: another run was first; nothing went back, and the same block can be tried again.
        ValueError: the object store refuses or fails; then nothing of a new version is left there, as far as it still answers.
    """
    store = open_store(push_to, FLAG)
    with locked(copy):
        _remove_unfinished(store, push_to, copy, name)
        _bring(store, push_to, copy, name)
        yield [other for other in list_names(list_objects(store, push_to, FLAG)) if other != name]
        _write_back(store, push_to, copy, name)


def _remove_unfinished(store, url: str, copy: pathlib.Path, name: str):
    """Removes what killed runs left of a push; waits for runs that push."""
    watched: dict[str, tuple] = {}  # by entry: how it looked, and since when
    while True:
        listed = list_objects(store, url, FLAG)
        found = sorted(entry for entry in _unfinished(listed) if entry.startswith(f"{name}/"))
        if not found:
            return
        for entry in found:
            state = sorted((one, *about) for one, about in listed.items() if _entry(one) == entry)
            before, since = watched.get(entry, (None, 0.0))
            if before is None and not _is_mine(store, url, copy, entry):
                progress.print_message(
                    f"{url}/{entry} is unfinished: if it does not change within {QUIET:.0f} s, a killed run left it"
                )
            if before != state:
                watched[entry] = before, since = state, time.monotonic()
            if _is_mine(store, url, copy, entry) or time.monotonic() - since > QUIET:
                _remove(store, url, [one for one, *_ in state])
                progress.print_message(f"{url}/{entry}, which a killed run left unfinished, is removed")
        time.sleep(QUIET / 12 if any(not _is_mine(store, url, copy, entry) for entry in found) else 0)


def _is_mine(store, url: str, copy: pathlib.Path, entry: str) -> bool:
    """Whether a claim was made with this copy, whose lock this process holds: then nobody works on it any more."""
    token = copy.parent / MINE
    with explained(url, FLAG):
        claim = _content(store, key_of(f"{url}/{entry}/{CLAIM}"))
    return bool(claim) and token.is_file() and _token(claim) == _token(token.read_bytes())


def _token(content: bytes) -> bytes:
    """What a claim says without the number of its writings."""
    return content.partition(b" ")[0]


def _remove(store, url: str, names):
    """Removes objects: graphs first, claims last."""
    order = {**dict.fromkeys(GRAPHS, 0), CLAIM: 2}
    for name in sorted(names, key=lambda name: (order.get(name.rpartition("/")[2], 1), name)):
        with explained(f"{url}/{name}", FLAG), contextlib.suppress(FileNotFoundError):
            store.rm_file(key_of(f"{url}/{name}"))


def _write_back(store, url: str, copy: pathlib.Path, name: str):
    """Makes the objects of a model equal to the files of its copy: new versions, changed descriptions, then what is gone."""
    known = read_record(copy)["objects"]
    files = {one: copy / one for one in _files(copy, name)}
    changed = [one for one in files if _differs(files[one], known.get(one))]
    gone = [one for one in known if _concerns(one, name) and not (copy / one).is_file()]
    new = {_entry(one) for one in changed if one.count("/") >= 2} - {_entry(one) for one in known}
    beside = [one for one in changed if one.count("/") < 2 and one != f"{name}/{LAST_VERSION}"]
    graphs = [one for one in changed if _is_graph(one)]
    rest = [one for one in changed if one not in beside and one not in graphs and one != f"{name}/{LAST_VERSION}"]
    token = uuid.uuid4().hex.encode()
    claims = [entry for entry in sorted(new) if re.fullmatch(r"[^/]+/\d+", entry)]
    (copy.parent / MINE).write_bytes(token)
    put = []
    try:
        for entry in claims:
            _claim(store, url, entry, token, put)
        put += [one for one in (*rest, *graphs) if _entry(one) in new]
        last = [one for one in changed if one == f"{name}/{LAST_VERSION}"]  # a number may be skipped, never used twice
        _upload(store, url, files, last, claims, token)
        _upload(store, url, files, rest, claims, token)
        _check_complete(store, url, files, rest)
        _upload(store, url, files, graphs, claims, token)
    except BaseException:
        with contextlib.suppress(Exception):
            _remove(store, url, put)
        raise
    left = {_entry(one) for one in gone if one.count("/") >= 2} - {_entry(one) for one in files}
    for entry in left:  # an interrupted removal is known by it
        with explained(f"{url}/{entry}", FLAG):
            store.pipe_file(key_of(f"{url}/{entry}/{CLAIM}"), token)
    _remove(store, url, [*gone, *(f"{entry}/{CLAIM}" for entry in (*claims, *left))])
    _upload(store, url, files, beside, [], token)
    _record(store, url, copy, files, changed, gone)
    (copy.parent / MINE).unlink()


def _files(copy: pathlib.Path, name: str):
    """The names of the files that belong to a model and are no leftovers of a killed run."""
    for path in sorted([*copy.glob("*"), *(copy / name).rglob("*")]):
        one = path.relative_to(copy).as_posix()
        hidden = any(part.startswith(".") for part in one.split("/")[:2])
        if path.is_file() and (one == f"{name}/{LAST_VERSION}" or not hidden):
            yield one


def _is_graph(name: str) -> bool:
    return name.count("/") == 2 and name.rpartition("/")[2] in GRAPHS


def _differs(file: pathlib.Path, entry: list | None) -> bool:
    """Whether a file is not what was fetched."""
    status = file.stat()
    if entry and [status.st_size, status.st_mtime_ns] == [entry[0], entry[3]]:
        return False
    return not entry or file_digest(file) != entry[2]


def _claim(store, url: str, entry: str, token: bytes, put: list[str]):
    """Claims the number of a version.

    Raises:
        NumberTaken: another run has it.
    """
    claim = f"{entry}/{CLAIM}"
    key = key_of(f"{url}/{claim}")
    taken = f"The number of a version must be free. Received: {url}/{entry}, which another run pushes. Give the command again."
    with explained(f"{url}/{claim}", FLAG):
        if not _create(store, key, token):
            raise NumberTaken(taken)
        if _content(store, key) != token:  # a store that takes every write: the last one has it
            raise NumberTaken(taken)
        put.append(claim)
        if len(store.find(key_of(f"{url}/{entry}"))) > 1:  # it was finished meanwhile
            raise NumberTaken(taken)


def _create(store, key: str, content: bytes) -> bool:
    """Makes an object that is not there yet; whether that went well.

    A store without conditional writes is asked beforehand, which two runs at the same moment may both survive.
    """
    try:
        store.pipe_file(key, content, mode="create")
    except FileExistsError:
        return False
    except (OSError, NotImplementedError) as error:
        if "ConditionalRequestConflict" in str(error):
            return False
        if not isinstance(error, NotImplementedError) and error.errno != errno.ENOSYS:
            raise
        if _content(store, key) is not None:
            return False
        store.pipe_file(key, content)
    return True


def _content(store, key: str) -> bytes | None:
    """The bytes of an object; None where there is none."""
    try:
        return store.cat_file(key)
    except FileNotFoundError:
        return None


def _upload(store, url: str, files: dict, names: list[str], claims: list[str], token: bytes):
    """Writes files as objects, and claims again while it lasts."""

    def upload(name):
        with explained(f"{url}/{name}", FLAG):
            store.put_file(str(files[name]), key_of(f"{url}/{name}"))

    pool = concurrent.futures.ThreadPoolExecutor(THREADS)
    try:
        waiting, beats = {pool.submit(upload, name) for name in names}, 0
        while waiting:
            done, waiting = concurrent.futures.wait(waiting, BEAT, concurrent.futures.FIRST_EXCEPTION)
            for future in done:
                future.result()
            beats += 1
            for claim in claims if waiting else ():
                with explained(f"{url}/{claim}", FLAG):
                    store.pipe_file(key_of(f"{url}/{claim}/{CLAIM}"), token + b" %d" % beats)
    finally:
        pool.shutdown(cancel_futures=True)


def _check_complete(store, url: str, files: dict, names: list[str]):
    """Refuses to go on where an object is missing or has another size: another run may have taken this one for killed."""
    listed = list_objects(store, url, FLAG)
    wrong = [name for name in names if name not in listed or listed[name].size != files[name].stat().st_size]
    if wrong:
        more = f" and {len(wrong) - 1} more" if wrong[1:] else ""
        raise ValueError(
            f"What was written must be there. Received: {wrong[0]}{more} missing or cut off below {FLAG} {url}. Give the same "
            "command again."
        )


def _record(store, url: str, copy: pathlib.Path, files: dict, changed: list[str], gone: list[str]):
    """Notes what is known of the objects now, so that none of them is fetched."""
    listed, known = list_objects(store, url, FLAG), read_record(copy)["objects"]
    objects = {name: entry for name, entry in known.items() if name not in gone}
    for name in changed:
        status = files[name].stat()
        if name in listed and listed[name].size == status.st_size:
            objects[name] = [status.st_size, listed[name].tag, file_digest(files[name]), status.st_mtime_ns]
    write_record(copy, url, objects)
