"""A look at the workers before work starts: whether they have this code, share the disk, and see the data.

Workers of the default runner are in this process and need none. Whatever is wrong elsewhere is said in one sentence with a cure,
before the first picture is read instead of after the last.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import itertools
import os
import pathlib
import platform
import socket
import uuid
from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from kseg.pairs.errors import printable
from pipeline.examples.running import SENTENCE, is_elsewhere, started

PROBES = 16
"""Workers that are looked at, if there are so many; which ones, the runner decides."""

_ENTRIES, _DEPTH = 4, 3
"""Of a folder that are looked for, and levels of folders below it."""

_PACKAGES = ("apache-beam", "numpy", "Pillow")

_seen = set()
"""What was found in order, as (options, folder, data)."""


def check_workers(folder: pathlib.Path, options: PipelineOptions, data: Iterable[pathlib.Path] = ()):
    """Lets workers read and write below a folder, and look for the data; once for the same options and places.

    Args:
        folder: absolute, on the disk that everything is shared by.
        options: of Beam.
        data: files and folders that workers will read, relative ones from the working folder of this process. Of a folder some of
            what is in it is looked for as well, since a disk that is not mounted leaves an empty folder.

    Raises:
        ValueError: a worker lacks the code or has another one, does not see the folder or the data, or writes elsewhere.
    """
    if not is_elsewhere(options):
        return
    data = sorted(set(map(str, data)))
    key = (str(options.get_all_options(drop_default=True)), str(folder.parent), *data)
    if key in _seen:
        return
    sights = {os.path.abspath(path): size for place in data for path, size in _sight(place)}
    if not all(map(os.path.isabs, data)):
        sights[os.getcwd()] = None
    token = uuid.uuid4().hex
    folder.mkdir(exist_ok=True)
    (folder / "token").write_text(token)
    look = beam.Pipeline(options=options)
    _ = (
        look
        | "Probes" >> beam.Create(range(PROBES), reshuffle=False)
        | "Spread" >> beam.Reshuffle()
        | "Look" >> beam.ParDo(_Look(folder, token, versions(), sights))
    )
    with started(look, options) as result:
        result.wait_until_finish()
    if not any(folder.glob("answer-*")):
        raise ValueError(
            "Workers must write to the same disk as this process. Received: what they write does not arrive here "
            f"[{folder}]. Let --root lie in a folder that all machines mount at the same path."
        )
    _seen.add(key)


@functools.cache
def versions() -> dict[str, str]:
    """What bytes depend on: Python, the packages that encode pictures and records, and the code of kseg, as a digest."""
    digest, root = hashlib.sha256(), pathlib.Path(__file__).parents[2]
    for file in sorted(file for package in ("kseg", "pipeline") for file in (root / package).rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    found |= {name: importlib.metadata.version(name) for name in _PACKAGES}
    return found | {"kseg": digest.hexdigest()[:12]}


def _sight(place: str, depth: int = _DEPTH) -> Iterator[tuple[str, int | None]]:
    """(path, bytes) of what must be seen of a file or folder; None for bytes that need not agree."""
    if os.path.isfile(place):
        yield place, os.path.getsize(place)
    elif os.path.isdir(place):
        yield place, None
        with os.scandir(place) as found:
            visible = (entry for entry in found if not entry.name.startswith("."))  # such as unfinished files
            chosen = list(itertools.islice(visible, _ENTRIES))
        for entry in chosen:
            if entry.is_dir() and depth:
                yield from _sight(entry.path, depth - 1)
            else:
                yield entry.path, None


class _Look(beam.DoFn):
    """Raises what is wrong with this worker."""

    def __init__(self, folder, token, expected, data):
        self._folder, self._token, self._expected, self._data = folder, token, expected, data

    def process(self, number):
        if fault := self._fault(number):
            raise RuntimeError(f"{SENTENCE} {fault}")
        yield number

    def _fault(self, number) -> str | None:
        host = socket.gethostname()
        own, expected = versions(), self._expected
        if differing := [
            f"{name} {own[name]} instead of {expected[name]}" for name in own if own[name] != expected[name]
        ]:
            return (
                f"Workers must have the versions of this process. Received: {', '.join(differing)} [{host}]. "
                "Build the wheel from this checkout and install it with its lock file in the environment of the workers."
            )
        try:
            token = (self._folder / "token").read_text()
        except OSError:
            token = None
        if token != self._token:
            return (
                f"Workers must see the folder of the results. Received: none or another one at {self._folder} [{host}]. "
                "Let --root lie in a folder that all machines mount at the same path."
            )
        for path, size in self._data.items():
            if not os.path.exists(path) or size not in (None, os.path.getsize(path)):
                return (
                    f"Workers must see what they read. Received: nothing or another file at {printable(path)} [{host}]. "
                    "Let it lie in a folder that all machines mount at the same path, and name it by its absolute path."
                )
        try:
            (self._folder / f"answer-{number}-{uuid.uuid4().hex}").write_text(host)
        except OSError as error:
            return (
                f"Workers must be able to write below --root. Received: {error.strerror} [{host}, {self._folder}]. "
                "Let them run as a user who may."
            )
        return None
