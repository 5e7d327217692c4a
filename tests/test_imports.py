"""Who may import what: the table of docs/architecture.md."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEAVY = {"tensorflow", "keras", "apache_beam", "tensorflow_datasets", "keras_cv"}
MAY = {  # the first pattern that matches a module's path -> which of HEAVY it may import
    "kseg/layers/*.py": {"keras"},
    "kseg/blocks.py": {"keras"},
    "kseg/encoders/*.py": {"keras"},
    "kseg/optimizers.py": {"keras"},
    "kseg/label_encodings.py": {"keras"},
    "kseg/keras_cv.py": {"keras", "keras_cv"},
    "kseg/models/*.py": {"keras"},
    "kseg/losses/*.py": {"keras"},
    "kseg/metrics/*.py": {"keras"},
    "kseg/receptive_fields/*.py": {"keras"},
    "kseg/_backend.py": {"keras"},
    "kseg/densecrf/*.py": {"tensorflow", "keras"},
    "kseg/resizing.py": {"tensorflow"},
    "kseg/tiles_in_graph.py": {"tensorflow"},
    "kseg/games/*.py": {"tensorflow", "keras"},
    "kseg/augment.py": {"tensorflow"},
    "kseg/data.py": {"tensorflow", "tensorflow_datasets"},
    "kseg/distribute.py": {"tensorflow", "keras"},
    "kseg/callbacks.py": {"tensorflow", "keras"},
    "kseg/inference/refined.py": {"tensorflow"},
    "kseg/inference/saved_models.py": {"tensorflow"},
    "kseg/serving.py": {"tensorflow", "keras"},
    "kseg/orientation.py": {"tensorflow"},
    "kseg/datasets/*_builder.py": {"tensorflow_datasets"},
    "pipeline/beam.py": {"apache_beam"},
    "pipeline/prepared.py": {"apache_beam", "tensorflow_datasets"},
    "pipeline/sources.py": {"apache_beam", "tensorflow_datasets"},
    "pipeline/tfds_builder.py": {"tensorflow_datasets"},
    "pipeline/fresh_process.py": {"tensorflow"},
    "pipeline/tune_crf.py": {"tensorflow"},
    "pipeline/predicted.py": {"apache_beam", "tensorflow"},
    "pipeline/counted_pairs.py": {"apache_beam", "tensorflow"},
    "pipeline/networks.py": {"keras"},
    "pipeline/components/*.py": HEAVY,
}
MODULES = sorted(path for package in ("kseg", "pipeline") for path in (ROOT / package).rglob("*.py"))


def imports(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_the_frameworks_of_its_room(path):
    module = path.relative_to(ROOT)
    allowed = next((frameworks for pattern, frameworks in MAY.items() if module.match(pattern)), set())
    assert {name.split(".")[0] for name in imports(path)} & HEAVY <= allowed


def test_kseg_never_imports_the_pipeline():
    ours = sorted((ROOT / "kseg").rglob("*.py"))
    assert not [path for path in ours if any(name.startswith("pipeline") for name in imports(path))]


def test_layers_blocks_encoders_and_models_build_on_each_other_in_one_direction():
    order = ["layers", "blocks", "encoders", "models"]
    for i, room in enumerate(order):
        above = tuple(f"kseg.{later}" for later in order[i + 1 :])
        paths = [
            path
            for path in (ROOT / "kseg").rglob("*.py")
            if path.relative_to(ROOT / "kseg").parts[0].split(".")[0] == room
        ]
        assert paths, room
        for path in paths:
            assert not [name for name in imports(path) if name.startswith(above)], path


def test_importing_kseg_imports_no_framework_and_an_unknown_name_is_refused():
    code = (
        "import sys, kseg\nprint([m for m in ('tensorflow', 'keras', 'numpy', 'apache_beam') if m in sys.modules])\n"
        "try:\n    kseg.Unet\nexcept AttributeError as error:\n    print(error)"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    first, second = answer.splitlines()
    assert first == "[]" and "kseg has no attribute 'Unet'" in second and "UNet" in second


def test_every_public_name_resolves():
    import kseg

    assert all(getattr(kseg, name) is not None for name in kseg.__all__)
