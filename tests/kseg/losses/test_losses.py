"""Losses: hand-computed values, and what void pixels, weights, precision and replicas must not change."""

import functools
import inspect
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg import games, losses, metrics
from kseg.losses import BoundaryCrossEntropy, CrossEntropy, Dice, Focal, Jaccard, Lovasz, Tversky, WeightedSum

WEIGHTS = [0.5, 2.0, 3.0]
LOSSES = [  # each reaches every valid pixel
    CrossEntropy(ignore_class=255, reduction=None),
    CrossEntropy(ignore_class=255, class_weights=WEIGHTS, label_smoothing=0.1, reduction=None),
    Focal(ignore_class=255, reduction=None),
    Focal(ignore_class=255, class_weights=WEIGHTS, gamma=0.5, reduction=None),
    Dice(ignore_class=255, reduction=None),
    Dice(ignore_class=255, class_weights=WEIGHTS, reduction=None),
    Dice(ignore_class=255, generalized=True, reduction=None),
    Jaccard(ignore_class=255, reduction=None),
    Tversky(ignore_class=255, alpha=0.2, beta=0.9, reduction=None),
    CrossEntropy(ignore_class=255, reduction=None) + 0.5 * Dice(ignore_class=255),
    BoundaryCrossEntropy(ignore_class=255, class_weights=WEIGHTS, reduction=None),
]
SELECTIVE = [  # give pixels that are easy, or wrong in no order that counts, no gradient
    CrossEntropy(ignore_class=255, top_k=0.3, reduction=None),
    CrossEntropy(ignore_class=255, class_weights=WEIGHTS, label_smoothing=0.1, top_k=0.3, reduction=None),
    Lovasz(ignore_class=255, reduction=None),
    Lovasz(ignore_class=255, class_weights=WEIGHTS, reduction=None),
]
every_loss = pytest.mark.parametrize("loss", LOSSES + SELECTIVE, ids=lambda loss: loss.name)


def drawn(seed=0, batch=3, classes=3):
    """Ids (B, 5, 7), a fifth of them void, and logits (B, 5, 7, K)."""
    draw = np.random.default_rng(seed)
    ids = draw.integers(0, classes, (batch, 5, 7)).astype(np.uint8)
    ids[draw.random(ids.shape) < 0.2] = 255
    return ids, draw.normal(0, 2, (*ids.shape, classes)).astype(np.float32)


def test_pixels_at_the_borders_of_classes_weigh_more_by_hand():
    ids = np.array([[[0, 0, 1, 1, 1, 255, 2]]])
    bell = np.exp(
        -(np.array([1, 0, 0, 1, 1, 0, 1]) ** 2) / 2
    )  # at 1 and 2, borders are next; void has none, and is none
    weights = (1 + 3 * bell) * (ids != 255)
    _, logits = drawn()
    logits = logits.reshape(-1, 3)[None, None, :7]
    pixels = -np.take_along_axis(log_softmax(logits), np.where(ids == 255, 0, ids)[..., None], -1)[..., 0]
    found = BoundaryCrossEntropy(ignore_class=255, weight=3.0, sigma=1.0)(ids, logits)
    assert float(found) == pytest.approx((pixels * weights).sum() / weights.sum(), rel=1e-5)
    flat, plain = BoundaryCrossEntropy(ignore_class=255, weight=0.0), CrossEntropy(ignore_class=255)
    assert float(flat(ids, logits)) == pytest.approx(float(plain(ids, logits)), rel=1e-6)


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


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def hard(ids, classes=3):
    """Logits (B, H, W, K) whose softmax is 1 at `ids` and 0 elsewhere."""
    return 200 * np.eye(classes, dtype=np.float32)[ids]


