"""Expected calibration error: whether predictions of 80 % confidence are correct 80 % of the time. numpy, for evaluation."""

from __future__ import annotations

import numpy as np

from kseg._checks import check_integer
from kseg.labels import VOID
from kseg.metrics.confusion import as_checked_ids

UNIT = 2**24
"""A confidence of 1 counts as this integer: sums of integers do not depend on their order."""


def calibration_counts(
    truth_ids, predicted_ids, confidence, num_classes: int, bins: int = 15, ignore_class: int | None = VOID
) -> np.ndarray:
    """Counts pixels, correct pixels and confidence in bins of confidence; counts add up over images.

    Bin m of M holds confidences in ((m - 1) / M, m / M]; the first bin includes 0.

    Args:
        truth_ids: integer ids of any shape; pixels of `ignore_class` do not count.
        predicted_ids: integer ids of the same shape.
        confidence: probability of the predicted class, in [0, 1], of the same shape.
        num_classes: K.
        bins: M.
        ignore_class: id of void in the truth, or None.

    Returns:
        int64 (M, 3): per bin the pixels, the correct ones, and the sum of confidences in units of 1 / `UNIT`.

    Raises:
        ValueError: the shapes differ, an id is neither a class nor void, a confidence of a counted pixel is not in [0, 1], or
            `bins` is below 1.

    Source: Guo et al. 2017, arXiv:1706.04599, section 2.
    """
    check_integer("bins", bins)
    truth, predicted = as_checked_ids(truth_ids, predicted_ids, num_classes, ignore_class)
    confidence = np.asarray(confidence, np.float64)
    if confidence.shape != truth.shape:
        raise ValueError(
            "`confidence` must have the shape of the ids. "
            f"Received: confidence.shape={confidence.shape}, truth_ids.shape={truth.shape}."
        )
    counted = np.ones(truth.shape, bool) if ignore_class is None else truth != ignore_class
    correct, confidence = (truth == predicted)[counted], confidence[counted]
    wrong = confidence[~((confidence >= 0) & (confidence <= 1))]
    if wrong.size:
        raise ValueError(
            "`confidence` must lie in [0, 1]. "
            f"Received: {wrong[0]:g} and others at {wrong.size} pixels. Pass probabilities, not logits."
        )
    bin_of = np.maximum(np.ceil(confidence * bins).astype(np.int64) - 1, 0)
    parts = np.rint(confidence * UNIT)
    columns = (np.bincount(bin_of, weights, bins) for weights in (None, correct, parts))  # exact: float64 up to 2^53
    return np.stack([column.astype(np.int64) for column in columns], axis=1)


def expected_calibration_error(counts) -> float:
    """Mean absolute difference between confidence and accuracy over the bins, weighted by their pixels.

    With n_m pixels in bin m, sum_m n_m / n * |accuracy_m - mean confidence_m|; 0 is calibrated.

    Args:
        counts: (M, 3), a sum of results of `calibration_counts`.

    Returns:
        A number in [0, 1]; NaN if nothing was counted.

    Example:
        >>> counts = calibration_counts([0, 0, 1, 1], [0, 1, 1, 1], [0.75, 0.75, 1.0, 1.0], 2)
        >>> expected_calibration_error(counts)  # half of the pixels are correct 1/4 less often than claimed
        0.125

    Source: Guo et al. 2017, arXiv:1706.04599, equation 3.
    """
    pixels, correct, confidence = np.asarray(counts, np.float64).T
    return float(np.abs(correct - confidence / UNIT).sum() / pixels.sum()) if pixels.any() else np.nan
