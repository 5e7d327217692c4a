"""Packages that only a part of kseg needs: the extra of setup.py that installs them, and Ctrl-C while they are imported.

Standard library only.
"""

from __future__ import annotations

import contextlib
import signal
import threading


@contextlib.contextmanager
def interrupt_deferred():
    """Raises KeyboardInterrupt only after the block: libraries that try imports would swallow it, and the work would go on."""
    received = []
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, lambda *_: received.append(True))
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    if received:
        raise KeyboardInterrupt


@contextlib.contextmanager
def extra(name: str):
    """Names the extra to install where an import in the block fails because a package is missing. Ctrl-C waits for its end.

    Args:
        name: an extra of setup.py that has the package: "data", "encoders", "formats", "metrics", "plots", "postprocess",
            "runtimes" or "storage".

    Raises:
        ModuleNotFoundError: a package is missing; the message holds the command that installs it.

    Example:
        >>> with extra("metrics"):
        ...     from scipy import ndimage
    """
    try:
        with interrupt_deferred():
            yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "kseg", "pipeline"):
            raise
        raise ModuleNotFoundError(
            f"The package {package!r} must be installed. Received: {error}. Install it with `pip install 'kseg[{name}]'`.",
            name=error.name,
        ) from error
