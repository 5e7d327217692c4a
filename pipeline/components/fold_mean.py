"""fold_mean: exports one network that averages the probabilities of those that a cross-validation trained. TensorFlow."""

from __future__ import annotations

import pathlib

import keras

import kseg.layers  # noqa: F401  (`model.keras` is made of them, so their code belongs to the recipe)
from kseg.labels import LabelMap
from kseg.models.deep_ensemble import DeepEnsemble
from pipeline.engine.files import read_json
from pipeline.settings.trainer import Trainer
from pipeline.training.exporting import export


def fold_mean(out: pathlib.Path, config: Trainer, *, transform: pathlib.Path, **models: pathlib.Path):
    """Writes `model.keras` and `saved_model/`, as the trainer does.

    Args:
        out: folder to write below.
        config: how to export.
        transform: artifact of transform, whose plan all models were trained by.
        **models: artifacts of the trainer.
    """
    networks = [keras.saving.load_model(model / "model.keras", compile=False) for _, model in sorted(models.items())]
    mean, plan = DeepEnsemble(networks), read_json(transform / "plan.json")
    mean.save(out / "model.keras")
    export(mean, out / "saved_model", config, plan=plan, labels=LabelMap.load(transform))
