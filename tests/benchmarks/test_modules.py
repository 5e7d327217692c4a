"""Every benchmark can be imported: what it takes from kseg and the pipeline is still there."""

import importlib
import pkgutil

import pytest

import benchmarks

NAMES = [
    module.name
    for module in pkgutil.walk_packages(benchmarks.__path__, "benchmarks.")
    if not module.name.endswith("__main__")
]


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_imports(name):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != "jax":  # the backend of one benchmark, no requirement of the project
            raise
        pytest.skip("JAX is not installed")


def test_there_are_benchmarks():
    assert "benchmarks.networks" in NAMES and "benchmarks.adversarial_gain.training" in NAMES
