"""Losses: hand-computed values, and what void pixels, weights and replicas must not change."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.losses import CrossEntropy, Dice, WeightedSum

LOSSES = [
    CrossEntropy(ignore_class=255, reduction=None),
    CrossEntropy(ignore_class=255, class_weights=[0.5, 2.0, 3.0], label_smoothing=0.1, reduction=None),
    Dice(ignore_class=255, reduction=None),
    Dice(ignore_class=255, class_weights=[0.5, 2.0, 3.0], reduction=None),
    CrossEntropy(ignore_class=255, reduction=None) + 0.5 * Dice(ignore_class=255),
]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)


def drawn(seed=0, batch=3, classes=3):
    """Ids (B, 5, 7), a fifth of them void, and logits (B, 5, 7, K)."""
    draw = np.random.default_rng(seed)
    ids = draw.integers(0, classes, (batch, 5, 7)).astype(np.uint8)
    ids[draw.random(ids.shape) < 0.2] = 255
    return ids, draw.normal(0, 2, (*ids.shape, classes)).astype(np.float32)


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def test_cross_entropy_is_the_mean_over_each_images_own_valid_pixels():
    ids = np.array([[[0, 1, 255]], [[1, 255, 255]]])
    logits = np.log(np.array([[[[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]]], [[[0.75, 0.25], [0.5, 0.5], [0.5, 0.5]]]]))
    expected = [-(np.log(0.5) + np.log(0.8)) / 2, -np.log(0.25)]
    np.testing.assert_allclose(CrossEntropy(255, reduction=None)(ids, logits), expected, rtol=1e-6)
    np.testing.assert_allclose(CrossEntropy(255)(ids, logits), np.mean(expected), rtol=1e-6)


def test_a_class_weight_means_the_same_in_every_image():
    ids, logits = np.array([[[0, 1]], [[1, 1]]]), np.zeros((2, 1, 2, 2), np.float32)
    losses = CrossEntropy(class_weights=[1, 3], reduction=None)(ids, logits)
    np.testing.assert_allclose(losses, np.log(2) * np.array([(1 + 3) / 2, 3]), rtol=1e-6)


def test_label_smoothing_equals_that_of_keras():
    ids, logits = drawn()
    ids[ids == 255] = 0
    keras_loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.3)
    expected = keras_loss(np.eye(3, dtype=np.float32)[ids], logits)
    np.testing.assert_allclose(CrossEntropy(label_smoothing=0.3)(ids, logits), expected, rtol=1e-5)


def test_dice_of_hand_computed_maps():
    ids = np.array([[[0, 0, 1, 255]]])
    probabilities = np.array([[[[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.5, 0.5]]]])
    dice = [2 * (0.9 + 0.6) / (1.8 + 2), 2 * 0.7 / (1.2 + 1)]
    np.testing.assert_allclose(Dice(255)(ids, np.log(probabilities)), 1 - np.mean(dice), rtol=1e-6)
    weighted = 1 - (1 * dice[0] + 3 * dice[1]) / 4
    np.testing.assert_allclose(Dice(255, class_weights=[1, 3])(ids, np.log(probabilities)), weighted, rtol=1e-6)


def test_dice_of_a_perfect_map_is_0_though_classes_are_absent():
    ids = np.array([[[0, 2]]])
    assert float(Dice()(ids, 100.0 * np.eye(5, dtype=np.float32)[ids])) == pytest.approx(0, abs=1e-6)


def test_dice_sums_more_pixels_than_float16_can_hold():
    ids = np.zeros((1, 300, 300), np.uint8)
    logits = np.zeros((1, 300, 300, 2), np.float16)
    assert float(Dice()(ids, logits)) == pytest.approx(1 - 2 * 0.5 / 1.5, rel=1e-5)


@every_loss
def test_void_pixels_reach_neither_value_nor_gradient(loss):
    ids, logits = drawn()
    void = ids == 255
    logits = tf.Variable(logits)
    with tf.GradientTape() as tape:
        before = loss(ids, logits)
    gradient = tape.gradient(before, logits).numpy()
    assert (gradient[void] == 0).all()
    assert (np.abs(gradient[~void]).sum(axis=-1) > 0).all()
    np.testing.assert_array_equal(loss(ids, np.where(void[..., None], 50.0, logits.numpy())), before)


@every_loss
def test_an_image_all_void_gives_0_and_finite_gradients(loss):
    logits = tf.Variable(drawn()[1])
    with tf.GradientTape() as tape:
        losses = loss(np.full((3, 5, 7), 255), logits)
    assert losses.numpy().tolist() == [0, 0, 0]
    assert (tape.gradient(losses, logits).numpy() == 0).all()


@every_loss
def test_each_images_loss_is_the_same_alone_and_in_a_batch(loss):
    ids, logits = drawn()
    alone = [float(loss(ids[i : i + 1], logits[i : i + 1])[0]) for i in range(3)]
    np.testing.assert_allclose(loss(ids, logits), alone, rtol=1e-6)


@every_loss
def test_an_id_that_is_no_class_makes_its_image_nan(loss):
    ids, logits = drawn()
    ids[1, 0, 0] = 3
    assert np.isnan(loss(ids, logits).numpy()).tolist() == [False, True, False]


@every_loss
def test_a_loss_survives_its_config_and_takes_maps_with_one_channel(loss):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    ids, logits = drawn()
    np.testing.assert_array_equal(again(ids[..., None], logits), loss(ids, logits))


def test_losses_add_and_scale():
    ids, logits = drawn()
    first, second = CrossEntropy(255), Dice(255)
    both = 2 * (first + 0.5 * second) + second
    assert isinstance(both, WeightedSum) and both.weights == [2, 1, 1]
    expected = 2 * float(first(ids, logits)) + 2 * float(second(ids, logits))
    assert float(both(ids, logits)) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(TypeError):
        first + keras.losses.BinaryCrossentropy()


def test_cross_entropy_of_logits_that_are_far_apart_is_finite():
    ids, logits = np.array([[[0]]]), np.array([[[[-1e4, 1e4]]]], np.float32)
    assert float(CrossEntropy()(ids, logits)) == pytest.approx(2e4)


def test_keras_reports_the_loss_of_all_images_and_descends_on_it():
    ids, logits = drawn(batch=4)
    model = keras.Sequential([keras.Input((5, 7, 3)), keras.layers.Conv2D(3, 1, name="logits")])
    weights = [weight.copy() for weight in model.get_weights()]
    model.compile(keras.optimizers.SGD(0.5), CrossEntropy(255) + Dice(255))
    logged = model.fit(logits, ids, batch_size=4, verbose=0).history["loss"][0]

    model_before = keras.models.clone_model(model)
    model_before.set_weights(weights)
    with tf.GradientTape() as tape:
        expected = tf.reduce_mean((CrossEntropy(255) + Dice(255)).call(ids, model_before(logits)))
    gradients = tape.gradient(expected, model_before.trainable_variables)
    assert logged == pytest.approx(float(expected), rel=1e-6)
    for after, before, gradient in zip(model.get_weights(), weights, gradients, strict=True):
        np.testing.assert_allclose(after, before - 0.5 * gradient.numpy(), atol=1e-6)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"`label_smoothing` must lie in \[0, 1\). Received: label_smoothing=1"):
        CrossEntropy(label_smoothing=1)
    with pytest.raises(ValueError, match="`class_weights` must be numbers of at least 0"):
        Dice(class_weights=[1, float("nan")])
    ids, logits = drawn()
    with pytest.raises(ValueError, match=r"one weight for each of the 3 classes of the logits. Received: 2 weights"):
        CrossEntropy(class_weights=[1, 2])(ids, logits)
    with pytest.raises(ValueError, match=r"y_true.shape=\(3, 5, 6\), y_pred.shape=\(3, 5, 7, 3\)"):
        Dice()(ids[:, :, 1:], logits)
    with pytest.raises(ValueError, match=r"y_true.shape=\(3, 5, 7, 3\)"):
        CrossEntropy()(np.eye(3)[np.zeros((3, 5, 7), int)], logits)
