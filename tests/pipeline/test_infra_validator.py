import json
import shutil
import subprocess
import sys

import pytest

from pipeline import fresh_process
from pipeline.components.infra_validator import infra_validator, promised
from pipeline.config import InfraValidator


@pytest.fixture
def validate(tmp_path, finished):
    """Runs the component on the finished line, with any of its artifacts replaced; returns infra.json."""

    def run(samples=2, **artifacts):
        folders = vars(finished) | artifacts
        infra_validator(
            tmp_path,
            InfraValidator(samples=samples),
            model=folders["trainer"],
            examples=folders["examples"],
            transform=folders["transform"],
        )
        return json.loads((tmp_path / "infra.json").read_text())

    return run


@pytest.fixture
def trainer(tmp_path, finished):
    """A copy of the trainer's artifact that a test may spoil."""
    return shutil.copytree(finished.trainer, tmp_path / "trainer")


def test_an_export_that_answers_elsewhere_as_keras_does_here_is_blessed(validate):
    verdict = validate()
    assert verdict["reasons"] == []
    assert verdict["blessed"]
    assert verdict["agreement"] == 1.0
    assert verdict["signatures"] == promised(channels=3, num_classes=3)
    assert verdict["seconds_per_image"] > 0


def test_an_export_with_other_weights_than_the_keras_model_is_not_blessed(validate, trainer):
    import keras

    model = keras.saving.load_model(trainer / "model.keras")
    kernel, bias = model.get_layer("score").get_weights()
    model.get_layer("score").set_weights([kernel[..., ::-1], bias[::-1]])
    model.save(trainer / "model.keras")
    verdict = validate(trainer=trainer)
    assert not verdict["blessed"]
    assert verdict["agreement"] < 0.9
    assert verdict["reasons"][0].startswith("The SavedModel's label maps must agree with the Keras model's on 99.9%")


def test_a_damaged_export_is_not_blessed_and_the_reason_quotes_the_process(validate, trainer):
    (trainer / "saved_model" / "saved_model.pb").write_bytes(b"no graph")
    verdict = validate(trainer=trainer)
    assert not verdict["blessed"]
    assert (verdict["signatures"], verdict["agreement"], verdict["seconds_per_image"]) == ({}, None, None)
    assert "must load and answer in a fresh process without kseg. Received: exit status 1" in verdict["reasons"][0]
    assert "saved_model.pb" in verdict["reasons"][0]


def test_signatures_other_than_the_promised_ones_are_named_one_by_one(validate, trainer):
    import tensorflow as tf

    class Narrow(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")])
        def serve(self, image_bytes):
            black = tf.io.encode_png(tf.zeros((4, 4, 1), tf.uint8))
            return {"label_map_bytes": tf.fill(tf.shape(image_bytes), black)}

    model = Narrow()
    shutil.rmtree(trainer / "saved_model")
    tf.saved_model.save(model, str(trainer / "saved_model"), signatures={"serve_bytes": model.serve})
    verdict = validate(trainer=trainer)
    named = [reason.split(" must be ")[0] for reason in verdict["reasons"][:2]]
    assert named == ["Signature 'serving_default'", "Signature 'probabilities'"]
    assert "agreement=0.0000" in verdict["reasons"][2]  # label maps of another size agree nowhere


def test_no_sample_is_refused(validate):
    with pytest.raises(ValueError, match=r"at least 1\. Received: infra_validator.samples=0"):
        validate(samples=0)


def test_kseg_and_pipeline_cannot_be_imported_in_the_fresh_process_even_where_they_are_installed(tmp_path):
    for package in fresh_process.FIRST_PARTY:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    program = f"""
import importlib.util, sys
sys.path.insert(0, {str(tmp_path)!r})
spec = importlib.util.spec_from_file_location("fresh_process", {fresh_process.__file__!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
import kseg
print(*module.imported())
del sys.modules["kseg"]
sys.meta_path.insert(0, module.Refuse())
for name in ("kseg", "pipeline", "kseg.layers"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        print(error)
"""
    said = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, cwd=tmp_path)
    refused = "is refused in the process that stands for a server."
    assert said.stdout.splitlines() == ["kseg", f"kseg {refused}", f"pipeline {refused}", f"kseg {refused}"]
