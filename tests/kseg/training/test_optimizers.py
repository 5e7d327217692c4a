"""Layers that learn more slowly than the others."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from kseg.training import optimizers
from tests.conftest import ROOT


def steps(kind, count=3, jit=False, scaled=False, **settings):
    """What each layer's kernel moved in `count` steps from the same start, at a rate of 0.01."""
    keras.utils.set_random_seed(0)
    image = keras.Input((4,))
    trunk = keras.layers.Dense(4, use_bias=False, kernel_initializer="ones", name="block1_conv1")(image)
    model = keras.Model(image, keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="logits")(trunk))
    optimizer = kind(0.01, **settings)
    model.compile(keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer, loss="mse", jit_compile=jit)
    before = [kernel.numpy() for kernel in model.weights]
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    for _ in range(count):
        model.train_on_batch(x, np.zeros((8, 1), "float32"))
    return [kernel.numpy() - start for kernel, start in zip(model.weights, before, strict=True)], model


@pytest.mark.parametrize("kind", [optimizers.SGD, optimizers.Adam, optimizers.AdamW])
def test_a_named_layer_takes_the_stated_fraction_of_the_first_step(kind):
    (trunk, head), _ = steps(kind, count=1)
    (slow, same), _ = steps(kind, count=1, rates={"block": 0.1})
    np.testing.assert_allclose(slow, 0.1 * trunk, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(same, head)


def test_a_rate_of_0_keeps_a_layer_as_it_is():
    (trunk, head), _ = steps(optimizers.Adam, rates={"block": 0.0})
    assert not trunk.any() and head.all()


def test_the_longest_prefix_counts():
    (trunk, _), _ = steps(optimizers.SGD, rates={"block": 0.0, "block1_conv1": 1.0})
    assert trunk.any()


def test_a_saved_model_remembers_its_rates(tmp_path):
    _, model = steps(optimizers.AdamW, rates={"block": 0.25})
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").optimizer.rates == {"block": 0.25}


def test_wrong_arguments_are_named():
    for factor in (-1.0, "0.1", None):
        with pytest.raises(ValueError, match=r"`rates\['block'\]` must be a number of at least 0"):
            optimizers.SGD(0.1, rates={"block": factor})
    for given in ("block", 3, [("block", 0.1)]):
        with pytest.raises(ValueError, match="`rates` must be a dictionary of factors by prefix of a path"):
            optimizers.SGD(0.1, rates=given)
    for frozen in (-1, 1.5, "3"):
        with pytest.raises(ValueError, match=f"`frozen_steps` must be an integer of at least 0.*={frozen!r}"):
            optimizers.SGD(0.1, rates={"block": 1.0}, frozen_steps=frozen)
    with pytest.raises(ValueError, match="`rates` must name the layers that `frozen_steps` freezes"):
        optimizers.SGD(0.1, frozen_steps=3)


def test_a_rate_of_no_layer_is_warned_of():
    with pytest.warns(UserWarning, match="no effect for 'blok'.*'block1_conv1/kernel' to 'logits/kernel'"):
        steps(optimizers.SGD, rates={"block": 0.1, "blok": 0.1})


@pytest.mark.parametrize("decay", [None, 0.25])
def test_a_step_of_sgd_is_the_one_computed_by_hand(decay):
    weight = keras.Variable([4.0, -2.0], name="kernel")
    optimizer = optimizers.SGD(0.5, rates={weight.path: 0.5}, frozen_steps=1, weight_decay=decay)
    optimizer.build([weight])
    optimizer.apply([keras.ops.array([1.0, 2.0])], [weight])
    assert weight.numpy().tolist() == [4.0, -2.0]  # frozen
    optimizer.apply([keras.ops.array([1.0, 2.0])], [weight])
    # at rate 0.25: less 0.25 x [1, 2], and with decay first less 0.25 x 0.25 of itself
    assert weight.numpy().tolist() == ([3.75, -2.5] if decay is None else [3.5, -2.375])


def test_a_step_of_adam_is_the_one_computed_by_hand():
    weight = keras.Variable([4.0, -2.0], name="kernel")
    optimizer = optimizers.Adam(0.5, rates={weight.path: 0.5}, weight_decay=0.25)
    optimizer.build([weight])
    optimizer.apply([keras.ops.array([3.0, -7.0])], [weight])
    # its first step is the rate, whatever the gradient: 0.25 against its sign; decay takes 0.25 x 0.25 of the weight before
    np.testing.assert_allclose(weight.numpy(), [4.0 - 0.25 - 0.25, -2.0 + 0.125 + 0.25], rtol=1e-5)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("kind", [optimizers.SGD, optimizers.Adam, optimizers.AdamW])
def test_without_rates_and_at_rate_1_training_is_keras_own_bit_for_bit(kind, jit):
    theirs = vars(keras.optimizers)[kind.__name__]
    settings = {"weight_decay": 0.01, "jit": jit}
    expected, _ = steps(theirs, **settings)
    for rates in ({}, {"block": 1.0}):
        found, _ = steps(kind, rates=rates, **settings)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("kind", [optimizers.SGD, optimizers.Adam, optimizers.AdamW])
def test_a_frozen_layer_keeps_its_bits_and_then_moves_while_the_others_learn(kind, jit):
    settings = {"rates": {"block": 1.0}, "frozen_steps": 2, "weight_decay": 0.01, "jit": jit}
    (trunk, head), _ = steps(kind, count=2, **settings)
    assert not trunk.any() and head.all()
    (trunk, _), _ = steps(kind, count=3, **settings)
    assert trunk.any()


def test_the_first_step_after_freezing_is_no_longer_than_another():
    (trunk, _), _ = steps(optimizers.Adam, count=4, rates={"block": 1.0}, frozen_steps=3)
    assert (
        np.abs(trunk).max() <= 0.0101
    )  # Adam's steps are at most about the rate; moments from 0 would make it 3 times that


def test_a_saved_model_thaws_when_the_training_in_one_go_does(tmp_path):
    settings = {"rates": {"block": 0.5}, "frozen_steps": 2}
    _, model = steps(optimizers.Adam, count=1, **settings)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    for moves in (False, True):
        before = loaded.weights[0].numpy()
        loaded.train_on_batch(x, np.zeros((8, 1), "float32"))
        assert (before != loaded.weights[0].numpy()).any() == moves
    _, whole = steps(optimizers.Adam, count=3, **settings)
    for one, other in zip(loaded.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_works_inside_loss_scaling():
    (trunk, head), model = steps(optimizers.Adam, count=2, rates={"block": 1.0}, frozen_steps=2, scaled=True)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert not trunk.any() and head.all()


TWO_DEVICES = """
import keras, numpy as np, tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from kseg.training import optimizers
from kseg.training.distribution import Replicated

def moved(scope):
    with scope:
        image = keras.Input((4,))
        trunk = keras.layers.Dense(4, use_bias=False, kernel_initializer="ones", name="block1")(image)
        logits = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="logits")(trunk)
        model = Replicated(image, logits)
        settings = {"rates": {"block1/kernel": 0.5}, "frozen_steps": 1, "weight_decay": 0.01}
        model.compile(optimizers.Adam(0.01, **settings), loss="mse")
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    data = tf.data.Dataset.from_tensors((x, np.zeros((8, 1), "float32"))).unbatch().batch(8).repeat()
    states = []
    for _ in range(3):
        model.fit(data, steps_per_epoch=1, verbose=0)
        states.append([weight.numpy() for weight in model.weights])
    return states

one, two = moved(tf.distribute.get_strategy().scope()), moved(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope())
assert (two[0][0] == 1).all() and (two[0][1] != 1).all() and (two[1][0] != 1).all()
for expected, found in zip(one, two, strict=True):
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(b, a, atol=1e-6)
print("equal")
"""


@pytest.mark.slow
def test_two_devices_freeze_and_learn_as_one_does():
    answer = subprocess.run([sys.executable, "-c", TWO_DEVICES], cwd=ROOT, capture_output=True, text=True)
    assert answer.stdout.endswith("equal\n"), answer.stderr[-3000:]
