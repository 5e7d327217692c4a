"""Boundary F1: hand-computed outlines, the distance transform's answer, void, and sums that no order changes."""

import numpy as np
import pytest
from scipy import ndimage

from kseg.metrics import boundary_counts, boundary_scores


def f1(truth, predicted, num_classes=2, **settings):
    return boundary_scores(boundary_counts(np.array(truth), np.array(predicted), num_classes, **settings))


def drawn(seed, shape=(37, 53), classes=4):
    """A label map of blobs."""
    noise = np.random.default_rng(seed).normal(size=(classes, *shape))
    return ndimage.gaussian_filter(noise, (0, 4, 4)).argmax(axis=0)


def square(top, left):
    ids = np.zeros((16, 16), np.uint8)
    ids[top : top + 6, left : left + 6] = 1
    return ids


def test_f1_of_hand_computed_outlines():
    truth, predicted = [[0, 0, 0, 1, 1, 1]], [[0, 0, 1, 1, 0, 1]]
    # true boundaries: column 2 of class 0, 3 of class 1; predicted: 1 and 4 of class 0, 2, 3 and 5 of class 1
    exact = [0.0, 2 * (1 / 3) * 1 / (1 / 3 + 1)]
    near = [2 * (1 / 2) * 1 / (1 / 2 + 1), 2 * (2 / 3) * 1 / (2 / 3 + 1)]
    for tolerance, expected in ((0, exact), (1, near), (2, [1.0, 1.0])):
        result = f1(truth, predicted, tolerance=tolerance)
        assert result["class_boundary_f1"] == pytest.approx(expected, abs=1e-11)
        assert result["boundary_f1"] == pytest.approx(np.mean(expected), abs=1e-11)


@pytest.mark.parametrize(("tolerance", "expected"), [(2.8, 0.0), (2.9, 1.0)])
def test_distance_is_euclidean(tolerance, expected):
    truth, predicted = np.zeros((2, 9, 9), np.uint8)
    truth[2, 2] = predicted[4, 4] = 1  # sqrt(8) = 2.83 apart
    assert f1(truth, predicted, tolerance=tolerance)["class_boundary_f1"][1] == expected


def test_an_outline_that_is_shifted_within_the_tolerance_is_met():
    assert f1(square(5, 5), square(5, 5), tolerance=0)["boundary_f1"] == 1
    assert f1(square(5, 5), square(7, 6), tolerance=2)["boundary_f1"] > 0.9
    assert f1(square(5, 5), square(7, 6), tolerance=0)["boundary_f1"] < 0.5


def outline(ids, k, among=True):
    """Pixels of class k beside a pixel of another class; `among` which pixels."""
    return (ids == k) & among & ndimage.binary_dilation((ids != k) & among)


@pytest.mark.parametrize("tolerance", [0, 1, 2.5, 4])
def test_the_answer_is_that_of_distance_transforms_of_every_class(tolerance):
    truth, predicted = drawn(0), drawn(1)
    filled = truth.copy()
    truth[5:19, 20:33] = 255
    truth[30:32] = 255
    void = truth == 255
    depth, nearest = ndimage.distance_transform_edt(void, return_indices=True)
    expected = []
    for k in range(4):
        true = outline(truth[tuple(nearest)], k) & (depth <= 3)
        said, costly = outline(predicted, k), outline(predicted, k, among=~void)
        met = said & (ndimage.distance_transform_edt(~true) <= tolerance)
        precision, recall = (
            met.sum() / (met | costly).sum(),
            np.mean(ndimage.distance_transform_edt(~said)[true] <= tolerance),
        )
        expected.append(2 * precision * recall / (precision + recall))
    assert f1(truth, predicted, 4, tolerance=tolerance)["class_boundary_f1"] == pytest.approx(expected, abs=1e-11)
    assert f1(filled, filled, 4, tolerance=tolerance)["boundary_f1"] == 1


def test_a_class_whose_outline_is_in_one_map_only_has_0_and_one_in_neither_does_not_count():
    assert f1(square(5, 5), np.zeros((16, 16), int), 3)["class_boundary_f1"] == [0.0, 0.0, None]
    nothing = f1(np.zeros((16, 16), int), np.zeros((16, 16), int))
    assert np.isnan(nothing["boundary_f1"]) and nothing["class_boundary_f1"] == [None, None]


def test_an_outline_in_the_middle_of_a_rim_of_void_is_looked_for_there():
    whole = np.zeros((40, 40), np.uint8)
    whole[10:30, 10:30] = 1
    rim = ndimage.binary_dilation(outline(whole, 0) | outline(whole, 1), iterations=2)
    truth = np.where(rim, 255, whole)  # six pixels of void on the outline
    assert f1(truth, whole)["boundary_f1"] == 1
    assert f1(truth, np.roll(whole, 1, axis=1))["boundary_f1"] == 1
    assert f1(truth, np.roll(whole, 7, axis=1))["boundary_f1"] < 0.75
    assert f1(truth, np.zeros_like(whole))["class_boundary_f1"] == [0.0, 0.0]


def test_what_is_said_at_void_pixels_costs_nothing():
    truth = np.zeros((16, 16), np.uint8)
    truth[4:12, 4:12] = 255
    said = truth // 255
    assert f1(truth, said)["class_boundary_f1"] == [None, None]
    assert f1(truth, np.where(said, 200, 0))["class_boundary_f1"] == [None, None]  # nor has it to be a class
    said[8, 3] = 1  # but a pixel that has another class does
    assert f1(truth, said)["class_boundary_f1"] == [0.0, 0.0]
    assert not boundary_counts(np.full((4, 4), 255), np.eye(4, dtype=int), 2).any()


def test_far_inside_void_no_outline_is_expected():
    truth = np.zeros((20, 20), np.uint8)
    truth[:, 10:] = 1
    said = truth.copy()
    truth[:10] = 255
    said[:7] = 0  # the three rows of void next to the rest still count
    assert f1(truth, said, tolerance=0)["boundary_f1"] == 1
    said[:8] = 0
    assert f1(truth, said, tolerance=0)["boundary_f1"] < 1


def test_neither_order_nor_size_of_batches_changes_a_bit_of_the_counts():
    truth, predicted = (np.stack([drawn(seed + 10 * i) for i in range(7)]) for seed in (2, 3))
    whole = boundary_counts(truth, predicted, 4)
    assert whole[:, 1].tolist() == [7] * 4
    order = np.random.default_rng(4).permutation(7)
    parts = [boundary_counts(truth[batch], predicted[batch], 4) for batch in np.split(order, [2, 3])]
    np.testing.assert_array_equal(sum(parts), whole)
    one_by_one = [f1(*maps, 4)["class_boundary_f1"] for maps in zip(truth, predicted, strict=True)]
    assert boundary_scores(whole)["class_boundary_f1"] == pytest.approx(np.mean(one_by_one, axis=0), abs=1e-11)


def test_wrong_arguments_are_named():
    for tolerance in (-1, "2", np.inf):
        with pytest.raises(ValueError, match=f"`tolerance` must be a number of at least 0. .*tolerance={tolerance!r}"):
            boundary_counts(square(1, 1), square(1, 1), 2, tolerance=tolerance)
    with pytest.raises(ValueError, match=r"must be \(H, W\) or \(B, H, W\). Received: truth_ids.shape=\(16,\)"):
        boundary_counts(square(1, 1)[0], square(1, 1)[0], 2)
    with pytest.raises(
        ValueError, match=r"`predicted_ids` must hold class ids in 0..0. Received: ids \[1\] at 36 pixels"
    ):
        boundary_counts(np.zeros((16, 16), int), square(1, 1), 1)
