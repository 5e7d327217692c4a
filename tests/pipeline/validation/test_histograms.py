"""Distances between histograms, by hand."""

import math

import pytest

from pipeline.validation.histograms import describe_shifts, jensen_shannon_distance


def test_the_distance_is_the_root_of_the_mean_divergence_from_the_mean():
    p, q = (0.75, 0.25), (0.25, 0.75)
    divergence = sum(
        0.5 * a * math.log2(2 * a / (a + b)) + 0.5 * b * math.log2(2 * b / (a + b)) for a, b in zip(p, q, strict=True)
    )
    assert jensen_shannon_distance([3, 1], [10, 30]) == pytest.approx(math.sqrt(divergence))


def test_it_is_0_for_equal_shares_1_for_disjoint_ones_and_symmetric():
    assert jensen_shannon_distance([5, 5, 0], [1, 1, 0]) == 0
    assert jensen_shannon_distance([5, 0], [0, 2]) == 1
    assert jensen_shannon_distance([1, 2, 3], [3, 2, 2]) == pytest.approx(jensen_shannon_distance([3, 2, 2], [1, 2, 3]))


def test_counts_above_two_to_the_53_are_compared_exactly():
    assert jensen_shannon_distance([2**60, 2**60], [1, 1]) == 0


def test_the_bins_with_the_largest_shifts_are_named_with_both_shares():
    text = describe_shifts([10, 60, 30], [50, 20, 30], ["sky", "road", "car"], max_bins=2)
    assert text == "sky 10.0 % instead of 50.0 %, road 60.0 % instead of 20.0 %"
