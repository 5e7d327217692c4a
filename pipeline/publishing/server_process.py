"""Starts the fresh process that stands for a server (`fresh_process.py`), and checks with it that a pushed version loads.

The process is a `python -I` in an empty folder outside the checkout: neither the working directory, nor PYTHONPATH, nor an
installed kseg can help. Standard library only; the process itself needs TensorFlow.
"""

from __future__ import annotations

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

from pipeline.engine.files import read_json
from pipeline.publishing import fresh_process

TIMEOUT = 600
"""Seconds after which the process is considered hung."""

FAILURES = (subprocess.CalledProcessError, subprocess.TimeoutExpired)
"""What `serve` raises where the model cannot be served."""


def serve(
    saved_model: pathlib.Path,
    requests: list[bytes],
    largest: tuple[bytes | None, tuple[int, ...]] | None = None,
    warm_up: Sequence[tuple[str, Mapping[str, bytes]]] = (),
) -> tuple[dict, list[bytes]]:
    """Loads a model in a process without kseg, and sends it images.

    Args:
        saved_model: folder of the model.
        requests: encoded images, or files of numpy's with their pixels; none: the model is loaded, its variables included, and
            asked nothing.
        largest: the largest image that the model allows, encoded, or None where no encoded image is sent, and as the shape of an
            array, sent last for the peak of memory; None: it is not sent.
        warm_up: names of signatures and their inputs, serialized TensorProto by name, which are asked first.

    Returns:
        What `fresh_process` reports (signatures, seconds per image, peak of memory, first-party modules), and a PNG for each, or
        a file of numpy's for each that is one.

    Raises:
        subprocess.CalledProcessError: the process failed.
        subprocess.TimeoutExpired: the process hung.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = shutil.copy(fresh_process.__file__, folder)
        folders = {name: pathlib.Path(folder, name) for name in ("empty", "requests", "answers")}
        for path in folders.values():
            path.mkdir()
        for number, image_bytes in enumerate(requests):
            (folders["requests"] / f"{number:04}").write_bytes(image_bytes)
        shape = ""
        if largest:
            if largest[0] is not None:
                (folders["requests"] / fresh_process.LARGEST).write_bytes(largest[0])
            shape = "x".join(map(str, largest[1]))
        encoded = [
            (name, {key: base64.b64encode(value).decode() for key, value in inputs.items()}) for name, inputs in warm_up
        ]
        (folders["requests"] / fresh_process.WARM_UP).write_text(json.dumps(encoded))
        command = [sys.executable, "-I", script, saved_model.resolve(), folders["requests"], folders["answers"], shape]
        # Without GPUs: this process may already hold all their memory.
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1"}
        subprocess.run(
            command, cwd=folders["empty"], env=environment, check=True, capture_output=True, text=True, timeout=TIMEOUT
        )
        answers = [path.read_bytes() for path in sorted(folders["answers"].glob("*.[pn][np][gy]"))]
        return read_json(folders["answers"] / "answers.json"), answers


def describe_failure(error: Exception) -> str:
    """Why the process failed, one of `FAILURES`, with the last lines that it wrote."""
    output = error.stderr.decode() if isinstance(error.stderr, bytes) else error.stderr or ""
    status = f"exit status {error.returncode}" if hasattr(error, "returncode") else f"no result after {error.timeout} s"
    return f"{status} [{' | '.join(line.strip() for line in output.strip().splitlines()[-3:])}]"


def check_loads(version: pathlib.Path):
    """Refuses a version that does not load at the place it is served from.

    Raises:
        ValueError: it does not load.
    """
    try:
        serve(version, [])
    except FAILURES as error:
        raise ValueError(
            f"A pushed version must load in a fresh process. Received: {describe_failure(error)} from {version}. Check the disk "
            "and the permissions there, then give the same command again."
        ) from None
