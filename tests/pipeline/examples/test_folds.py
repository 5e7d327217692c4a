"""Folds: every pair in one of them, of equal sizes, whatever the order."""

import pytest

from pipeline.examples.folds import assign_folds

NAMES = [f"train/{number:03}" for number in range(53)]


def test_folds_differ_by_one_pair_at_most_and_hold_every_pair_once():
    found = assign_folds(NAMES, 5)
    sizes = [sum(fold == number for fold in found.values()) for number in range(5)]
    assert sorted(sizes) == [10, 10, 11, 11, 11] and found.keys() == set(NAMES)


def test_the_order_of_names_has_no_influence_and_neighbours_are_not_dealt_in_turn():
    found = assign_folds(NAMES, 5)
    assert found == assign_folds(reversed(NAMES), 5)
    assert [found[name] for name in NAMES[:10]] != [number % 5 for number in range(10)]


def test_fewer_pairs_than_folds_are_refused():
    assert sorted(assign_folds(NAMES[:5], 5).values()) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"Each fold must have a pair to score\. Received: 4 pairs for --folds 5\."):
        assign_folds(NAMES[:4], 5)
