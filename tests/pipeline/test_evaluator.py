import json

import numpy as np
import pytest

from pipeline.components.evaluator import _scores, always, evaluator, verdict
from pipeline.config import Evaluator


@pytest.fixture
def evaluate(tmp_path, finished):
    """Runs the component on the finished line; returns scores.json."""

    def run(examples=finished.examples, **settings):
        evaluator(
            tmp_path,
            Evaluator(**settings),
            model=finished.trainer,
            examples=examples,
            transform=finished.transform,
            statistics=finished.statistics,
        )
        return json.loads((tmp_path / "scores.json").read_text())

    return run


def test_every_labelled_pixel_is_counted_once_at_its_original_size_and_at_the_training_size(evaluate, finished):
    scores = evaluate()
    assert (scores["split"], scores["images"], scores["classes"]) == ("test", 5, ["ground", "left", "right"])
    for size, pairs in (("original_size", finished.pairs["test"]), ("training_size", finished.small_pairs["test"])):
        labelled = np.concatenate([label_map[label_map != 255] for _, label_map in pairs])
        assert np.sum(scores[size]["matrix"], axis=1).tolist() == np.bincount(labelled).tolist()
    assert scores["original_size"]["mean_iou"] > 0.9  # classes can be told by colour; only borders are lost in resizing
    assert all(scores["training_size"][name] for name in ("mean_iou", "mean_accuracy", "frequency_weighted_iou", "iou"))
    assert (scores["blessed"], scores["reasons"]) == (True, [])


def test_the_matrix_is_that_of_the_label_maps_that_keras_says(evaluate, finished):
    import keras

    from kseg import metrics, serving

    model = keras.saving.load_model(finished.trainer / "model.keras")
    expected = sum(
        metrics.confusion_matrix(label_map, serving.label_maps(model, finished.image_size, image[None])[0][0], 3)
        for image, label_map in finished.pairs["test"]
    )
    np.testing.assert_array_equal(evaluate()["original_size"]["matrix"], expected)


def test_outlines_and_confidences_are_scored_as_kseg_scores_the_label_maps_that_keras_says(evaluate, finished):
    import keras

    from kseg import metrics, serving

    model = keras.saving.load_model(finished.trainer / "model.keras")
    counts = {"original_size": 0, "training_size": 0, "calibration": 0}
    for size, pairs in (("original_size", finished.pairs["test"]), ("training_size", finished.small_pairs["test"])):
        for image, truth in pairs:
            said, confidence = (a[0] for a in serving.label_maps(model, finished.image_size, image[None]))
            counts[size] += metrics.boundary_counts(truth, said, 3, tolerance=1)
            if size == "training_size":
                counts["calibration"] += metrics.calibration_counts(truth, said, confidence, 3)
    scores = evaluate(boundary_tolerance=1.0)
    for size in ("original_size", "training_size"):
        for name, expected in metrics.boundary_scores(counts[size]).items():
            assert scores[size][name] == pytest.approx(expected)
    expected = metrics.expected_calibration_error(counts["calibration"])
    assert scores["training_size"]["expected_calibration_error"] == pytest.approx(expected, abs=1e-6)


def test_a_score_without_meaning_is_null():
    counts = {"matrix": np.diag([4, 0]), "boundary": np.zeros((2, 2)), "calibration": np.zeros((15, 3))}
    scores = _scores(counts)
    assert (scores["mean_iou"], scores["boundary_f1"], scores["expected_calibration_error"]) == (1.0, None, None)


def test_the_baseline_is_the_commonest_class_of_the_training_split_on_the_scored_split(evaluate):
    scores = evaluate()
    rows = np.sum(scores["original_size"]["matrix"], axis=1)
    assert scores["commonest_class"]["name"] == "ground"
    assert scores["commonest_class"]["mean_iou"] == pytest.approx(rows[0] / rows.sum() / 3)


def test_a_matrix_of_one_answer_keeps_the_truth():
    matrix = np.array([[5, 1, 0], [2, 3, 0], [0, 4, 9]])
    assert always(1, matrix).tolist() == [[0, 6, 0], [0, 5, 0], [0, 13, 0]]


def test_another_split_is_scored_where_the_setting_says_so(evaluate):
    scores = evaluate(split="validation")
    assert (scores["split"], scores["images"]) == ("validation", 1)


def test_a_split_that_is_not_there_is_refused(evaluate):
    with pytest.raises(ValueError, match=r"`split` must be one of .*validation.* Received: evaluator.split=night"):
        evaluate(split="night")


def test_a_split_without_a_labelled_pixel_is_refused(evaluate, void_examples):
    with pytest.raises(ValueError, match=r"must have labelled pixels\. Received: only void on 'test'"):
        evaluate(examples=void_examples)


def test_a_model_below_the_gate_is_scored_all_the_same_and_not_blessed(evaluate):
    scores = evaluate(min_mean_iou=1.0)
    assert not scores["blessed"]
    assert scores["reasons"][0].startswith("mean_iou must reach 1 on 'test' (5 images). Received: mean_iou=0.9")


BASELINE = {"name": "road", "mean_iou": 0.25}


@pytest.mark.parametrize(
    ("mean_iou", "config", "reasons"),
    [
        (0.35, Evaluator(min_gain=0.1), []),
        (0.349, Evaluator(min_gain=0.1), ["mean_iou must reach 0.350 on 'test' (2 images)"]),
        (0.35, Evaluator(min_gain=0.1, min_mean_iou=0.35), []),
        (0.5, Evaluator(min_mean_iou=0.55), ["mean_iou must reach 0.55 on 'test' (2 images)"]),
        (0.2, Evaluator(min_mean_iou=0.55), ["mean_iou must reach 0.55 on", "mean_iou must reach 0.350 on"]),
        (0.0, Evaluator(min_gain=-1.0), []),
    ],
)
def test_the_gate_wants_a_score_and_a_gain_over_the_commonest_class(mean_iou, config, reasons):
    found = verdict(config, mean_iou, BASELINE, "'test' (2 images)")
    assert len(found) == len(reasons)
    assert all(message.startswith(start) for message, start in zip(found, reasons, strict=True))
