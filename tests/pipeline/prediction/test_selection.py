"""The choice of pictures: the most uncertain first, then those unlike the chosen ones, without a picture twice."""

import math

import numpy as np
import pytest

from pipeline.prediction.selection import MOST_CANDIDATES, farthest_first, most_uncertain, num_candidates


def test_candidates_are_the_most_uncertain_in_an_order_that_does_not_depend_on_theirs():
    records = [{"key": str(number), "entropy": entropy} for number, entropy in enumerate((0.1, 0.5, 0.3, 0.5, 0.2))]
    found = [record["key"] for record in most_uncertain(iter(records), 3)]
    assert found == ["1", "3", "2"] == [record["key"] for record in most_uncertain(reversed(records), 3)]


def test_each_next_row_is_the_one_farthest_from_all_that_are_chosen():
    square = np.array([[0.0, 0], [0.1, 0], [4, 0], [4, 3], [0, 3]])
    assert farthest_first(square, np.ones(5), 4) == [(0, math.inf), (3, 5.0), (2, 3.0), (4, 3.0)]


def test_distances_count_by_the_weight_of_the_row():
    line = np.array([[0.0], [4.0], [6.0], [9.0]])
    assert farthest_first(line, np.array([1.0, 1.0, 0.5, 0.0]), 3) == [(0, math.inf), (1, 4.0), (2, 2.0)]


@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_copies_come_last_and_no_row_comes_twice(weight):
    rows, weights = np.array([[1.0], [1.0], [1.0], [0.0]]), np.full(4, weight)
    chosen = farthest_first(rows, weights, 4)
    assert sorted(number for number, _ in chosen) == [0, 1, 2, 3]
    assert chosen[0] == (0, math.inf) and (weight == 0 or chosen[1:] == [(3, 1.0), (1, 0.0), (2, 0.0)])


def test_of_three_groups_of_like_pictures_one_of_each_is_chosen_before_a_second():
    draw = np.random.default_rng(0)
    rows = np.concatenate([draw.normal(0, 0.01, (30, 8)) + centre for centre in (2.0, 0.0, 1.0)])
    chosen = [number // 30 for number, _ in farthest_first(rows, np.ones(90), 3)]
    assert sorted(chosen) == [0, 1, 2]


def test_the_number_of_candidates_grows_with_the_pictures_up_to_a_bound_and_holds_all_suggestions():
    assert num_candidates(10**6, 50) == MOST_CANDIDATES == num_candidates(10**6, 10_000)
    assert num_candidates(10**6, 30_000) == 30_000
    assert num_candidates(10, 50) == 10 and num_candidates(1000, 50) == 250
