"""Fixtures shared by all tests."""

import gc
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    import tensorflow

    # Beside others this process has one core, of which a second thread would take a quarter by waiting. Its children have all.
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)

ROOT = pathlib.Path(__file__).resolve().parent.parent

gc.disable()  # until all modules are imported, which takes half as long without it


FIRST = ("test_whole_line.py", "test_predict.py", "test_multiworker.py", "test_docstrings.py")
"""Files that take 25 CPU seconds or more and would be among the last."""


def pytest_collection_modifyitems(items):
    """Starts with long files, so that of several processes none is left with one alone at the end."""
    items.sort(key=lambda item: item.path.name not in FIRST)


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def data() -> pathlib.Path:
    """The folder of real images; tests that need it skip where it is missing, unless KSEG_REQUIRE_DATA=1."""
    folder = pathlib.Path(os.environ.get("KSEG_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        if os.environ.get("KSEG_REQUIRE_DATA") == "1":
            pytest.fail(f"$KSEG_DATA must be a folder of real images. Received: {folder}.")
        pytest.skip(f"no real images at {folder}")
    return folder.resolve()


@pytest.fixture(scope="module", autouse=True)
def settled():
    """What a module leaves behind, graphs above all, is not looked through again by every later collection of garbage."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture
def symbolic():
    """The networks of this test hold no memory: their weights have shapes and no values."""
    import keras

    with keras.StatelessScope(initialize_variables=False):
        yield
    keras.utils.clear_session(free_memory=False)  # forgets the variables, which Keras would fill at the next chance


@pytest.fixture
def photos(tmp_path) -> pathlib.Path:
    """A folder of 10 small pairs of different sizes, RGB, in train (6), val (2) and test (2), with classes.csv.

    Mask values are 0, 5 and 200; 9 is void, and has a row of the table for its colour.
    """
    import numpy as np
    from PIL import Image

    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "classes.csv").write_text(
        "value,name,red,green,blue\n0,ground,90,90,90\n5,left,220,60,50\n200,right,50,90,220\n9,void,0,0,0\n"
    )
    splits = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    for number, split in enumerate(splits):
        height, width = 20 + 4 * (number % 3), 30 - 2 * (number % 4)
        mask = np.zeros((height, width), np.uint8)
        mask[5:, : width // 3] = 5
        mask[8:, width // 2 :] = 200
        mask[0] = 9
        image = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
        for kind, pixels in (("images", image), ("masks", mask)):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / kind / split / f"{number:02}.png")
    return folder
