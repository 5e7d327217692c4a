"""JAX gives TensorFlow's numbers, and modules that need TensorFlow name it. `make backends` runs this; skipped elsewhere."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

ANSWERS = pathlib.Path(__file__).with_name("answers.py")
ROOT = ANSWERS.parents[2]
PORTABLE = tuple(
    f"kseg.{name}"
    for name in (
        "blocks",
        "complexity",
        "encoders",
        "labels",
        "layers",
        "losses",
        "metrics",
        "models",
        "pairs",
        "plots",
    )
)
"""Modules that run on every backend."""

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="there is no JAX here; run `make backends`")


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Returns the answers of one kind on one backend, by name, from a separate process."""
    folder = tmp_path_factory.mktemp("answers")

    def of(kind, backend):
        file = folder / f"{kind}-{backend}.npz"
        if not file.exists():
            environment = os.environ | {"KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "-1"}
            environment["XLA_FLAGS"] = "--xla_backend_optimization_level=0"  # JAX compiles in half of the time
            if kind == "gradients":
                environment["JAX_ENABLE_X64"] = "1"
            done = subprocess.run(
                [sys.executable, ANSWERS, kind, file], env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr[-3000:]
        return dict(np.load(file))

    return of


def differing(answered, expected):
    """What differs by more than 1e-4 of its largest number, and by how much."""
    assert answered.keys() == expected.keys() and answered
    errors = {
        name: float(np.abs(answered[name] - value).max() / max(np.abs(value).max(), 1e-30))
        for name, value in expected.items()
    }
    return {name: error for name, error in errors.items() if not error <= 1e-4}


@pytest.mark.timeout(1800)
def test_every_network_gives_the_same_logits(answers):
    assert not differing(answers("networks", "jax"), answers("networks", "tensorflow"))


@pytest.mark.timeout(1800)
def test_every_network_has_the_same_gradients(answers):
    assert not differing(answers("gradients", "jax"), answers("gradients", "tensorflow"))


def test_every_loss_has_the_same_values_and_gradients(answers):
    assert not differing(answers("losses", "jax"), answers("losses", "tensorflow"))


def test_the_metric_counts_the_same_and_exactly(answers):
    answered, expected = answers("metrics", "jax"), answers("metrics", "tensorflow")
    assert not differing(answered, expected)
    assert answered["past 2^24: matrix"][0, 0] == 2**40 - 2**16 + 1
    for name in expected:
        if "matrix" in name:
            np.testing.assert_array_equal(answered[name], expected[name])


def test_fit_gives_the_same_history_and_weights(answers):
    assert not differing(answers("training", "jax"), answers("training", "tensorflow"))


def test_only_modules_that_check_for_tensorflow_need_it(answers):
    """The error names the module; one that imports such a module needs TensorFlow too."""
    for module, error in answers("imports", "jax").items():
        assert bool(str(error)) >= says_so(module), module
        assert not (str(error) and module.startswith(PORTABLE)), (module, error)
        if str(error):
            match = re.fullmatch(
                r"(kseg[\w.]*) needs Keras to run on TensorFlow\. Received: keras\.backend\.backend\(\)='jax'\. Set "
                r"KERAS_BACKEND=tensorflow before Keras is imported; networks, losses and metrics run on every backend\.",
                str(error),
            )
            assert match, (module, error)
            assert says_so(match[1])


def says_so(module: str) -> bool:
    path = ROOT.joinpath(*module.split("."))
    source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
    return "require_tensorflow(__name__)" in source
