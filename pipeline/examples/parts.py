"""Work on a data set part by part, spread over workers by Beam.

A part is what one worker does in one go, such as reading and writing a shard. Beam carries the places of the parts and nothing
else: what a part consists of is in a file that workers read, what they find out comes back in a file of each part, and pictures
go from the source to the shard within one worker. So memory does not grow with the data, and the result depends neither on the
runner nor on the number of workers. Folders must be on a disk that this process and all workers share. No TensorFlow.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import pickle
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam

from pipeline.engine import progress
from pipeline.engine.files import atomic, unfinished_in
from pipeline.examples.prepared import check_complete
from pipeline.examples.probe import check_workers
from pipeline.examples.runner_options import pipeline_options
from pipeline.examples.running import is_elsewhere, started

FOLDER = ".parts"
_ORDERS = "orders"


@contextlib.contextmanager
def worked_on(
    out: pathlib.Path,
    parts: Iterable,
    work: Callable[[object], Iterable],
    beam_options: list[str] = (),
    reads: Iterable[pathlib.Path] = (),
):
    """Works on every part. Workers elsewhere are looked at first (`pipeline.examples.probe`).

    Args:
        out: folder of the component, for temporary files.
        parts: picklable, read as a stream.
        work: picklable; `work(part)` yields the rows of a part, small and picklable as well. A runner may call it twice for a
            part, even at the same time, so it must write the same files both times, each by one rename. Its method `setup`, if
            it has one, is called first in each worker.
        beam_options: Beam's command line.
        reads: folders or files that the work reads.

    Yields:
        The rows as a stream, in the order of the parts.

    Raises:
        ValueError: workers elsewhere lack the code, the disk or the data, or a part is not done although Beam says so.
    """
    folder = pathlib.Path(out).absolute() / FOLDER
    folder.mkdir()
    options = pipeline_options(beam_options)
    try:
        check_workers(folder / "probe", options, reads)
        starts = _write_orders(folder / _ORDERS, parts)
        pipeline = beam.Pipeline(options=options)
        _ = (
            pipeline
            | "Name parts" >> beam.Create(starts, reshuffle=False)
            | "Spread" >> beam.Reshuffle()
            | "Work" >> beam.ParDo(_Work(folder, work))
        )
        with started(pipeline, options) as result, _progress_shown(result, options):
            result.wait_until_finish()
        check_complete(
            "parts of the work", sum(_rows_of(folder, start).is_file() for start in starts), len(starts), out
        )
        yield _read_rows(folder, starts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # after a fault, other threads may still write


_DONE = beam.metrics.Metrics.counter("kseg", "done")
"""Elements that workers are done with; runners report it while they work."""

_SECONDS_BETWEEN_LOOKS = 2


@contextlib.contextmanager
def _progress_shown(result, options):
    """Shows what workers elsewhere are done with, as their runner reports it, while the block waits for `result`."""
    stop = threading.Event()

    def look():
        while not stop.wait(_SECONDS_BETWEEN_LOOKS):
            try:
                result._metrics = None  # otherwise Beam 2.77 repeats the first answer of a job service
                found = result.metrics().query(beam.metrics.MetricsFilter().with_metric(_DONE))["counters"]
            except Exception as error:  # whatever a runner raises that has no metrics while it works
                progress.print_message(
                    f"This runner does not report its progress ({type(error).__name__}); only time is shown."
                )
                return
            progress.reach(sum(counter.attempted or counter.committed or 0 for counter in found))

    thread = threading.Thread(target=look, daemon=True)
    if is_elsewhere(options):
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if thread.is_alive():
            thread.join()


def batched(items: Iterable, number: int) -> Iterator[list]:
    """Lists of `number` items, the last one shorter.

    Example:
        >>> list(batched("abcde", 2))
        [['a', 'b'], ['c', 'd'], ['e']]
    """
    items = iter(items)
    while some := list(itertools.islice(items, number)):
        yield some


def _write_orders(path: pathlib.Path, parts: Iterable) -> list[int]:
    """Writes the parts to a file; returns the position of each."""
    starts = []
    with open(path, "wb") as file:
        for part in parts:
            starts.append(file.tell())
            pickle.dump(part, file, pickle.HIGHEST_PROTOCOL)
    return starts


def _rows_of(folder: pathlib.Path, start: int) -> pathlib.Path:
    """The file of the rows of a part."""
    return folder / f"{start}.rows"


def _read_rows(folder: pathlib.Path, starts: list[int]) -> Iterator:
    for start in starts:
        with open(_rows_of(folder, start), "rb") as file:
            end = os.fstat(file.fileno()).st_size
            while file.tell() < end:
                yield pickle.load(file)


class _Work(beam.DoFn):
    """Does the part at a position of the file of parts."""

    def __init__(self, folder: pathlib.Path, work):
        self._folder, self._work, self._working_folder = folder, work, os.getcwd()

    def setup(self):
        if os.getcwd() != self._working_folder:  # elsewhere relative paths must mean the same files
            with contextlib.suppress(OSError):  # `check_workers` has seen whether any is
                os.chdir(self._working_folder)
        getattr(self._work, "setup", lambda: None)()

    def process(self, start):
        with open(self._folder / _ORDERS, "rb") as file:
            file.seek(start)
            part = pickle.load(file)
        with contextlib.ExitStack() as stack:
            stack.enter_context(unfinished_in(self._folder))  # a worker that is killed leaves nothing elsewhere
            stack.enter_context(progress.counted_by(_DONE.inc))
            file = stack.enter_context(open(stack.enter_context(atomic(_rows_of(self._folder, start))), "wb"))
            for row in self._work(part):
                pickle.dump(row, file, pickle.HIGHEST_PROTOCOL)
