"""What the commands share of their dealings with the person at the keyboard: which errors are theirs or the disk's, less chatter.

Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import sys
import tempfile
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


def raised_by_us(error: BaseException) -> bool:
    """Whether our own code raised it: then its message is written for the user, and a traceback would hide it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = pathlib.Path(__file__).resolve().parent.parent
    return bool(frames) and any(
        ours / package in pathlib.Path(frames[-1].filename).parents for package in ("kseg", "pipeline")
    )


_FULL, _CLOSED = (errno.ENOSPC, errno.EDQUOT), (errno.EROFS, errno.EACCES, errno.EPERM)


def fault_of_the_disk(error: BaseException) -> str | None:
    """What to tell a person whose disk is full or not writable; None where that is not the matter.

    h5py, TensorFlow and Beam raise errors of their own kinds, which say it in words or were raised from one that does.
    """
    said = []
    while error is not None:
        said.append(error)
        error = error.__cause__ or error.__context__
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
