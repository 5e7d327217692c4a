"""Every class that a saved model can name is registered with Keras, before its module is imported and without importing it."""

import ast
import importlib
import pathlib
import subprocess
import sys

import keras
import pytest

from kseg._registration import CLASSES, Deferred

ROOT = pathlib.Path(__file__).resolve().parents[2]


def decorated() -> dict[str, tuple[str, ...]]:
    """What stands under `register_keras_serializable`, by module."""
    found = {}
    for path in sorted((ROOT / "kseg").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = tuple(
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef | ast.FunctionDef)
            and any("register_keras_serializable" in ast.unparse(decorator) for decorator in node.decorator_list)
        )
        if names:
            found[".".join(path.relative_to(ROOT).with_suffix("").parts)] = names
    return found


def in_fresh_process(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_table_lists_what_is_decorated():
    assert {module: sorted(names) for module, names in CLASSES.items()} == {
        module: sorted(names) for module, names in decorated().items()
    }


def test_a_deferred_name_stands_for_the_class_that_takes_its_place():
    for module, names in CLASSES.items():
        for name in names:
            found = Deferred(module, name).resolve()
            assert found is getattr(importlib.import_module(module), name)
            assert keras.saving.get_registered_object(f"kseg>{name}") is found


@pytest.mark.parametrize("imports", ["import keras, kseg", "import kseg, keras"])
def test_names_are_registered_without_importing_their_modules(imports):
    code = (
        f"import sys; {imports}\n"
        "print(keras.saving.get_registered_object('kseg>Dice'), [name for name in sys.modules if name.startswith('kseg.')],"
        " type(keras.__loader__).__module__, [type(f).__module__ for f in sys.meta_path if 'kseg' in type(f).__module__])"
    )
    expected = "<class kseg.losses.overlap.Dice, not yet imported> ['kseg._registration'] _frozen_importlib_external []"
    assert in_fresh_process(code) == expected


def test_a_module_of_kseg_may_be_what_imports_keras_first():
    code = (
        "import kseg; kseg.layers\nimport keras; keras.saving.get_registered_object\n"
        "print(keras.saving.get_registered_object('kseg>CropToMatch') is kseg.layers.CropToMatch,"
        " keras.saving.get_registered_object('kseg>Dice'))"
    )
    assert in_fresh_process(code) == "True <class kseg.losses.overlap.Dice, not yet imported>"


@pytest.mark.slow
def test_kseg_may_be_imported_twice_before_keras():
    code = (
        "import sys, kseg\nfor name in [n for n in sys.modules if n.startswith('kseg')]: del sys.modules[name]\n"
        "import kseg, keras\n"
        "print(keras.saving.get_registered_object('kseg>Dice'),"
        " [type(f).__module__ for f in sys.meta_path if 'kseg' in type(f).__module__])"
    )
    assert in_fresh_process(code) == "<class kseg.losses.overlap.Dice, not yet imported> []"


@pytest.mark.slow
def test_an_import_of_keras_that_fails_can_be_repeated():
    code = (
        "import os, kseg\nos.environ['KERAS_BACKEND'] = 'none'\n"
        "try:\n    import keras\nexcept ValueError:\n    os.environ['KERAS_BACKEND'] = 'tensorflow'\n"
        "import sys\nfor name in [name for name in sys.modules if name.split('.')[0] == 'keras']:\n    del sys.modules[name]\n"
        "import keras\nprint(keras.saving.get_registered_object('kseg>Dice'))"
    )
    assert in_fresh_process(code) == "<class kseg.losses.overlap.Dice, not yet imported>"
