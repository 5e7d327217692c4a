"""Layers that learn more slowly than the others."""

import keras
import numpy as np
import pytest

from kseg.training import optimizers


def steps(optimizer, count=3):
    """What each layer's kernel moved in `count` steps from the same start."""
    keras.utils.set_random_seed(0)
    image = keras.Input((4,))
    trunk = keras.layers.Dense(4, use_bias=False, kernel_initializer="ones", name="block1_conv1")(image)
    model = keras.Model(image, keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="logits")(trunk))
    model.compile(optimizer, loss="mse")
    before = [kernel.numpy() for kernel in model.weights]
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    for _ in range(count):
        model.train_on_batch(x, np.zeros((8, 1), "float32"))
    return [kernel.numpy() - start for kernel, start in zip(model.weights, before, strict=True)], model


@pytest.mark.parametrize("kind", [optimizers.SGD, optimizers.Adam, optimizers.AdamW])
def test_a_named_layer_takes_the_stated_fraction_of_the_first_step(kind):
    (trunk, head), _ = steps(kind(0.01), count=1)
    (slow, same), _ = steps(kind(0.01, rates={"block": 0.1}), count=1)
    decay = 0.004 * 0.01 if kind is optimizers.AdamW else 0.0  # of weights of 1; decay is not scaled
    np.testing.assert_allclose(slow + decay, 0.1 * (trunk + decay), atol=1e-7)
    np.testing.assert_array_equal(same, head)


def test_a_rate_of_0_keeps_a_layer_as_it_is():
    (trunk, head), _ = steps(optimizers.Adam(0.01, rates={"block": 0.0}))
    assert not trunk.any() and head.all()


def test_the_longest_prefix_counts():
    (trunk, _), _ = steps(optimizers.SGD(0.01, rates={"block": 0.0, "block1_conv1": 1.0}))
    assert trunk.any()


def test_a_saved_model_remembers_its_rates(tmp_path):
    _, model = steps(optimizers.AdamW(0.01, rates={"block": 0.25}))
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").optimizer.rates == {"block": 0.25}


def test_a_negative_rate_is_refused():
    with pytest.raises(ValueError, match="`rates` must hold factors of at least 0"):
        optimizers.SGD(0.1, rates={"block": -1.0})
