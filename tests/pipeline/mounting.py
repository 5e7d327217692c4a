"""A file system of a test's own, to fill or to write-protect."""

import contextlib
import pathlib
import subprocess

import pytest


@contextlib.contextmanager
def mounted(folder: pathlib.Path, *arguments: str):
    """A file system at `folder`; the test skips where mounting is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", *arguments, str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
