"""Encodings of label maps for a discriminator."""

import keras
import numpy as np
import pytest

from kseg.games.label_encodings import ENCODINGS, basic, product, scaling

DRAW = np.random.default_rng(0)
IDS = DRAW.integers(0, 4, (2, 5, 7))
TRUTH = np.eye(4, dtype="float32")[IDS]
PREDICTION = DRAW.dirichlet([0.3] * 4, IDS.shape).astype("float32")
IMAGE = DRAW.uniform(0, 255, (*IDS.shape, 3)).astype("float32")


def test_basic_shows_both_maps_as_they_are():
    real, fake = basic(TRUTH, PREDICTION, IMAGE)
    assert real is TRUTH and fake is PREDICTION


def test_product_multiplies_each_class_by_each_channel():
    real, fake = product(TRUTH, PREDICTION, IMAGE)
    assert real.shape == (2, 5, 7, 12)
    np.testing.assert_allclose(fake[..., 4 + 2], PREDICTION[..., 2] * IMAGE[..., 1] / 255, rtol=1e-5)


def test_scaling_keeps_sums_of_one_and_gives_the_true_class_at_least_tau():
    real, fake = scaling(TRUTH, PREDICTION, IMAGE)
    np.testing.assert_allclose(np.sum(real, -1), 1, atol=1e-6)
    assert np.min(np.sum(real * TRUTH, -1)) >= 0.9 - 1e-6
    assert fake is PREDICTION


def test_scaling_keeps_the_proportions_of_the_other_classes():
    real, _ = scaling(np.float32([[[[1, 0, 0]]]]), np.float32([[[[0.5, 0.3, 0.2]]]]), None)
    np.testing.assert_allclose(real, [[[[0.9, 0.06, 0.04]]]], atol=1e-6)


def test_scaling_leaves_a_prediction_alone_that_reaches_tau():
    prediction = np.float32([[[[0.95, 0.05, 0.0], [1.0, 0.0, 0.0]]]])
    real, _ = scaling(np.float32([[[[1, 0, 0], [1, 0, 0]]]]), prediction, None)
    np.testing.assert_array_equal(real, prediction)


@pytest.mark.parametrize("of_truth", [0.0, 1.0])
def test_scaling_is_finite_at_both_ends_in_value_and_in_gradient(of_truth):
    import tensorflow as tf

    prediction = tf.constant([[[[of_truth, 1 - of_truth, 0.0]]]])
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        real, _ = scaling(tf.constant([[[[1.0, 0.0, 0.0]]]]), prediction, None)
    assert np.isfinite(real).all() and np.isfinite(tape.gradient(real, prediction)).all()


@pytest.mark.parametrize("name", ENCODINGS)
def test_void_pixels_are_zero_in_both_maps(name):
    valid = (IDS > 0)[..., None].astype("float32")
    real, fake = ENCODINGS[name](TRUTH * valid, PREDICTION * valid, IMAGE)
    void = np.broadcast_to(IDS == 0, IDS.shape)
    assert not keras.ops.convert_to_numpy(real)[void].any() and not keras.ops.convert_to_numpy(fake)[void].any()
