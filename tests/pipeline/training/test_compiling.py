"""The rate of the trunk and the steps in which it is frozen, alone and in the game."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config as tensorflow_config  # no public name switches determinism off

from kseg.encoders.names import trunk_weights
from kseg.metrics import ConfusionMatrix
from pipeline.settings.trainer import Trainer
from pipeline.training import compiling
from tests.pipeline.small_trunk import small_network

PLAN = {"class_weights": [1.0, 2.0, 3.0], "channels": 3}
SMALL = Trainer(
    epochs=1, precision="float32", discriminator="small_fov_light", discriminator_filters=4, label_stride=4, learning_rate=1e-2
)  # fmt: skip


@pytest.fixture(autouse=True)
def deterministic():
    """As in the trainer; and Keras compiles no deterministic operations by XLA, which would take a minute."""
    tf.config.experimental.enable_op_determinism()
    yield
    tensorflow_config.disable_op_determinism()


def stepped(count: int, **settings):
    """Moved trunk and head, lists of arrays, after `count` steps from the same start on the same batch; the model."""
    config = dataclasses.replace(SMALL, **settings)
    keras.utils.set_random_seed(1)
    network = small_network(3, 3)
    model = compiling.compile_model(network, ConfusionMatrix(3), config, PLAN, 3, 100)
    trunk = {weight.path for weight in trunk_weights(network)}
    before = [weight.numpy() for weight in network.weights]
    random = np.random.default_rng(0)
    batch = random.integers(0, 256, (2, 32, 32, 3), np.uint8), random.integers(0, 3, (2, 32, 32)).astype(np.uint8)
    model.fit(*batch, batch_size=2, epochs=count, verbose=0, shuffle=False)
    moved = {"trunk": [], "head": [], "statistics": []}
    for weight, start in zip(network.weights, before, strict=True):
        kind = "trunk" if weight.path in trunk else "head" if weight.trainable else "statistics"
        moved[kind].append(weight.numpy() - start)
    return moved, model


@pytest.mark.parametrize("game", [0.0, pytest.param(0.1, marks=pytest.mark.slow)])
def test_the_trunk_moves_by_the_stated_fraction_and_the_head_as_ever(game):
    # the warm-up starts at 0, so the second step is the first that moves
    whole, _ = stepped(2, adversarial_weight=game)
    half, _ = stepped(2, adversarial_weight=game, encoder_rate=0.5)
    for one, other in zip(half["trunk"], whole["trunk"], strict=True):
        np.testing.assert_allclose(one, 0.5 * other, rtol=1e-3, atol=1e-7)
    for part in ("head", "statistics"):
        for one, other in zip(half[part], whole[part], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("game", [pytest.param(0.0, marks=pytest.mark.slow), 0.1])
def test_a_frozen_trunk_keeps_its_bits_but_not_its_batch_statistics(game):
    moved, _ = stepped(3, adversarial_weight=game, freeze_steps=3)
    assert not any(change.any() for change in moved["trunk"])
    assert all(change.any() for change in moved["head"] if change.ndim == 4)
    assert any(change.any() for change in moved["statistics"])
    thawed, _ = stepped(4, adversarial_weight=game, freeze_steps=3)
    assert any(change.any() for change in thawed["trunk"])
