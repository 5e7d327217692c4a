"""Fixtures shared by all tests."""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data() -> pathlib.Path:
    """The folder of real images; tests that need it skip where it is missing, unless KSEG_REQUIRE_DATA=1."""
    folder = pathlib.Path(os.environ.get("KSEG_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        if os.environ.get("KSEG_REQUIRE_DATA") == "1":
            pytest.fail(f"$KSEG_DATA must be a folder of real images. Received: {folder}.")
        pytest.skip(f"no real images at {folder}")
    return folder.resolve()