def test_cross_entropy_of_the_hardest_pixels():
    ids = np.array([[[0, 0, 0, 0, 255]], [[0, 255, 255, 255, 255]], [[0, 0, 0, 255, 255]]])
    likely = np.array([[[0.5, 0.9, 0.2, 0.6, 0.01]], [[0.7, 0.1, 0.1, 0.1, 0.1]], [[0.3, 0.8, 0.1, 0.2, 0.2]]])
    logits = np.log(np.stack([likely, 1 - likely], axis=-1))
    halves = [-(np.log(0.2) + np.log(0.5)) / 2, -np.log(0.7), -(np.log(0.1) + np.log(0.3)) / 2]  # of 4, 1 and 3 pixels
    np.testing.assert_allclose(CrossEntropy(255, top_k=0.5, reduction=None)(ids, logits), halves, rtol=1e-6)
    hardest = [-np.log(0.2), -np.log(0.7), -np.log(0.1)]
    np.testing.assert_allclose(CrossEntropy(255, top_k=0.01, reduction=None)(ids, logits), hardest, rtol=1e-6)


def test_pixels_are_hard_by_their_weighted_loss():
    ids, logits = np.array([[[0, 1]]]), np.log(np.array([[[[0.4, 0.6], [0.5, 0.5]]]]))
    loss = CrossEntropy(class_weights=[1, 3], top_k=0.5)(ids, logits)
    assert float(loss) == pytest.approx(3 * np.log(2), rel=1e-6)


def test_the_hardest_of_all_pixels_are_all_pixels():
    ids, logits = drawn()
    nearly_all = CrossEntropy(255, WEIGHTS, top_k=1 - 1e-9)
    assert float(nearly_all(ids, logits)) == pytest.approx(float(CrossEntropy(255, WEIGHTS)(ids, logits)), rel=1e-6)


def test_focal_of_hand_computed_maps():
    ids = np.array([[[0, 1, 255]]])
    logits = np.log(np.array([[[[0.9, 0.1], [0.8, 0.2], [0.5, 0.5]]]]))
    expected = -(0.1**2 * np.log(0.9) + 0.8**2 * np.log(0.2)) / 2
    assert float(Focal(255)(ids, logits)) == pytest.approx(expected, rel=1e-6)
    expected = -(0.25 * 0.1**3 * np.log(0.9) + 0.75 * 0.8**3 * np.log(0.2)) / 2
    assert float(Focal(255, [0.25, 0.75], gamma=3)(ids, logits)) == pytest.approx(expected, rel=1e-6)


def test_two_classes_with_logits_0_and_z_have_the_papers_binary_focal_loss():
    z, y = np.random.default_rng(0).normal(0, 3, 50), np.arange(50) % 2
    p_t, alpha_t = np.where(y == 1, sigmoid(z), 1 - sigmoid(z)), np.where(y == 1, 0.25, 0.75)
    expected = np.mean(-alpha_t * (1 - p_t) ** 2 * np.log(p_t))
    logits = np.stack([np.zeros(50), z], axis=-1)[None, None]
    assert float(Focal(class_weights=[0.75, 0.25])(y[None, None], logits)) == pytest.approx(expected, rel=1e-5)


def test_focal_with_gamma_0_is_cross_entropy():
    ids, logits = drawn()
    np.testing.assert_allclose(
        Focal(255, WEIGHTS, gamma=0, reduction=None)(ids, logits),
        CrossEntropy(255, WEIGHTS, reduction=None)(ids, logits),
    )


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2])
def test_focal_has_finite_gradients_where_a_pixel_is_certainly_right_or_wrong(gamma):
    logits = tf.Variable([[[[0.0, 500.0], [500.0, 0.0]]]])
    with tf.GradientTape() as tape:
        loss = Focal(gamma=gamma)(np.array([[[0, 0]]]), logits)
    assert float(loss) == pytest.approx(250)
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_generalized_dice_of_hand_computed_maps():
    ids = np.array([[[0, 0, 1, 255]]])
    probabilities = np.array([[[[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.3, 0.7, 0.0], [0.2, 0.2, 0.6]]]])
    small = 1 / 4, 1.0  # inverse squared sizes of the two classes that are there
    overlap = small[0] * (0.9 + 0.6) + small[1] * 0.7
    whole = small[0] * (1.8 + 2) + small[1] * (1.1 + 1)
    loss = Dice(255, generalized=True)(ids, np.log(probabilities + 1e-9))
    assert float(loss) == pytest.approx(1 - 2 * overlap / whole, rel=1e-5)


