"""Every example in a docstring runs and gives what stands there."""

import doctest
import importlib
import pathlib

import keras
import numpy as np
import pytest
from PIL import Image

import kseg
from tests.prepared_pairs import write_prepared

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in ("kseg", "pipeline")
    for path in (ROOT / package).rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def examples_folder(tmp_path_factory):
    """What examples may read: `prepared`, a prepared data set of three classes, and `photos`, a folder of pairs."""
    folder = tmp_path_factory.mktemp("examples")
    labels = kseg.LabelMap(("ground", "left", "right"), ((90, 90, 90), (220, 60, 50), (50, 90, 220)), (0, 1, 2))
    image, label_map = np.full((24, 32, 3), 128, np.uint8), np.zeros((24, 32), np.uint8)
    write_prepared(folder / "prepared", {"train": [(image, label_map)] * 4, "validation": [(image, label_map)]}, labels)
    for kind, pixels in (("images", image), ("masks", label_map)):
        for split, numbers in (("train", range(2)), ("val", range(2, 3))):
            (folder / "photos" / kind / split).mkdir(parents=True)
            for number in numbers:
                Image.fromarray(pixels).save(folder / "photos" / kind / split / f"{number}.png")
    (folder / "photos" / "classes.csv").write_text("value,name,red,green,blue\n0,ground,90,90,90\n1,car,220,60,50\n")
    return folder


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name, examples_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for entry in examples_folder.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"keras": keras, "kseg": kseg, "np": np})
    assert result.attempted and not result.failed


@pytest.mark.parametrize("name", MODULES)
def test_no_example_is_skipped(name):
    path = ROOT / name.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    assert "doctest: +SKIP" not in path.read_text(encoding="utf-8")
