"""What the commands share of their dealings with the person at the keyboard: Ctrl-C, whose an error is, less chatter.

Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import pathlib
import signal
import sys
import tempfile
import threading
import traceback


@contextlib.contextmanager
def native_chatter_dropped():
    """Drops what compiled libraries print while they load, which no log level stops; shows it if loading fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        except BaseException:
            file.seek(0)
            os.write(kept, file.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def interrupted_afterwards():
    """Lets the block end before Ctrl-C strikes: libraries that try imports would swallow it, and the work would go on."""
    heard = []
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, lambda *_: heard.append(True))
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    if heard:
        raise KeyboardInterrupt


@contextlib.contextmanager
def interrupts_kept():
    """Raises KeyboardInterrupt for what a library made of one: Beam, where it works in the main thread, raises a RuntimeError."""
    try:
        yield
    except Exception as error:
        if any(isinstance(one, KeyboardInterrupt) for one in _chain(error)):
            raise KeyboardInterrupt from error
        raise


def _chain(error: BaseException) -> list[BaseException]:
    """The error, and those that it was raised from, one after the other."""
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


@contextlib.contextmanager
def imports():
    """Goes around heavy imports: quiet, whole before Ctrl-C strikes, and without looking for garbage in what modules define.

    The search for garbage, once more as Python ends, takes two of the four seconds that TensorFlow costs a process.
    """
    gc.disable()
    try:
        with interrupted_afterwards(), native_chatter_dropped():
            yield
    finally:
        gc.freeze()
        gc.enable()


def stopped(how_to_go_on: str) -> int:
    """Says that Ctrl-C stopped the command; returns its exit status, 130."""
    exec("")  # where it struck inside an `exec`, Python remembers that until the next, and would end by the signal
    print(f"\nStopped. {how_to_go_on}", file=sys.stderr)
    return 130


def raised_by_us(error: BaseException) -> bool:
    """Whether our own code raised it: then its message is written for the user, and a traceback would hide it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = pathlib.Path(__file__).resolve().parents[2]
    return bool(frames) and any(
        ours / package in pathlib.Path(frames[-1].filename).parents for package in ("kseg", "pipeline")
    )


def told(error: Exception) -> str | None:
    """What to tell a person of what is theirs or the disk's to mend; None where it is neither."""
    ours = isinstance(error, ValueError | OSError) and raised_by_us(error)
    return fault_of_the_disk(error) or (str(error) if ours else None)


_FULL, _CLOSED = (errno.ENOSPC, errno.EDQUOT), (errno.EROFS, errno.EACCES, errno.EPERM)


def fault_of_the_disk(error: BaseException) -> str | None:
    """What to tell a person whose disk is full or not writable; None where that is not the matter.

    h5py, TensorFlow and Beam raise errors of their own kinds, which say it in words or were raised from one that does.
    """
    said = _chain(error)
    for numbers, message in (
        (
            _FULL,
            "There must be room on the disk. Received: {}. Make some: `python -m pipeline.gc` lists what no model needs. ",
        ),
        (
            _CLOSED,
            "Folders must be writable. Received: {}. Choose other ones with --root and --push-to, or ask who owns them. ",
        ),
    ):
        for one in said:
            number = next((n for n in numbers if getattr(one, "errno", None) == n or os.strerror(n) in str(one)), None)
            if number is not None:
                place = f" [{one.filename}]" if getattr(one, "filename", None) else ""
                kept = "Then give the same command again: what is finished is kept."
                return message.format(os.strerror(number) + place) + kept
    return None
