"""Expected calibration error: hand-computed bins, and sums that no order changes."""

import numpy as np
import pytest

from kseg.metrics import calibration_counts, expected_calibration_error
from kseg.metrics.calibration import UNIT

TRUTH = np.array([[0, 0, 1, 1], [1, 1, 0, 255]])
SAID = np.array([[0, 1, 1, 1], [1, 0, 0, 1]])
CONFIDENCE = np.array([[0.7, 0.8, 1.0, 0.75], [0.5, 0.6, 0.0, 0.9]])  # the last one stands at void


def test_pixels_fall_into_bins_that_hold_their_upper_end():
    counts = calibration_counts(TRUTH, SAID, CONFIDENCE, 2, bins=4)
    assert counts[:, 0].tolist() == [1, 1, 3, 2]
    assert counts[:, 1].tolist() == [1, 1, 2, 1]
    assert counts[:, 2] / UNIT == pytest.approx([0, 0.5, 0.7 + 0.6 + 0.75, 1.8], abs=1e-6)


def test_the_error_of_hand_computed_bins():
    expected = (abs(1 - 0) + abs(1 - 0.5) + abs(2 - 2.05) + abs(1 - 1.8)) / 7
    counts = calibration_counts(TRUTH, SAID, CONFIDENCE, 2, bins=4)
    assert expected_calibration_error(counts) == pytest.approx(expected, abs=1e-7)


def test_answers_as_often_right_as_they_claim_have_hardly_an_error():
    draw = np.random.default_rng(0)
    confidence = draw.uniform(0.5, 1, 200_000).astype(np.float32)
    said = draw.integers(0, 2, confidence.shape)
    truth = np.where(draw.random(confidence.shape) < confidence, said, 1 - said)
    assert expected_calibration_error(calibration_counts(truth, said, confidence, 2)) < 0.01
    sure = np.ones_like(confidence)
    error = expected_calibration_error(calibration_counts(truth, said, sure, 2))
    assert error == pytest.approx(1 - np.mean(truth == said), abs=1e-9)


def test_neither_order_nor_size_of_batches_changes_a_bit_of_the_counts():
    draw = np.random.default_rng(1)
    truth, said = draw.integers(0, 3, (2, 9, 8, 11))
    confidence = draw.random(truth.shape).astype(np.float32)
    whole = calibration_counts(truth, said, confidence, 3)
    parts = [
        calibration_counts(truth[batch], said[batch], confidence[batch], 3)
        for batch in np.split(draw.permutation(9), [1, 5])
    ]
    np.testing.assert_array_equal(sum(parts), whole)


def test_where_nothing_was_counted_the_error_is_nan():
    assert np.isnan(expected_calibration_error(calibration_counts([255], [0], [np.nan], 2)))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"`bins` must be an integer of at least 1. Received: bins=0"):
        calibration_counts([0], [0], [0.5], 2, bins=0)
    with pytest.raises(ValueError, match=r"`confidence` must lie in \[0, 1\]. Received: 1.5 and others at 2 pixels"):
        calibration_counts([0, 1, 1], [0, 1, 1], [1.5, 0.5, np.nan], 2)
    with pytest.raises(ValueError, match=r"confidence.shape=\(2,\), truth_ids.shape=\(3,\)"):
        calibration_counts([0, 1, 1], [0, 1, 1], [0.5, 0.5], 2)
    with pytest.raises(ValueError, match=r"`truth_ids` must hold class ids in 0..1 or be 255.*ids \[7\] at 1 pixels"):
        calibration_counts([7, 1], [0, 1], [0.5, 0.5], 2)