def test_generalized_dice_of_a_large_and_a_tiny_class_keeps_both():
    ids = np.zeros((1, 1000, 1000), np.uint8)
    ids[0, 0, 0] = 1
    missed = np.zeros_like(ids)
    assert float(Dice(generalized=True)(ids, hard(ids))) == pytest.approx(0, abs=1e-6)
    assert float(Dice(generalized=True)(ids, hard(missed))) == pytest.approx(
        1, abs=1e-5
    )  # the pixel outweighs the rest


def test_jaccard_of_hand_computed_maps():
    ids = np.array([[[0, 0, 1, 255]]])
    probabilities = np.array([[[[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.5, 0.5]]]])
    jaccard = [1.5 / (1.8 + 2 - 1.5), 0.7 / (1.2 + 1 - 0.7)]
    assert float(Jaccard(255)(ids, np.log(probabilities))) == pytest.approx(1 - np.mean(jaccard), rel=1e-6)
    weighted = 1 - (1 * jaccard[0] + 3 * jaccard[1]) / 4
    assert float(Jaccard(255, [1, 3])(ids, np.log(probabilities))) == pytest.approx(weighted, rel=1e-6)


def test_tversky_of_hand_computed_maps():
    ids = np.array([[[0, 0, 1, 255]]])
    probabilities = np.array([[[[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.5, 0.5]]]])
    index = [1.5 / (1.5 + 0.3 * 0.3 + 0.7 * 0.5), 0.7 / (0.7 + 0.3 * 0.5 + 0.7 * 0.3)]
    assert float(Tversky(255)(ids, np.log(probabilities))) == pytest.approx(1 - np.mean(index), rel=1e-6)


def test_dice_and_jaccard_are_tverskys_at_a_half_and_at_one():
    ids, logits = drawn()
    for same, prices in ((Dice, 0.5), (Jaccard, 1)):
        tversky = Tversky(255, WEIGHTS, alpha=prices, beta=prices, reduction=None)
        np.testing.assert_allclose(tversky(ids, logits), same(255, WEIGHTS, reduction=None)(ids, logits), rtol=1e-6)


def test_of_one_class_the_jaccard_index_follows_from_dice():
    ids, logits = np.where(drawn()[0] == 255, 255, 0), drawn()[1]
    dice = 1 - Dice(255, reduction=None)(ids, logits).numpy()
    np.testing.assert_allclose(1 - Jaccard(255, reduction=None)(ids, logits).numpy(), dice / (2 - dice), rtol=1e-6)


@pytest.mark.parametrize(
    "loss", [Jaccard(255, reduction=None), Lovasz(255, reduction=None)], ids=lambda loss: loss.name
)
def test_where_predictions_are_hard_the_loss_is_one_minus_the_iou_that_metrics_count(loss):
    draw = np.random.default_rng(1)
    ids, predicted = drawn()[0], draw.integers(0, 3, (3, 5, 7))
    ids[2][ids[2] == 1] = 0  # class 1 is not in the third image, though it is predicted there
    expected = []
    for truth, label_map in zip(ids, predicted, strict=True):
        iou = metrics.scores(metrics.confusion_matrix(truth, label_map, 3))["iou"]
        expected.append(1 - np.mean([iou[k] for k in range(3) if (truth == k).any()]))
    np.testing.assert_allclose(loss(ids, hard(predicted)), expected, rtol=1e-6)


