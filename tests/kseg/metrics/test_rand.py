"""The Rand score of objects: by hand, against scikit-image, and additive over images."""

import numpy as np
import pytest

from kseg.metrics import rand_counts, rand_scores


def counts_of(truth, predicted):
    return rand_counts(np.array(truth), np.array(predicted), num_classes=2, object_class=1)


def test_a_cell_cut_in_two_lowers_the_split_score_alone():
    counts = counts_of([[1, 1, 1, 1, 1]], [[1, 1, 1, 0, 1]])
    assert counts.tolist() == [3 * 2, 5 * 4, 3 * 2]
    assert rand_scores(counts) == {"rand_split": 6 / 20, "rand_merge": 1, "foreground_rand": 12 / 26}


def test_two_cells_run_together_lower_the_merge_score_alone():
    counts = counts_of([[1, 1, 1, 0, 1]], [[1, 1, 1, 1, 1]])
    assert counts.tolist() == [3 * 2, 3 * 2, 4 * 3]
    assert rand_scores(counts) == {"rand_split": 1, "rand_merge": 6 / 12, "foreground_rand": 12 / 18}


def test_pixels_outside_true_objects_and_void_do_not_count():
    truth = [[1, 1, 0, 0, 255, 1]]
    perfect = counts_of(truth, [[1, 1, 0, 0, 0, 1]])
    assert perfect.tolist() == [2, 2, 2] and rand_scores(perfect)["foreground_rand"] == 1
    assert counts_of(truth, [[1, 1, 0, 1, 0, 1]]).tolist() == [2, 2, 2]
    assert counts_of(truth, [[1, 1, 0, 1, 1, 1]]).tolist() == [2, 2, 2]


def test_corners_do_not_connect():
    assert counts_of([[1, 0], [0, 1]], [[1, 0], [0, 1]]).tolist() == [0, 0, 0]


def test_it_agrees_with_scikit_image_on_connected_components():
    measure, adapted = pytest.importorskip("skimage.measure"), pytest.importorskip("skimage.metrics").adapted_rand_error
    for seed in range(20):
        draw = np.random.default_rng(seed)
        truth, predicted = (draw.random((23, 31)) > share for share in (0.35, 0.3))
        error, precision, recall = adapted(*(measure.label(mask, connectivity=1) for mask in (truth, predicted)))
        scores = rand_scores(counts_of(truth.astype(int), predicted.astype(int)))
        assert scores["foreground_rand"] == pytest.approx(1 - error)
        assert (scores["rand_split"], scores["rand_merge"]) == (pytest.approx(precision), pytest.approx(recall))


def test_counts_of_images_add_up_to_those_of_one_image_in_which_they_lie_apart():
    first, second = [[1, 1, 1, 0, 1]], [[1, 0, 1, 1, 1]]
    predicted = [[1, 1, 1, 1, 1]], [[1, 0, 1, 1, 1]]
    gap = [[0]]
    whole = counts_of(np.hstack([first, gap, second]), np.hstack([predicted[0], gap, predicted[1]]))
    assert (counts_of(first, predicted[0]) + counts_of(second, predicted[1])).tolist() == whole.tolist()


def test_sums_are_exact_for_large_images():
    side = 2048
    counts = counts_of(np.ones((side, side), int), np.ones((side, side), int))
    assert counts.tolist() == [side**4 - side**2] * 3


def test_without_a_true_object_the_score_is_undefined():
    assert np.isnan(rand_scores(counts_of([[0, 0]], [[1, 0]]))["foreground_rand"])


@pytest.mark.parametrize(
    ("truth", "predicted", "object_class", "message"),
    [
        ([[0, 1]], [[0, 1, 1]], 1, r"must have the same shape\. Received: truth_ids\.shape=\(1, 2\)"),
        ([[[0, 1]]], [[[0, 1]]], 1, r"`truth_ids` must have the shape \(H, W\)"),
        ([[0, 1]], [[0, 1]], 2, r"`object_class` must be a class, 0\.\.1\. Received: object_class=2"),
        ([[0, 7]], [[0, 1]], 1, "7"),
    ],
)
def test_what_does_not_fit_is_refused(truth, predicted, object_class, message):
    with pytest.raises(ValueError, match=message):
        rand_counts(np.array(truth), np.array(predicted), num_classes=2, object_class=object_class)
