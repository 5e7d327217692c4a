"""The check for TensorFlow. tests/backends asks it where Keras really runs on JAX."""

import pathlib

import keras
import pytest

import kseg
from kseg._backend import require_tensorflow


def test_another_backend_is_named_with_the_module_that_cannot_run_on_it(monkeypatch):
    require_tensorflow("kseg.games")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(
        ImportError, match=r"kseg\.games needs Keras to run on TensorFlow\. Received: .*='jax'\. Set KERAS_"
    ):
        require_tensorflow("kseg.games")


def test_modules_that_import_tensorflow_at_once_are_those_that_check_for_it_first():
    checking, importing = set(), set()
    for path in pathlib.Path(kseg.__file__).parent.rglob("*.py"):
        lines = path.read_text().splitlines()
        if "require_tensorflow(__name__)" in lines:
            checking.add(path.stem)
        if any(line.startswith(("import tensorflow as", "from tensorflow import")) for line in lines):
            importing.add(path.stem)
    assert checking == importing and "adversarial" in checking
