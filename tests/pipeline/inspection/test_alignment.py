"""Fits of masks: hand-computed ranks, shifts and shuffles that are found, and no false alarm on real data."""

import itertools

import numpy as np
import pytest

from benchmarks.shifted_masks import read_outlines
from pipeline.inspection import alignment
from pipeline.inspection.alignment import Outline, check_fits, compare_fits, fit, outline


def blocks(index):
    """An image of one bright block on noise, and its mask; the place of the block depends on the index."""
    draw = np.random.default_rng(index)
    top, left = draw.integers(10, 60, 2)
    label_map = np.zeros((120, 160), np.uint8)
    label_map[top : top + 50, left : left + 70] = 1
    image = np.clip(60 + 120 * label_map + draw.normal(0, 20, label_map.shape), 0, 255).astype(np.uint8)
    return image[..., None], label_map


PAIRS = [outline(*blocks(index)) for index in range(120)]


def check(outlines):
    return list(check_fits(compare_fits(dict(enumerate(outlines)))))


def paired(order):
    """Each image with the mask of `order`."""
    return [Outline(PAIRS[number].ranks, PAIRS[other].edges) for number, other in enumerate(order)]


def test_the_fit_is_the_mean_rank_on_the_outlines_minus_a_half():
    ranks = np.array([[0.0, 0.25], [0.75, 1.0]], np.float16)
    edges = np.array([[False, False], [True, True]])
    assert fit(Outline(ranks, edges), Outline(ranks, edges)) == 0.375
    assert fit(Outline(ranks, edges), Outline(ranks, ~edges)) == -0.375
    assert fit(Outline(ranks, edges), Outline(ranks, np.zeros((2, 2), bool))) == 0.0


def test_the_outline_of_a_bright_block_lies_on_the_largest_gradients():
    label_map = np.zeros((128, 128), np.uint8)
    label_map[32:96, 32:96] = 1
    found = outline((200 * label_map)[..., None], label_map)
    assert found.edges.sum() == 4 * 64 - 1 and found.ranks.shape == (127, 127)
    assert found.ranks[found.edges].min() >= found.ranks[~found.edges].max()


def test_masks_that_fit_are_no_anomaly():
    assert check(PAIRS) == []


@pytest.mark.parametrize(("step", "words"), [(1, "the image before"), (-1, "the next image")])
def test_masks_that_are_shifted_by_one_are_found_with_their_direction(step, words):
    (anomaly,) = check(paired([(number + step) % 40 for number in range(40)]))
    assert (anomaly.severity, anomaly.name) == ("warn", "shifted_masks")
    assert f"the mask of {words} fits better in 39 of 39 images" in anomaly.what


def test_shuffled_masks_are_found():
    (anomaly,) = check(paired(np.random.default_rng(0).permutation(120).tolist()))
    assert anomaly.name == "mismatched_masks"


def test_few_pairs_and_equal_masks_decide_nothing():
    shifted = paired([(number + 1) % 40 for number in range(40)])
    assert check(shifted[:14]) == []  # 13 comparisons
    assert check(shifted[:15]) != []
    assert compare_fits({0: PAIRS[0], 1: PAIRS[0]}).next == (0, 0)


def test_only_neighbours_that_were_read_are_compared():
    found = compare_fits({0: PAIRS[0], 1: PAIRS[1], 7: PAIRS[7], 8: PAIRS[8], 9: PAIRS[9]})
    assert (found.next[0], found.previous[0], found.other[0]) == (3, 3, 5)


def test_the_chance_is_binomial():
    assert alignment._at_least(14, 14, 0.5) == 2**-14 < alignment.CHANCE < alignment._at_least(13, 13, 0.5)
    assert alignment._at_least(1, 2, 0.25) == pytest.approx(1 - 0.75**2)


@pytest.mark.parametrize(("name", "split"), [("camvid", "val"), ("isbi2012_em", "train"), ("voc_sample", "train")])
def test_on_real_data_own_masks_fit_and_shifted_ones_are_found(name, split, data):
    own = read_outlines(data / name, split)[:40]
    assert check(own) == []
    anomalies = check([Outline(a.ranks, b.edges) for a, b in itertools.pairwise(own)])
    assert [anomaly.name for anomaly in anomalies] == ["shifted_masks"] * (len(own) > 14)
