"""The trainer of a network on a trunk: killed and resumed while the trunk is frozen and after it thawed, and what it records."""

import keras
import numpy as np
import pytest

from kseg.training import optimizers
from pipeline.components import trainer as training
from pipeline.components.trainer import trainer
from pipeline.settings.trainer import Trainer
from tests.pipeline.small_trunk import small_network

SMALL = {
    "epochs": 2, "batch_size": 2, "precision": "float32", "encoder_rate": 0.5, "freeze_steps": 3,
    "discriminator": "small_fov_light", "discriminator_filters": 4, "label_stride": 4,
    "checkpoint_seconds": 0.0, "steps_per_epoch": 3,
}  # fmt: skip


class Killed(Exception):
    pass


def train(folder, transform, monkeypatch, killed_after=None, **settings):
    """Weights of the network at the end, or None where the training was killed after so many steps."""
    folder.mkdir(exist_ok=True)
    ends = []

    class Kill(training.EpochProgress):  # stands where the callbacks do, before Resume
        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == killed_after:
                raise Killed

        def on_train_end(self, logs=None):
            ends.append(
                [weight.numpy() for weight in self.model.variables]
                + [v.numpy() for v in self.model.optimizer.variables]
            )

    monkeypatch.setattr(training, "EpochProgress", Kill)
    monkeypatch.setattr(
        training.networks, "segmentor", lambda config, classes, channels, weights: small_network(classes, channels)
    )
    monkeypatch.setattr("kseg.training.callbacks.resume.MIN_PAUSE", 0)
    try:
        trainer(folder, Trainer(**SMALL | settings), transform=transform)
    except Killed:
        return None
    return ends[0]


@pytest.mark.parametrize(
    ("adversarial_weight", "steps"),
    [pytest.param(0.0, 2, marks=pytest.mark.slow), (0.1, 4)],  # the trunk is frozen; it has thawed
)
def test_a_killed_training_ends_like_an_undisturbed_one(prepared, tmp_path, monkeypatch, adversarial_weight, steps):
    game = {"adversarial_weight": adversarial_weight}
    expected = train(tmp_path / "whole", prepared[0], monkeypatch, **game)
    assert train(tmp_path / "killed", prepared[0], monkeypatch, killed_after=steps, **game) is None
    found = train(tmp_path / "killed", prepared[0], monkeypatch, **game)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    kind = "game.keras" if adversarial_weight else "model.keras"
    optimizer = keras.saving.load_model(tmp_path / "whole" / kind).optimizer
    assert (
        isinstance(optimizer, optimizers.Adam)
        and optimizer.frozen_steps == 3
        and set(optimizer.rates.values()) == {0.5}
    )
