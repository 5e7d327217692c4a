"""python -m pipeline.serve savedmodels/NAME: serves a pushed model over REST and gRPC until it is told to stop.

SIGTERM and Ctrl-C end it: what was accepted is finished first. A second one ends it at once.
"""

from __future__ import annotations

import functools
import os
import pathlib
import signal
import sys
import threading

from pipeline.engine.console import imports, run_command
from pipeline.publishing.entries import list_versions
from pipeline.settings import serving as serving_settings

PROG = "python -m pipeline.serve"

build_parser = functools.partial(serving_settings.build_parser, PROG)


def main(argv: list[str] | None = None, prog: str = PROG) -> int:
    """Serves; returns the exit status: 0 stopped by SIGTERM or Ctrl-C, 2 a wrong argument or no version."""
    return run_command(functools.partial(_serve, prog=prog), argv)


def _serve(argv: list[str], prog: str) -> int:
    # Check arguments before anything heavy is imported.
    options = serving_settings.parse(argv, prog)
    folder = pathlib.Path(options.model)
    if not list_versions(folder):
        cure = f" Name {folder.parent}." if folder.name in map(str, list_versions(folder.parent)) else ""
        raise ValueError(
            f"The model must be a folder with versions, savedmodels/NAME. Received: {folder}, where there is none.{cure}"
        )

    # Stop by a signal from here on, also while versions are loaded.
    asked = threading.Event()

    def ask_to_stop(number, frame):
        if asked.is_set():
            os._exit(128 + number)
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)

    # Serve.
    with imports():
        from pipeline.server.running import Server
        from pipeline.server.saved_model import find_devices

        find_devices()
    server = Server(options)
    asked.wait()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
