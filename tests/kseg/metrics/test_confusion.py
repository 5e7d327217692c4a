"""Scores of the confusion matrix: hand-computed, exact counts, and ids not dropped in silence."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.metrics import SCORES, ConfusionMatrix, confusion_matrix, scores

TRUTH = np.array([[[0, 0, 1], [1, 2, 255]]], np.uint8)
PREDICTED = np.array([[[0, 1, 1], [1, 0, 2]]], np.uint8)
MATRIX = [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]  # of 4 classes; the last does not occur


def test_the_matrix_counts_truth_in_rows_and_leaves_void_out():
    matrix = confusion_matrix(TRUTH, PREDICTED, 4)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == MATRIX


def test_the_scores_of_a_hand_computed_matrix():
    result = scores(MATRIX)
    assert result["iou"] == [pytest.approx(1 / 3), pytest.approx(2 / 3), 0.0, None]
    assert result["mean_iou"] == pytest.approx((1 / 3 + 2 / 3 + 0) / 3)
    assert result["pixel_accuracy"] == pytest.approx(3 / 5)
    assert result["mean_accuracy"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert result["frequency_weighted_iou"] == pytest.approx((2 / 3 + 2 * 2 / 3 + 0) / 5)
    assert result["dice"] == [pytest.approx(2 / 4), pytest.approx(4 / 5), 0.0, None]
    assert result["precision"] == [
        pytest.approx(1 / 2),
        pytest.approx(2 / 3),
        None,
        None,
    ]  # nothing was said to be class 2
    assert result["recall"] == [pytest.approx(1 / 2), 1.0, 0.0, None]


def test_a_class_that_is_only_predicted_counts_in_the_mean_iou_but_not_in_the_mean_accuracy():
    result = scores([[3, 1], [0, 0]])
    assert result["iou"] == [0.75, 0.0]
    assert result["mean_iou"] == 0.375
    assert result["mean_accuracy"] == 0.75


def test_where_nothing_was_counted_every_score_is_nan():
    result = scores(np.zeros((3, 3)))
    assert all(np.isnan(result[name]) for name in SCORES)
    assert all(result[name] == [None] * 3 for name in ("iou", "dice", "precision", "recall"))
    assert np.isnan(float(ConfusionMatrix(3).result()))


def test_ids_that_are_no_class_are_refused():
    with pytest.raises(ValueError, match=r"`truth_ids` must hold class ids in 0..1 or be 255.*ids \[2\] at 1 pixels"):
        confusion_matrix(TRUTH, PREDICTED % 2, 2)
    with pytest.raises(
        ValueError, match=r"`predicted_ids` must hold class ids in 0..2. Received: ids \[3, 255\] at 2 pixels"
    ):
        confusion_matrix(np.array([0, 1, 2]), np.array([3, 0, 255]), 3)
    with pytest.raises(ValueError, match=r"truth_ids.shape=\(3,\), predicted_ids.shape=\(2,\)"):
        confusion_matrix(np.array([0, 1, 2]), np.array([1, 2]), 3)
    with pytest.raises(ValueError, match=r"`matrix` must be \(K, K\)"):
        scores(np.zeros((2, 3)))


@pytest.mark.parametrize("score", SCORES)
def test_the_keras_metric_equals_numpy_however_the_pixels_are_batched(score):
    draw = np.random.default_rng(0)
    truth = draw.choice([0, 1, 2, 3, 255], (7, 5, 9)).astype(np.uint8)
    logits = draw.normal(size=(7, 5, 9, 6)).astype(np.float32)  # classes 4 and 5 are never true
    metric = ConfusionMatrix(6, score=score)
    for start in range(0, 7, 3):
        metric.update_state(truth[start : start + 3], logits[start : start + 3])
    expected = confusion_matrix(truth, logits.argmax(axis=-1), 6)
    np.testing.assert_array_equal(metric.matrix(), expected)
    assert float(metric.result()) == pytest.approx(scores(expected)[score], rel=1e-6)
    metric.reset_state()
    assert not metric.matrix().any()


def test_the_keras_metric_takes_ids_and_maps_with_one_channel():
    metric = ConfusionMatrix(4)
    metric.update_state(TRUTH[..., None].astype(np.float32), PREDICTED)
    assert metric.matrix().tolist() == MATRIX


def test_the_matrix_of_numpy_counts_past_2_to_the_24():
    ids = np.zeros((4097, 4096), np.uint8)
    ids[0, 0] = 1
    assert confusion_matrix(ids, np.zeros_like(ids), 2).tolist() == [[2**24 + 2**12 - 1, 0], [1, 0]]


@pytest.mark.parametrize("jit_compile", [None, False, True], ids=["eager", "graph", "xla"])
def test_counting_in_a_graph_goes_on_past_2_to_the_24(jit_compile):
    metric = ConfusionMatrix(2)
    update = metric.update_state if jit_compile is None else tf.function(metric.update_state, jit_compile=jit_compile)
    metric.words.assign([[65535.0, 0, 0, 3, 0], [2.0**24 - 2, 0, 0, 0, 0]])  # 2^40 - 2^16 - 1 pixels, and 3
    update(tf.zeros((1, 1, 2), tf.int32), tf.zeros((1, 1, 2), tf.int32))
    assert metric.matrix().tolist() == [[2**40 - 2**16 + 1, 0], [0, 3]]

    metric.reset_state()
    many, one = tf.zeros((1, 2**12, 2**11), tf.int32), tf.zeros((1, 1, 1), tf.int32)
    for _ in range(2):
        update(many, many)
    update(one, one)
    assert metric.matrix()[0, 0] == 2**24 + 1


@pytest.mark.parametrize("predicted", [4, -1, 255])
def test_a_predicted_id_outside_the_classes_makes_the_score_nan(predicted):
    metric = ConfusionMatrix(4)
    metric.update_state(TRUTH, PREDICTED)
    metric.update_state(np.array([[[0]]]), np.array([[[predicted]]]))
    assert np.isnan(float(metric.result()))
    with pytest.raises(ValueError, match=r"Predicted ids must lie in 0..3. Received: other ids at 1 pixels"):
        metric.matrix()


def test_known_true_ids_outside_the_classes_are_refused():
    truth = np.where(TRUTH == 2, 37, TRUTH)
    for labels in (truth, tf.constant(truth), truth.astype(np.float32)[..., None]):
        metric = ConfusionMatrix(4)
        with pytest.raises(ValueError, match=r"`y_true` must hold class ids in 0..3 or be 255.*ids \[37\] at 1 pixels"):
            metric.update_state(labels, PREDICTED)
        assert not metric.matrix().any()


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_in_a_graph_true_ids_outside_the_classes_enter_no_score_and_are_counted_by_id(jit_compile):
    metric, void = ConfusionMatrix(3), ConfusionMatrix(3)
    update = tf.function(metric.update_state, jit_compile=jit_compile)
    truth = np.array([[[0, 1, 2, 3], [254, 37, 37, 255], [-5, -1, 300, 1000]]], np.int32)
    predicted = np.array([[[0, 1, 1, 3], [0, 0, 7, 0], [0, 1, 2, 2]]], np.int32)  # also invalid where the truth is
    for _ in range(2):
        update(tf.constant(truth), tf.constant(predicted))
        void.update_state(np.where((truth >= 0) & (truth < 3), truth, 255), predicted)
    assert metric.invalid_ids() == {-1: 4, 3: 2, 37: 4, 254: 2, 256: 4}
    np.testing.assert_array_equal(metric.matrix(), void.matrix())
    assert float(metric.result()) == float(void.result()) == pytest.approx(1 / 2)  # of IoUs 1, 1/2 and 0
    metric.reset_state()
    assert metric.invalid_ids() == {}


def test_where_every_pixel_has_a_class_255_is_no_void():
    metric = ConfusionMatrix(4, ignore_class=None)
    with pytest.raises(ValueError, match=r"in 0..3. Received: ids \[255\] at 1 pixels"):
        metric.update_state(TRUTH, PREDICTED)
    tf.function(metric.update_state)(tf.constant(TRUTH), tf.constant(PREDICTED))
    assert metric.invalid_ids() == {255: 1}


def test_a_metric_survives_its_config():
    metric = ConfusionMatrix(5, ignore_class=None, score="pixel_accuracy", name="accuracy")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert again.get_config() == metric.get_config()
    assert ConfusionMatrix(5).name == "mean_iou"


def test_wrong_arguments_are_named():
    for classes in (0, 2.5, "3", None):
        for make in (ConfusionMatrix, lambda number: confusion_matrix([0], [0], number)):
            with pytest.raises(ValueError, match=f"`num_classes` must be an integer of at least 1. .*={classes!r}"):
                make(classes)
    with pytest.raises(ValueError, match=r"`ignore_class` must be an integer id or None. Received: ignore_class='255'"):
        ConfusionMatrix(3, ignore_class="255")
    with pytest.raises(ValueError, match=r"`score` must be one of mean_iou, .* Received: score='dice'"):
        ConfusionMatrix(3, score="dice")
    with pytest.raises(ValueError, match=r"with K = 4, or integer ids. Received: y_pred.shape=\(1, 2, 3, 5\)"):
        ConfusionMatrix(4).update_state(TRUTH, np.zeros((1, 2, 3, 5), np.float32))
    with pytest.raises(ValueError, match=r"of the same height and width. Received: y_true.shape=\(1, 2, 2\)"):
        ConfusionMatrix(4).update_state(TRUTH[:, :, 1:], PREDICTED)
    with pytest.raises(ValueError, match=r"not one-hot vectors.*Take ops.argmax"):
        ConfusionMatrix(4).update_state(np.eye(4)[TRUTH % 4], np.zeros((1, 2, 3, 4), np.float32))
    with pytest.raises(ValueError, match=r"`sample_weight` must be None: .* Received: a weight for 'mean_iou'"):
        ConfusionMatrix(4).update_state(TRUTH, PREDICTED, sample_weight=np.ones(1))
