"""The uncertainty of a picture: entropies and profiles by hand, and what describes them."""

import math

import numpy as np
import pytest

from pipeline.prediction.uncertainty import CELLS, decode_profile, describe, encode_profile, measure


def logits_of(probabilities):
    return np.log(np.maximum(np.asarray(probabilities, np.float32), np.finfo(np.float32).tiny))


def test_entropies_are_those_computed_by_hand():
    pixels = [[1, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3], [0.9, 0.1, 0]]
    found = measure(logits_of([pixels]))
    by_hand = [0, math.log(2), math.log(3), -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))]
    np.testing.assert_allclose(found.entropy, [by_hand], atol=1e-6)
    assert found.mean() == pytest.approx((0.693147 + 1.098612 + 0.325083) / 4, abs=1e-5)


def test_the_mean_of_a_share_takes_the_most_uncertain_pixels_and_at_least_one():
    found = measure(logits_of([[[1, 0], [0.5, 0.5], [0.9, 0.1], [1, 0]]]))
    assert found.mean(0.5) == pytest.approx((0.693147 + 0.325083) / 2, abs=1e-5)
    assert found.mean(0.25) == found.mean(1e-9) == pytest.approx(0.693147, abs=1e-5)


def test_a_cell_of_the_profile_holds_the_entropy_of_its_pixels_class_by_class():
    probabilities = np.zeros((6, 9, 2))
    probabilities[..., 0] = 1
    probabilities[:2, 3:6] = 0.5  # the whole cell at the top in the middle
    probabilities[5, 8] = 0.9, 0.1  # one of six pixels at the bottom right
    profile = measure(logits_of(probabilities)).profile
    assert profile.shape == (CELLS, CELLS, 2)
    np.testing.assert_allclose(profile[0, 1], [math.log(2) / 2] * 2, atol=1e-6)
    np.testing.assert_allclose(profile[2, 2], [0.9 * 0.325083 / 6, 0.1 * 0.325083 / 6], atol=1e-6)
    profile[0, 1] = profile[2, 2] = 0
    assert abs(profile).max() < 1e-6


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 7), (4, 2)])
def test_pictures_smaller_than_the_grid_lose_no_pixel(size):
    found = measure(logits_of(np.full((*size, 4), 0.25)))
    np.testing.assert_allclose(found.entropy, math.log(4), atol=1e-6)
    filled = found.profile.sum(axis=-1)
    np.testing.assert_allclose(filled[filled > 0], math.log(4), rtol=1e-5)
    assert (filled > 0).sum() == min(3, size[0]) * min(3, size[1])


def test_a_profile_survives_as_text_to_half_precision():
    profile = np.random.default_rng(0).random((CELLS, CELLS, 5)).astype(np.float32)
    read = decode_profile(encode_profile(profile))
    assert read.shape == (45,) and read.dtype == np.float32
    np.testing.assert_allclose(read, profile.ravel(), rtol=5e-4)


def test_the_description_names_the_two_largest_classes_and_the_place():
    profile = np.zeros((CELLS, CELLS, 3))
    profile[1, 1] = 0.1, 0.6, 0.3
    assert describe(profile.ravel(), ("sky", "road", "car")) == "road (60 %) or car (30 %), most at the centre"
    profile[0, 2] = 2, 0, 0
    assert describe(profile.ravel(), ("sky", "road", "car")) == "sky (70 %) or road (20 %), most at the top right"
    assert describe(np.zeros(27), ("sky", "road", "car")) == "nothing"