def lovasz_extension(errors, occurring):
    """Of 1 - IoU, at errors (N,), for a class that has the pixels `occurring`: the greatest value over all orders.

    1 - IoU as a function of the set of wrong pixels is submodular, so its Lovász extension is the support function of its base
    polytope, whose corners belong to the orders in which pixels may turn wrong.
    """

    def one_minus_iou(wrong):
        return len(wrong) / len(occurring | wrong)

    return max(
        sum(
            errors[order[i]] * (one_minus_iou({*order[: i + 1]}) - one_minus_iou({*order[:i]}))
            for i in range(len(order))
        )
        for order in itertools.permutations(range(len(errors)))
    )


def test_lovasz_is_the_lovasz_extension_of_one_minus_iou():
    draw = np.random.default_rng(2)
    ids, logits = draw.integers(0, 3, (4, 2, 3)), draw.normal(0, 2, (4, 2, 3, 3)).astype(np.float32)
    probabilities = np.exp(log_softmax(logits)).reshape(4, 6, 3)
    for image, loss in enumerate(Lovasz(reduction=None)(ids, logits).numpy()):
        truth = ids[image].ravel()
        present = [k for k in range(3) if (truth == k).any()]
        of_class = [
            lovasz_extension(np.abs((truth == k) - probabilities[image, :, k]), {*np.flatnonzero(truth == k)})
            for k in present
        ]
        assert loss == pytest.approx(np.mean(of_class), rel=1e-6)


def test_lovasz_is_that_of_the_valid_pixels_alone():
    ids, logits = drawn(batch=1)
    valid = ids != 255
    alone = Lovasz()(ids[valid][None, None], logits[valid][None, None])
    assert float(Lovasz(255)(ids, logits)) == pytest.approx(float(alone), rel=1e-6)


def test_lovasz_of_a_million_pixels_is_as_exact_as_in_float64():
    ids = np.zeros((1, 1000, 1000), np.uint8)
    ids[0, :, ::3] = 1
    p = np.random.default_rng(3).random(ids.shape)
    expected = []
    for truth, chance in ((ids == 0, p), (ids == 1, 1 - p)):
        errors, truth = np.abs(truth - chance).ravel(), truth.ravel()
        order = np.argsort(-errors)
        truth = truth[order].astype(np.float64)
        jaccard = 1 - (truth.sum() - truth.cumsum()) / (truth.sum() + (1 - truth).cumsum())
        expected.append(errors[order] @ np.diff(jaccard, prepend=0))
    logits = np.log(np.stack([p, 1 - p], axis=-1)).astype(np.float32)
    assert float(Lovasz()(ids, logits)) == pytest.approx(np.mean(expected), rel=2e-6)


@every_loss
def test_void_pixels_reach_neither_value_nor_gradient(loss):
    ids, logits = drawn()
    void = ids == 255
    logits = tf.Variable(logits)
    with tf.GradientTape() as tape:
        before = loss(ids, logits)
    gradient = tape.gradient(before, logits).numpy()
    assert (gradient[void] == 0).all()
    changed = tf.Variable(np.where(void[..., None], np.float32([50, np.nan, np.inf]), logits.numpy()))
    with tf.GradientTape() as tape:
        after = loss(ids, changed)
    np.testing.assert_array_equal(after, before)
    np.testing.assert_array_equal(tape.gradient(after, changed), gradient)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_every_valid_pixel_reaches_the_gradient(loss):
    ids, logits = drawn()
    logits = tf.Variable(logits)
    with tf.GradientTape() as tape:
        losses = loss(ids, logits)
    assert (np.abs(tape.gradient(losses, logits).numpy()[ids != 255]).sum(axis=-1) > 0).all()


