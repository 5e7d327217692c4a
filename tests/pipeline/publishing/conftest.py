"""What is published in these tests."""

import pytest


@pytest.fixture
def saved_model(tmp_path):
    """A small stand-in for a SavedModel, which is not loaded."""
    folder = tmp_path / "saved_model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"index")
    return folder
