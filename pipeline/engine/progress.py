"""Progress of the component at work: a bar with the time left on a terminal, plain lines now and then elsewhere.

Components call `set_total` and `advance`; both do nothing where no task is shown, so a component also runs alone. The count is
kept in this process. Workers in other processes count by `counted_by` what their runner reports, and whoever receives it calls
`reach`. Standard library; rich is imported when a bar is drawn.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time

_SECONDS_BETWEEN_LINES = 15


class _Task:
    """The count and the clock of the component at work."""

    def __init__(self, name: str):
        self.name, self.total, self.done = name, None, 0
        self.first = (
            None  # time and count at the first `advance`: what comes before it, such as compiling, is not typical
        )
        self.start = self.printed = time.monotonic()
        self.paused = False
        self.bar = None  # of rich

    def text(self) -> str:
        return f"{self.name:18}  {self.status()}"

    def status(self) -> str:
        now = time.monotonic()
        parts = [f"{self.done} of {self.total}"] if self.total else []
        if self.total and self.first and self.first[1] < self.done < self.total:
            then, done = self.first
            parts.append(f"{_duration((now - then) / (self.done - done) * (self.total - self.done))} left")
        return "  ".join([*parts, _duration(now - self.start)])

    def update_bar(self):
        if self.bar:
            self.bar.update(self.bar.task_ids[0], total=self.total, completed=self.done)


_task: _Task | None = None
_lock = threading.Lock()
_thread = threading.local()


def set_total(total: int, done: int = 0):
    """Sets the number of elements to count to, and how many an earlier process has done."""
    with _lock:
        if _task:
            _task.total, _task.done, _task.first = total, done, None
            _task.update_bar()


def advance(n: int = 1):
    """Counts `n` more elements."""
    if count := getattr(_thread, "count", None):
        count(n)
    with _lock:
        if _task:
            _task.done += n
            _task.first = _task.first or (time.monotonic(), _task.done)
            _task.update_bar()


def reach(n: int):
    """Counts up to `n` elements, if these are not counted yet."""
    with _lock:
        if _task and n > _task.done:
            _task.done = n
            _task.first = _task.first or (time.monotonic(), n)
            _task.update_bar()


@contextlib.contextmanager
def counted_by(count):
    """During the block, `advance` in this thread also calls `count(n)`."""
    before = getattr(_thread, "count", None)
    _thread.count = count
    try:
        yield
    finally:
        _thread.count = before


def print_status(name: str, text: str):
    """Prints a line about a component that is not at work."""
    print(f"{name:18}  {text}", flush=True)


def print_message(text: str):
    """Prints a line with the count and the time of the component at work, and `text`."""
    with _lock:
        if _task:
            _task.printed = time.monotonic()
        print(f"{_task.text()}  {text}" if _task else text, flush=True)


@contextlib.contextmanager
def paused():
    """Shows nothing during the block, which shows progress of its own."""
    task = _task
    if task:
        task.paused = True
        if task.bar:
            task.bar.stop()
    try:
        yield
    finally:
        if task:
            task.paused = False
            if task.bar:
                task.bar.start()


@contextlib.contextmanager
def inherited(name: str):
    """Counts for a component that the parent process shows: messages are printed, nothing else."""
    global _task
    _task = _Task(name)
    try:
        yield
    finally:
        _task = None


@contextlib.contextmanager
def component(name: str, stream=None):
    """Shows a component while the block works, and at the end how long it took.

    Args:
        name: of the component.
        stream: that is written to; None: `sys.stdout`.
    """
    global _task
    stream = stream or sys.stdout
    _task = task = _Task(name)
    ending = "failed after"
    try:
        with _bar(task, stream) if _draws(stream) else _plain_lines(task, stream):
            yield
        ending = "done in"
    finally:
        _task = None
        stream.write(f"{name:18}  {ending} {_duration(time.monotonic() - task.start)}\n")
        stream.flush()


def _draws(stream) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


@contextlib.contextmanager
def _bar(task: _Task, stream):
    """Draws a bar of rich, above which rich shows what is printed meanwhile."""
    from rich import console, progress, text

    class Status(progress.ProgressColumn):
        """The count, the time left and the time."""

        def render(self, _):
            return text.Text(task.status())

    columns = [progress.TextColumn(f"{task.name:18}"), progress.BarColumn(), Status()]
    task.bar = progress.Progress(*columns, console=console.Console(file=stream), transient=True)
    task.bar.add_task(task.name, total=None)
    with task.bar:
        yield


@contextlib.contextmanager
def _plain_lines(task: _Task, stream):
    """Writes a line whenever nothing was printed for a while."""
    stop = threading.Event()

    def show():
        while not stop.wait(_SECONDS_BETWEEN_LINES / 10):
            with _lock:
                due = time.monotonic() - task.printed >= _SECONDS_BETWEEN_LINES
                if due and not task.paused:
                    task.printed = time.monotonic()
                    stream.write(f"{task.text()}\n")
                    stream.flush()

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _duration(seconds: float) -> str:
    seconds = int(seconds + 0.5)
    return f"{seconds} s" if seconds < 100 else f"{seconds // 60} min {seconds % 60:02d} s"
