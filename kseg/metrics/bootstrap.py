"""Confidence of a score, and of a difference between two models: a bootstrap over images. numpy only."""

from __future__ import annotations

import dataclasses

import numpy as np

from kseg._checks import check_integer, check_number

DRAWS = 2**22
"""Numbers of draws that are in memory at once."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """One model's score minus another's on the same images, and its confidence interval."""

    value: float
    low: float
    high: float


def score_interval(counts, score, *, level: float = 0.95, replicates: int = 2000, seed: int = 0) -> tuple:
    """Percentile interval of one or several scores over images.

    Images are resampled as in `paired_difference`. Replicates in which a score is undefined are left out for that score.

    Args:
        counts: (N, ...) integers per image that add up over images, such as `class_counts`.
        score: function from counts (...) to a number, or to an array of S numbers.
        level: of the interval, in (0, 1).
        replicates: number of draws.
        seed: of the draws.

    Returns:
        Low and high ends, two arrays () or (S,), float64; NaN where the score is never defined.

    Raises:
        ValueError: there is no image, or `level` or `replicates` is out of range.

    Example:
        >>> low, high = score_interval(np.array([[9, 10], [5, 10]]), lambda pixels: pixels[0] / pixels[1])
        >>> float(low), float(high)  # both draws of the same image
        (0.5, 0.9)
    """
    _check(level, replicates)
    counts = np.asarray(counts)
    if not len(counts):
        raise ValueError(f"`counts` must be of at least one image. Received: counts.shape={counts.shape}.")
    scores = np.array([score(drawn) for drawn in _resampled(counts, replicates, seed)], np.float64)
    defined = ~np.isnan(scores).all(axis=0)
    ends = np.full((2, *scores.shape[1:]), np.nan)
    ends[:, defined] = np.nanquantile(scores[:, defined], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return ends[0], ends[1]


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
        ValueError: the counts differ in shape, there is no image, or `level` or `replicates` is out of range.

    Example:
        >>> counts, other_counts = np.array([[9, 10], [8, 10], [7, 10]]), np.array([[7, 10], [5, 10], [4, 10]])
        >>> found = paired_difference(counts, other_counts, lambda pixels: pixels[0] / pixels[1])
        >>> [round(float(number), 3) for number in (found.value, found.low, found.high)]  # 24/30 - 16/30; 2/10 to 3/10
        [0.267, 0.2, 0.3]

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13.3 (percentile interval).
    """
    _check(level, replicates)
    counts, other_counts = np.asarray(counts), np.asarray(other_counts)
    if counts.shape != other_counts.shape or not len(counts):
        raise ValueError(
            "`counts` and `other_counts` must be of the same images, at least one. "
            f"Received: counts.shape={counts.shape}, other_counts.shape={other_counts.shape}."
        )
    drawn = _resampled(np.stack([counts, other_counts], axis=1), replicates, seed)
    differences = [score(ours) - score(theirs) for ours, theirs in drawn]
    value = score(counts.sum(axis=0)) - score(other_counts.sum(axis=0))
    defined = np.array([difference for difference in differences if not np.isnan(difference)])
    if not defined.size:
        return Difference(float(value), np.nan, np.nan)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Difference(float(value), float(low), float(high))


def _check(level, replicates):
    check_number("level", level, above=0, below=1)
    check_integer("replicates", replicates)


def _resampled(counts: np.ndarray, replicates: int, seed: int):
    """Yields the sum of counts (N, ...) over as many images, drawn with replacement, once for each replicate."""
    images, generator = len(counts), np.random.default_rng(seed)
    at_once = max(1, DRAWS // images)
    for start in range(0, replicates, at_once):
        size = min(at_once, replicates - start)
        drawn = generator.multinomial(
            images, np.full(images, 1 / images), size=size
        )  # (R, N): how often each was drawn
        yield from np.tensordot(drawn, counts, 1)
