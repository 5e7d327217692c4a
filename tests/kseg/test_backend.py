"""The check for TensorFlow. tests/backends asks it where Keras really runs on JAX."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg._backend import known_values, require_tensorflow


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


def test_values_are_known_of_arrays_and_eager_tensors_and_of_nothing_in_a_graph():
    assert known_values(np.arange(2)).tolist() == known_values(tf.range(2)).tolist() == [0, 1]
    assert known_values(keras.KerasTensor((2,))) is None
    found = []
    tf.function(lambda x: found.append(known_values(x)) or x)(tf.range(2))
    tf.function(lambda x: found.append(known_values(x)) or x, jit_compile=True)(tf.range(2))
    assert found == [None, None]