@every_loss
def test_gradients_are_those_of_finite_differences(loss):
    ids, logits = drawn(batch=1)
    logits, direction = tf.Variable(logits), np.random.default_rng(4).normal(size=logits.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        losses = loss(ids, logits)
    slope = np.sum(tape.gradient(losses, logits).numpy() * direction)
    ahead, behind = (float(loss(ids, logits.numpy() + step * direction)[0]) for step in (1e-3, -1e-3))
    assert slope == pytest.approx((ahead - behind) / 2e-3, rel=2e-2, abs=2e-4)


@every_loss
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_low_precision_logits_give_the_loss_of_their_rounded_values(loss, dtype):
    ids, logits = drawn()
    low = tf.Variable(logits, dtype=dtype)
    with tf.GradientTape() as tape:
        losses = loss(ids, low)
    assert losses.dtype == tf.float32
    np.testing.assert_array_equal(losses, loss(ids, tf.cast(low, tf.float32)))
    assert np.isfinite(tf.cast(tape.gradient(losses, low), tf.float32)).all()


@every_loss
def test_compiled_for_any_size_a_loss_is_the_same(loss):
    ids, logits = drawn()
    signature = [tf.TensorSpec((None, None, None), tf.uint8), tf.TensorSpec((None, None, None, 3), tf.float32)]
    for jit_compile in (False, True):
        compiled = tf.function(loss, input_signature=signature, jit_compile=jit_compile)
        np.testing.assert_allclose(compiled(ids, logits), loss(ids, logits), rtol=1e-5)
        np.testing.assert_allclose(
            compiled(ids[:, 1:, 2:], logits[:, 1:, 2:]), loss(ids[:, 1:, 2:], logits[:, 1:, 2:]), 1e-5
        )


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
def test_known_ids_outside_the_classes_are_refused_with_their_number(loss):
    ids, logits = drawn()
    ids[1, 0, :2], ids[2, 0, 0] = 3, 99
    for truth in (ids, tf.constant(ids)):
        with pytest.raises(ValueError, match=r"ids in 0..2 or be 255 \(void\). Received: ids \[3, 99\] at 3 pixels"):
            loss(truth, logits)


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["graph", "xla"])
@every_loss
def test_in_a_graph_ids_outside_the_classes_are_void(loss, jit_compile):
    ids, logits = drawn()
    ids[1, 0, :2], ids[2, 0, 0] = 3, 99

    @functools.partial(tf.function, jit_compile=jit_compile)
    def value_and_gradient(ids, logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            losses = loss(ids, logits)
        return losses, tape.gradient(losses, logits)

    void = np.where((ids < 3) | (ids == 255), ids, 255)
    for found, expected in zip(value_and_gradient(ids, logits), value_and_gradient(void, logits), strict=True):
        assert np.isfinite(found).all()
        np.testing.assert_array_equal(found, expected)


def test_one_wrong_value_in_a_mask_does_not_destroy_the_weights():
    ids, logits = drawn(batch=4)
    ids[2, 3, 4] = 37
    model = keras.Sequential([keras.Input((5, 7, 3)), keras.layers.Conv2D(3, 1, name="logits")])
    model.compile(keras.optimizers.SGD(0.5), CrossEntropy() + Dice(), metrics=[metrics.ConfusionMatrix(3)])
    history = model.fit(logits, ids, batch_size=2, epochs=2, verbose=0).history
    assert np.isfinite([history["loss"], history["mean_iou"]]).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_void_is_255_by_default_in_every_loss_metric_and_game():
    public = [vars(module)[name] for module in (losses, metrics, games) for name in module.__all__]
    defaults = {
        f"{thing.__name__}: {parameter.default}"
        for thing in public
        if callable(thing)
        for parameter in inspect.signature(thing).parameters.values()
        if parameter.name == "ignore_class"
    }
    assert {default.split(": ")[1] for default in defaults} == {"255"} and len(defaults) >= 11


@every_loss
def test_a_loss_survives_its_config_and_takes_maps_with_one_channel(loss):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    ids, logits = drawn()
    np.testing.assert_array_equal(again(ids[..., None], logits), loss(ids, logits))


def test_a_network_saved_with_its_loss_trains_on_after_it_is_loaded(tmp_path):
    ids, logits = drawn()
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 1, name="logits")])
    loss = CrossEntropy(255, top_k=0.5) + 0.5 * Dice(255, generalized=True) + Lovasz(255) + Tversky(255) + Focal(255)
    model.compile("sgd", 0.5 * (loss + Jaccard(255)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.loss.get_config() == model.loss.get_config()
    assert loaded.evaluate(logits, ids, verbose=0) == pytest.approx(model.evaluate(logits, ids, verbose=0), rel=1e-6)


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
    with pytest.raises(
        ValueError, match=r"`label_smoothing` must be a number of at least 0 and below 1. Received: label_smoothing=1"
    ):
        CrossEntropy(label_smoothing=1)
    with pytest.raises(
        ValueError, match=r"`top_k` must be a number above 0 and at most 1. Received: top_k=0. It is the share"
    ):
        CrossEntropy(top_k=0)
    with pytest.raises(ValueError, match=r"`gamma` must be a number of at least 0. Received: gamma=-1"):
        Focal(gamma=-1)
    with pytest.raises(ValueError, match=r"`beta` must be a number above 0. Received: beta=0. With beta = 0"):
        Tversky(alpha=1, beta=0)
    with pytest.raises(ValueError, match=r"`sample_weight` must hold one number for each image.*\(2, 5, 2\)"):
        CrossEntropy()(np.zeros((2, 5, 2)), np.zeros((2, 5, 2, 3)), sample_weight=np.ones((2, 5, 2)))
    for weights in ([1, float("nan")], [1, -1], [[1, 2, 3]], {0: 1, 1: 2, 2: 3}, "123", 2.0):
        with pytest.raises(
            ValueError, match="`class_weights` must be a list of numbers of at least 0, one for each class"
        ):
            Dice(class_weights=weights)
    for void in ("255", 2.5, True):
        with pytest.raises(ValueError, match=f"`ignore_class` must be an integer id or None. .*ignore_class={void!r}"):
            CrossEntropy(ignore_class=void)
    for make in (lambda: Focal(gamma="2"), lambda: Tversky(alpha=None), lambda: CrossEntropy(top_k=None)):
        with pytest.raises(ValueError, match="` must be a number "):
            make()
    ids, logits = drawn()
    with pytest.raises(ValueError, match=r"one number for each image.*sample_weight.shape=\(2,\) for 3 images"):
        CrossEntropy()(ids, logits, sample_weight=np.ones(2))
    with pytest.raises(ValueError, match=r"`y_pred` must be logits .* Received: the output of a softmax"):
        CrossEntropy()(ids, keras.ops.softmax(logits))
    with pytest.raises(ValueError, match=r"one weight for each of the 3 classes of the logits. Received: 2 weights"):
        CrossEntropy(class_weights=[1, 2])(ids, logits)
    with pytest.raises(ValueError, match=r"y_true.shape=\(3, 5, 6\), y_pred.shape=\(3, 5, 7, 3\)"):
        Dice()(ids[:, :, 1:], logits)
    with pytest.raises(ValueError, match=r"not one-hot vectors.*y_true.shape=\(3, 5, 7, 3\).*ops.argmax"):
        CrossEntropy()(np.eye(3)[np.zeros((3, 5, 7), int)], logits)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_network_that_ends_with_a_softmax_is_refused_in_fit(run_eagerly):
    ids, logits = drawn()
    network = keras.Sequential([keras.Input((5, 7, 3)), keras.layers.Conv2D(3, 1), keras.layers.Softmax()])
    network.compile("sgd", CrossEntropy() + Dice(), run_eagerly=run_eagerly)
    with pytest.raises(ValueError, match=r"`y_pred` must be logits .*activation=None"):
        network.fit(logits, ids, verbose=0)
