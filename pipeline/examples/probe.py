"""A look at the workers before work starts: whether they have this code, share the disk, and see the data.

Workers of the default runner are in this process and need none. Whatever is wrong elsewhere is said in one sentence with a cure,
before the first picture is read instead of after the last.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import re
import socket
import uuid
from collections.abc import Iterable

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

from pipeline.examples.runner_options import RUNNER

PROBES = 16
"""Workers that are looked at, if there are so many; which ones, the runner decides."""

_PACKAGES = ("apache-beam", "numpy", "Pillow")
_MARK = "workers.check:"

_seen = set()
"""What was found in order, as (options, folder, data)."""


def is_elsewhere(options: PipelineOptions) -> bool:
    """Whether workers are other processes than this one."""
    threads = options.view_as(DirectOptions).direct_running_mode != "multi_processing"
    return not (options.view_as(StandardOptions).runner == RUNNER and threads)


def check_workers(folder: pathlib.Path, options: PipelineOptions, data: Iterable[pathlib.Path] = ()):
    """Lets workers read and write below a folder, and look for the data; once for the same options and places.

    Args:
        folder: absolute, on the disk that everything is shared by.
        options: of Beam.
        data: paths that workers will read, relative ones from the working folder of this process.

    Raises:
        ValueError: a worker lacks the code or has another one, does not see the folder or the data, or writes elsewhere.
    """
    data = {str(path): _size(path) for path in data}
    if not all(map(os.path.isabs, data)):
        data = {os.getcwd(): 0} | {os.path.abspath(path): size for path, size in data.items()}
    key = (str(options.get_all_options(drop_default=True)), str(folder.parent), *data)
    if key in _seen or not is_elsewhere(options):
        return
    token = uuid.uuid4().hex
    folder.mkdir(exist_ok=True)
    (folder / "token").write_text(token)
    try:
        with beam.Pipeline(options=options) as look:
            _ = (
                look
                | "Probes" >> beam.Create(range(PROBES), reshuffle=False)
                | "Spread" >> beam.Reshuffle()
                | "Look" >> beam.ParDo(_Look(folder, token, versions(), data))
            )
    except Exception as error:
        if sentence := _explain(str(error)):
            raise ValueError(sentence) from error
        raise
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


def _size(path) -> int:
    """Of a file; 0 for a folder, whose size depends on the file system."""
    return 0 if os.path.isdir(path) else os.stat(path).st_size


class _Look(beam.DoFn):
    """Raises what is wrong with this worker."""

    def __init__(self, folder, token, expected, data):
        self._folder, self._token, self._expected, self._data = folder, token, expected, data

    def process(self, number):
        if fault := self._fault(number):
            raise RuntimeError(f"{_MARK} {fault}")
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
            if not os.path.exists(path) or _size(path) != size:
                return (
                    f"Workers must see the data. Received: nothing or another file at {path} [{host}]. "
                    "Let --data lie in a folder that all machines mount at the same path, and give it as an absolute path."
                )
        try:
            (self._folder / f"answer-{number}-{uuid.uuid4().hex}").write_text(host)
        except OSError as error:
            return (
                f"Workers must be able to write below --root. Received: {error.strerror} [{host}, {self._folder}]. "
                "Let them run as a user who may."
            )
        return None


def _explain(text: str) -> str | None:
    """The sentence in the error of a runner about its workers; None if it has another cause."""
    if found := re.search(rf"{re.escape(_MARK)} (.+?\.)(?=\s*(?:\\n|\n|\[while running|['\"]|$))", text):
        return found.group(1)
    if missing := re.search(r"No module named '?([\w.]+)", text):
        return (
            f"Workers must have kseg and its packages. Received: no module {missing.group(1)} in a worker. Where they run, "
            "install this checkout's wheel (`pip wheel --no-deps .`) with the extra pipeline, or pass --setup_file=./setup.py."
        )
    return None
