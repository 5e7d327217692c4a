"""The paired bootstrap: against hand-computed and analytic intervals, and what it refuses."""

import math

import numpy as np
import pytest

from kseg.metrics import bootstrap, class_counts, paired_difference, score_interval, scores, scores_of_counts


def accuracy(pixels):
    return pixels[0] / pixels[1] if pixels[1] else np.nan


def mean_iou(counts):
    return scores_of_counts(counts)["mean_iou"]


def test_counts_of_classes_say_what_the_matrix_says_and_add_up():
    matrices = np.random.default_rng(0).integers(0, 50, (4, 3, 3))
    summed = sum(class_counts(matrix) for matrix in matrices)
    assert scores_of_counts(summed) == scores(matrices.sum(axis=0))


def test_the_difference_is_that_of_the_scores_on_all_images():
    ours, theirs = (
        [class_counts(matrix) for matrix in models] for models in np.random.default_rng(1).integers(0, 9, (2, 5, 3, 3))
    )
    found = paired_difference(ours, theirs, mean_iou, replicates=50)
    assert found.value == mean_iou(sum(ours)) - mean_iou(sum(theirs))
    assert found.low < found.value < found.high


def test_a_model_that_is_better_by_the_same_in_every_image_has_an_interval_without_width():
    theirs = np.array([[10 * n, 100] for n in range(8)])
    found = paired_difference(theirs + np.array([7, 0]), theirs, accuracy)
    assert [found.value, found.low, found.high] == pytest.approx([0.07, 0.07, 0.07])


def test_the_interval_is_that_of_the_mean_of_many_independent_differences():
    generator = np.random.default_rng(2)
    theirs = np.stack([generator.integers(300, 500, 400), np.full(400, 1000)], axis=1)
    gains = generator.normal(20, 40, 400).round().astype(int)
    found = paired_difference(theirs + np.stack([gains, 0 * gains], axis=1), theirs, accuracy, replicates=4000)
    half = 1.96 * gains.std() / math.sqrt(400) / 1000
    assert found.value == pytest.approx(gains.mean() / 1000)
    assert (found.value - found.low, found.high - found.value) == (
        pytest.approx(half, rel=0.08),
        pytest.approx(half, rel=0.08),
    )


def test_the_same_seed_gives_the_same_interval_and_another_another():
    counts = np.random.default_rng(3).integers(1, 99, (2, 20, 2))
    first, again, other = (paired_difference(*counts, accuracy, replicates=99, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def test_replicates_without_meaning_are_left_out():
    ours, theirs = np.array([[4, 5], [0, 0]]), np.array([[3, 5], [0, 0]])  # the second image is void
    found = paired_difference(ours, theirs, accuracy)
    assert (found.value, found.low, found.high) == tuple(pytest.approx(0.2) for _ in range(3))
    assert math.isnan(paired_difference(ours[1:], theirs[1:], accuracy).low)


@pytest.mark.parametrize("shapes", [((3, 2), (4, 2)), ((0, 2), (0, 2))])
def test_other_images_or_none_are_refused(shapes):
    with pytest.raises(ValueError, match=r"same images, at least one\. Received: counts.shape="):
        paired_difference(*map(np.ones, shapes), accuracy)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level": 95}, "`level` must be a number above 0 and below 1. Received: level=95"),
        ({"replicates": 0}, "`replicates` must be an integer of at least 1. Received: replicates=0"),
    ],
)
def test_wrong_arguments_are_named(settings, message):
    counts = np.array([[4, 5]])
    for call in (
        lambda: score_interval(counts, accuracy, **settings),
        lambda: paired_difference(counts, counts, accuracy, **settings),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_the_interval_of_a_score_is_that_of_a_mean_over_images():
    shares = np.random.default_rng(4).normal(600, 90, 400).round().astype(int)
    counts = np.stack([shares, np.full(400, 1000)], axis=1)
    low, high = score_interval(counts, accuracy, replicates=4000)
    half = 1.96 * shares.std() / math.sqrt(400) / 1000
    assert (float(low), float(high)) == (
        pytest.approx(shares.mean() / 1000 - half, rel=0.003),
        pytest.approx(shares.mean() / 1000 + half, rel=0.003),
    )


def test_several_scores_have_an_interval_each_and_one_without_meaning_has_none():
    counts = np.array([[9, 10], [5, 10]])
    low, high = score_interval(counts, lambda pixels: [pixels[0] / pixels[1], 2 * pixels[0], np.nan])
    np.testing.assert_array_equal(low, [0.5, 20, np.nan])
    np.testing.assert_array_equal(high, [0.9, 36, np.nan])
    with pytest.raises(ValueError, match="of at least one image"):
        score_interval(np.zeros((0, 2)), accuracy)


def test_draws_in_parts_are_the_same_draws(monkeypatch):
    counts = np.random.default_rng(5).integers(1, 99, (2, 30, 2))
    whole = paired_difference(*counts, accuracy), [float(end) for end in score_interval(counts[0], accuracy)]
    monkeypatch.setattr(bootstrap, "DRAWS", 7 * 30)
    assert (paired_difference(*counts, accuracy), [float(end) for end in score_interval(counts[0], accuracy)]) == whole
