"""fold_mean: one network that averages the probabilities of those that a cross-validation trained. TensorFlow."""

from __future__ import annotations

import pathlib

import keras

import kseg.layers  # noqa: F401  (`model.keras` is made of them, so their code belongs to the recipe)
from kseg.models.deep_ensemble import DeepEnsemble
from pipeline.engine.files import read_json, write_json
from pipeline.examples import prepared
from pipeline.settings.fold import FoldMean

SEEN = ("train", "validation")
"""Splits of which every pair is learned from by some of the networks."""


def fold_mean(out: pathlib.Path, config: FoldMean, *, examples: pathlib.Path, **models: pathlib.Path):
    """Writes `model.keras`, and `training.json` with what the exporter records: where training began, and on what.

    Args:
        out: folder to write below.
        config: nothing.
        examples: artifact of example_gen, the pairs that the folds share.
        **models: artifacts of the trainer.
    """
    folders = [folder for _, folder in sorted(models.items())]
    networks = [keras.saving.load_model(folder / "model.keras", compile=False) for folder in folders]
    DeepEnsemble(networks).save(out / "model.keras")
    pretrained = read_json(folders[0] / "training.json", {}).get("pretrained")
    learned = [split for split in SEEN if prepared.split_sizes(examples).get(split)]
    write_json(out / "training.json", {"pretrained": pretrained, "trained_on": learned})
