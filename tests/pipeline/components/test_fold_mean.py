"""fold_mean: the mean of networks is exported with the trainer's settings, and passes the check of exports."""

import json

import keras
import numpy as np
import pytest

from kseg import inference
from kseg.serving.manifest import read_manifest
from pipeline.components.fold_mean import fold_mean
from pipeline.components.infra_validator import infra_validator
from pipeline.settings.infra_validator import InfraValidator
from pipeline.settings.trainer import Trainer


@pytest.fixture
def other(finished, tmp_path):
    """A network that gives every pixel the same probabilities: 1/3 each."""
    model = keras.saving.load_model(finished.trainer / "model.keras")
    model.set_weights([np.zeros_like(weights) for weights in model.get_weights()])
    folder = tmp_path / "other"
    folder.mkdir()
    model.save(folder / "model.keras")
    return folder


def test_the_export_answers_with_the_mean_and_agrees_with_the_keras_model(finished, other, tmp_path):
    out, infra = tmp_path / "mean", tmp_path / "infra"
    for folder in (out, infra):
        folder.mkdir()
    settings = Trainer(flips=("horizontal",), max_pixels=250_000)
    fold_mean(out, settings, transform=finished.transform, model_00=finished.trainer, model_01=other)
    image = finished.pairs["test"][0][0][None]
    alone = np.exp(inference.SavedModel(finished.trainer / "saved_model")(image))
    served = np.exp(inference.SavedModel(out / "saved_model")(image))
    np.testing.assert_allclose(served, (alone + 1 / 3) / 2, atol=0.02)  # a flip moves the padding
    manifest = read_manifest(out / "saved_model")
    assert manifest["flips"] == ["horizontal"] and manifest["max_pixels"] == 250_000
    infra_validator(
        infra, InfraValidator(samples=1), model=out, examples=finished.examples, transform=finished.transform
    )
    verdict = json.loads((infra / "infra.json").read_text())
    assert verdict["blessed"], verdict["reasons"]
