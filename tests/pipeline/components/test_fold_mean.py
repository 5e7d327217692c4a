"""fold_mean: the mean of networks is exported like a trained one, and passes the check of exports."""

import json
import shutil

import keras
import numpy as np
import pytest

from kseg import inference
from pipeline.components.exporter import exporter
from pipeline.components.fold_mean import fold_mean
from pipeline.components.infra_validator import infra_validator
from pipeline.examples import prepared
from pipeline.settings.exporter import Exporter
from pipeline.settings.fold import FoldMean
from pipeline.settings.infra_validator import InfraValidator


@pytest.fixture
def other(finished, tmp_path):
    """A network that gives every pixel the same probabilities: 1/3 each."""
    model = keras.saving.load_model(finished.trainer / "model.keras")
    model.set_weights([np.zeros_like(weights) for weights in model.get_weights()])
    folder = tmp_path / "other"
    folder.mkdir()
    model.save(folder / "model.keras")
    return folder


def test_its_export_answers_with_the_mean_and_agrees_with_the_keras_model(finished, other, tmp_path):
    mean, out, infra = (tmp_path / name for name in ("mean", "exporter", "infra"))
    for folder in (mean, out, infra):
        folder.mkdir()
    fold_mean(mean, FoldMean(), examples=finished.examples, model_00=finished.trainer, model_01=other)
    settings = Exporter(flips=("horizontal",), max_pixels=250_000)
    exporter(out, settings, model=mean, transform=finished.transform)
    image = finished.pairs["test"][0][0][None]
    alone = np.exp(inference.SavedModel(finished.exporter / "saved_model")(image))
    served = np.exp(inference.SavedModel(out / "saved_model")(image))
    np.testing.assert_allclose(served, (alone + 1 / 3) / 2, atol=0.02)  # a flip moves the padding
    inputs = {"examples": finished.examples, "transform": finished.transform}
    infra_validator(infra, InfraValidator(samples=1), model=mean, export=out, **inputs)
    verdict = json.loads((infra / "infra.json").read_text())
    assert verdict["blessed"], verdict["reasons"]


@pytest.mark.parametrize("splits", [["train", "validation"], ["train"]])
def test_it_keeps_where_all_networks_began_and_says_what_the_mean_has_seen(finished, tmp_path, monkeypatch, splits):
    monkeypatch.setattr(prepared, "split_sizes", lambda examples: dict.fromkeys([*splits, "test"], 3))
    pretrained = {"encoder": "resnet50", "licence": "Apache-2.0"}
    for name in ("one", "two", "mean"):
        (tmp_path / name).mkdir()
    for name in ("one", "two"):
        shutil.copy(finished.trainer / "model.keras", tmp_path / name)
        (tmp_path / name / "training.json").write_text(json.dumps({"pretrained": pretrained, "seconds": 7}))
    models = {"model_00": tmp_path / "one", "model_01": tmp_path / "two"}
    fold_mean(tmp_path / "mean", FoldMean(), examples=finished.examples, **models)
    facts = json.loads((tmp_path / "mean" / "training.json").read_text())
    assert facts == {"pretrained": pretrained, "trained_on": splits}
