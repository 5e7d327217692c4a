"""What a plain `pip install` gives works without the packages of the extras, and a missing package names its extra."""

import ast
import functools
import importlib.metadata
import pathlib
import subprocess
import sys

import pytest

from kseg._extras import extra
from tests.conftest import ROOT

ALONE = """
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in %r:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""
SCRIPT = """
import keras, numpy as np
import kseg
images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype("float32")
label_maps = np.random.default_rng(1).integers(0, 3, (4, 16, 16)).astype("uint8")
model = kseg.UNet(3, filters=(4, 8))
model.compile("adam", loss=kseg.losses.CrossEntropy() + kseg.losses.Dice(), metrics=[kseg.metrics.ConfusionMatrix(3)])
best = kseg.callbacks.BestCheckpoint(sys.argv[1] + "/best.keras", model)
model.fit(images, label_maps, verbose=0, validation_data=(images, label_maps), callbacks=[best])
game = kseg.SegmentationGame(kseg.UNet(3, filters=(4, 8)), kseg.discriminators.SmallFOV(3, width=0.1))
game.compile("adam", "adam", loss=kseg.losses.CrossEntropy())
game.fit(images, label_maps, verbose=0)
labels = kseg.LabelMap(("a", "b", "c"), ((0, 0, 0), (9, 9, 9), (99, 99, 99)), (0, 1, 2))
kseg.export(model, sys.argv[1] + "/exported", labels=labels, image_size=(16, 16))
print("done")
"""
FAILING = {
    "metrics": "import numpy as np, kseg; kseg.metrics.boundary_counts(np.array([[0, 255]]), np.array([[0, 1]]), 2)",
    "postprocess": "import kseg; kseg.regions",
    "plots": "import kseg; kseg.plots.curves({'loss': [1.0, 2.0]})",
    "data": "import kseg.streets.builder",
    "formats": "import pathlib; from kseg.pairs.layouts.class_files import yaml_names; yaml_names(pathlib.Path('data.yaml'))",
}


@functools.cache
def extras() -> dict[str, list[str]]:
    """The extras in setup.py."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    (found,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "EXTRAS"
    )
    return ast.literal_eval(found)


def distribution(requirement: str) -> str:
    """The name in "scikit-image>=0.25"."""
    return requirement.partition(">")[0].lower()


def imported_under_extra(path: pathlib.Path):
    """Extra and package of every import in a `with extra(...)` block."""
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.With)
            and getattr(getattr(node.items[0].context_expr, "func", None), "id", "") == "extra"
        ):
            (name,) = node.items[0].context_expr.args
            for statement in node.body:
                module = statement.module if isinstance(statement, ast.ImportFrom) else statement.names[0].name
                yield name.value, module.partition(".")[0]


def test_every_extra_that_an_import_names_installs_the_package():
    found = {pair for path in (ROOT / "kseg").rglob("*.py") for pair in imported_under_extra(path)}
    assert {name for name, _ in found} == {"data", "encoders", "formats", "metrics", "plots", "postprocess", "runtimes"}
    for name, package in found:
        (wanted, *_) = importlib.metadata.packages_distributions()[package]
        listed = {distribution(requirement) for requirement in extras()[name]}
        assert wanted.lower().replace("_", "-") in listed, f"{package} is not in kseg[{name}]"


def test_nothing_but_the_small_install_is_imported_without_naming_an_extra():
    small = {"tensorflow", "keras", "numpy", "PIL", "kseg", "pipeline", *sys.stdlib_module_names}
    copied = ROOT / "kseg" / "serving" / "label.py"  # works where kseg is not installed, and says so
    for path in set((ROOT / "kseg").rglob("*.py")) - {copied}:
        named = {package for _, package in imported_under_extra(path)}
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for package in (name.partition(".")[0] for name in names):
                assert package in small | named, f"{path.relative_to(ROOT)} imports {package}"


def run(code: str, *arguments: str) -> subprocess.CompletedProcess:
    missing = {"scipy", "skimage", "matplotlib", "tensorflow_datasets", "simplejpeg", "keras_cv", "apache_beam"}
    missing |= {"tensorboard", "jinja2", "google_crc32c", "pyarrow", "pycocotools", "yaml"}
    return subprocess.run(
        [sys.executable, "-c", ALONE % missing + code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_training_games_callbacks_and_export_need_no_extra(tmp_path):
    done = run(SCRIPT, str(tmp_path))
    assert done.stdout.endswith("done\n"), done.stderr


@pytest.mark.parametrize("name", FAILING)
def test_a_missing_package_names_its_extra(name):
    done = run(FAILING[name])
    assert f"Install it with `pip install 'kseg[{name}]'`." in done.stderr.splitlines()[-1], done.stderr


def test_a_module_of_ours_that_is_missing_is_not_blamed_on_an_extra():
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'kseg\.nothing'$"), extra("data"):
        import kseg.nothing  # noqa: F401
