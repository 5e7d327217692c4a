"""What the commands share of their dealings with the person at the keyboard: which errors are theirs, and less chatter.

Standard library only.
"""

from __future__ import annotations

import contextlib
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
