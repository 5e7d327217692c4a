"""Confidence of a difference between two models: a paired bootstrap over images. numpy only."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Difference:
    """One model's score minus another's on the same images, and its confidence interval."""

    value: float
    low: float
    high: float


def paired_difference(
    counts, other_counts, score, *, level: float = 0.95, replicates: int = 2000, seed: int = 0
) -> Difference:
    """Score of the first model minus the second's, with a percentile interval over images.

    Images are resampled, not pixels, since pixels of one image are not independent. Each replicate draws as many images as
    there are, with replacement, the same ones for both models: pairing removes the difficulty of the images from the
    difference. The interval lies between the quantiles (1 - level) / 2 and (1 + level) / 2 of the replicates' differences.
    Replicates whose score is undefined are dropped.

    Args:
        counts: (N, ...) integers per image that add up over images, such as `class_counts`.
        other_counts: the same of the other model, for the same images in the same order.
        score: function from counts (...) to a number.
        level: of the interval, in (0, 1).
        replicates: number of draws; the default gives the ends of the interval to about 5 % of its width.
        seed: of the draws.

    Returns:
        The difference on all images and its interval; NaN where the score is undefined.

    Raises:
        ValueError: the counts differ in shape, or there is no image.

    Example:
        >>> counts, other_counts = np.array([[9, 10], [8, 10], [7, 10]]), np.array([[7, 10], [5, 10], [4, 10]])
        >>> found = paired_difference(counts, other_counts, lambda pixels: pixels[0] / pixels[1])
        >>> [round(float(number), 3) for number in (found.value, found.low, found.high)]  # 24/30 - 16/30; 2/10 to 3/10
        [0.267, 0.2, 0.3]

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13.3 (percentile interval).
    """
    counts, other_counts = np.asarray(counts), np.asarray(other_counts)
    if counts.shape != other_counts.shape or not len(counts):
        raise ValueError(
            "`counts` and `other_counts` must be of the same images, at least one. "
            f"Received: counts.shape={counts.shape}, other_counts.shape={other_counts.shape}."
        )
    images, generator = len(counts), np.random.default_rng(seed)
    drawn = generator.multinomial(
        images, np.full(images, 1 / images), size=replicates
    )  # (R, N): how often each was drawn
    sums, other_sums = np.tensordot(drawn, counts, 1), np.tensordot(drawn, other_counts, 1)
    differences = [score(ours) - score(theirs) for ours, theirs in zip(sums, other_sums, strict=True)]
    value = score(counts.sum(axis=0)) - score(other_counts.sum(axis=0))
    defined = np.array([difference for difference in differences if not np.isnan(difference)])
    if not defined.size:
        return Difference(float(value), np.nan, np.nan)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Difference(float(value), float(low), float(high))
