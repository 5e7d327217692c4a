"""One line per component while it works: what, how many of how many, time left.

Components call `total` and `advance`; both do nothing while no line is open, so a component also runs by itself. A counter is
kept in this process: workers of a Beam runner in other processes do not reach it, and the line then shows the time alone.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time

_SECONDS_BETWEEN_PLAIN_LINES = 15


class _Line:
    """What is known of the component at work."""

    def __init__(self, name):
        self.name, self.total, self.done, self.start = name, None, 0, time.monotonic()
        self.silent = False

    def text(self) -> str:
        seconds = time.monotonic() - self.start
        parts = [f"{self.name:18}"]
        if self.total:
            parts.append(f"{self.done} of {self.total}")
            if 0 < self.done < self.total:
                parts.append(f"{_duration(seconds / self.done * (self.total - self.done))} left")
        parts.append(_duration(seconds))
        return "  ".join(parts)


_line: _Line | None = None
_lock = threading.Lock()


def total(n: int):
    """Says how many elements the open line counts to, and starts again from none."""
    with _lock:
        if _line:
            _line.total, _line.done = n, 0


def advance(n: int = 1):
    """Counts `n` more elements on the open line."""
    with _lock:
        if _line:
            _line.done += n


def note(name: str, text: str):
    """A finished line about a component that did not have to work."""
    print(f"{name:18}  {text}", flush=True)


def say(text: str):
    """Prints the open line with `text` behind it, on a line of its own."""
    with _lock:
        print(f"{_line.text()}  {text}" if _line else text, flush=True)


@contextlib.contextmanager
def handed_over():
    """Keeps the open line silent while the block shows its own progress, as Keras's bar does."""
    with _lock:
        owner = _line
        if owner:
            owner.silent = True
    try:
        yield
    finally:
        if owner:
            owner.silent = False


@contextlib.contextmanager
def continued(name: str):
    """Takes up, without showing the time by itself, the line that another process has opened for `name` and handed over."""
    global _line
    _line = _Line(name)
    try:
        yield
    finally:
        _line = None


@contextlib.contextmanager
def line(name: str, stream=None):
    """Shows `name` while the block works: rewritten in place on a terminal, a plain line now and then elsewhere."""
    global _line
    stream = stream or sys.stdout
    _line, stop = _Line(name), threading.Event()
    terminal = stream.isatty()

    def show():
        while not stop.wait(0.5 if terminal else _SECONDS_BETWEEN_PLAIN_LINES):
            if not _line.silent:
                stream.write(f"\r\033[K{_line.text()}" if terminal else f"{_line.text()}\n")
                stream.flush()

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        _end(stream, thread, stop, terminal, f"{name:18}  failed after {_duration(time.monotonic() - _line.start)}")
        raise
    _end(stream, thread, stop, terminal, f"{name:18}  done in {_duration(time.monotonic() - _line.start)}")


def _end(stream, thread, stop, terminal, text):
    global _line
    stop.set()
    thread.join()
    stream.write(("\r\033[K" if terminal else "") + text + "\n")
    stream.flush()
    _line = None


def _duration(seconds: float) -> str:
    seconds = int(seconds + 0.5)
    return f"{seconds} s" if seconds < 100 else f"{seconds // 60} min {seconds % 60:02d} s"
