"""Superpixels follow colours, and their majority vote overrules a minority."""

import numpy as np
import pytest
from scipy import ndimage

from kseg import metrics, streets
from kseg.postprocess.superpixels import majority_vote, merge_by_colour, oracle_labels, slic


def halves(channels=3, noise=6):
    """A dark and a bright half with noise; and which is which."""
    truth = np.zeros((40, 60), np.uint8)
    truth[:, 23:] = 1
    draw = np.random.default_rng(0)
    image = np.where(truth[..., None] == 1, 190, 60) + draw.normal(0, noise, (40, 60, channels))
    return np.clip(image, 0, 255).astype(np.uint8), truth


@pytest.mark.parametrize("channels", [1, 3])
def test_superpixels_follow_edges_and_are_about_as_many_as_requested(channels):
    image, truth = halves(channels)
    ids = slic(image, num_superpixels=40, compactness=20)
    assert 20 <= ids.max() + 1 <= 60 and set(np.unique(ids)) == set(range(ids.max() + 1))
    assert (oracle_labels(ids, truth) == truth).mean() > 0.995
    assert all(ndimage.label(ids == region, np.ones((3, 3)))[1] == 1 for region in range(ids.max() + 1))


@pytest.mark.parametrize("channels", [1, 3])
def test_merging_by_colour_leaves_the_two_halves(channels):
    image, truth = halves(channels)
    merged = merge_by_colour(image, slic(image, num_superpixels=40, compactness=20), threshold=40)
    assert merged.max() == 1
    assert max((merged == truth).mean(), (merged != truth).mean()) > 0.995


def test_nothing_is_merged_below_the_threshold_and_everything_above():
    image, _ = halves()
    ids = slic(image, num_superpixels=40, compactness=20)
    np.testing.assert_array_equal(merge_by_colour(image, ids, threshold=0), ids)
    assert merge_by_colour(image, ids, threshold=1000).max() == 0


def test_the_majority_of_a_region_wins_and_void_neither_votes_nor_changes():
    ids = np.array([[0, 0, 0, 1, 1], [0, 0, 1, 1, 1]])
    label_map = np.array([[2, 2, 1, 0, 255], [1, 2, 255, 255, 255]], np.uint8)
    expected = np.array([[2, 2, 2, 0, 255], [2, 2, 255, 255, 255]], np.uint8)
    result = majority_vote(label_map, ids)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.uint8


def test_ties_go_to_the_lower_id_and_a_region_of_void_stays_void():
    np.testing.assert_array_equal(majority_vote(np.array([[3, 1, 255]]), np.array([[0, 0, 1]])), [[1, 1, 255]])
    np.testing.assert_array_equal(oracle_labels(np.array([[0, 0, 1]]), np.array([[3, 3, 255]])), [[3, 3, 0]])


def test_a_vote_cleans_a_noisy_label_map():
    image, truth = halves()
    flipped = np.random.default_rng(1).random(truth.shape) < 0.2
    noisy = np.where(flipped, 1 - truth, truth)
    cleaned = majority_vote(noisy, slic(image, num_superpixels=40, compactness=20))
    assert (noisy == truth).mean() < 0.85 and (cleaned == truth).mean() > 0.99


def test_smaller_superpixels_bound_the_score_less():
    image, truth = streets.draw(0, split="test", size=(96, 128))
    scores = [
        metrics.scores(metrics.confusion_matrix(truth, oracle_labels(slic(image, num_superpixels=n), truth), 8))[
            "mean_iou"
        ]
        for n in (20, 100, 1000)
    ]
    assert scores == sorted(scores) and scores[0] < 0.8 < scores[2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: slic(np.zeros((4, 4, 3)), num_superpixels=3),
            r"`image` must be uint8 .*Received: image=float64 \(4, 4, 3\)",
        ),
        (lambda: slic(np.zeros((4, 4, 4), np.uint8), num_superpixels=3), r"Received: image=uint8 \(4, 4, 4\)"),
        (
            lambda: slic(np.zeros((4, 4, 3), np.uint8), num_superpixels=0),
            r"must be at least 1\. Received: num_superpixels=0",
        ),
        (
            lambda: majority_vote(np.zeros((4, 4), int), np.zeros((4, 5), int)),
            r"the same size\. Received: \(4, 4\) and \(4, 5\)",
        ),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 1), (3, 2, 3)])
def test_tiny_images_are_divided_too(shape):
    ids = slic(np.zeros(shape, np.uint8), num_superpixels=5)
    assert ids.shape == shape[:2] and ids.min() == 0


def test_images_and_regions_of_swapped_sizes_are_refused():
    image, ids = np.zeros((6, 4, 3), np.uint8), np.zeros((4, 6), np.int64)
    with pytest.raises(
        ValueError, match=r"`image` \(H, W, C\) and `ids` .* same size\. Received: \(6, 4, 3\) and \(4, 6\)"
    ):
        merge_by_colour(image, ids, threshold=20)
    with pytest.raises(
        ValueError, match=r"`ids` and `truth` must have the same size\. Received: \(4, 6\) and \(6, 4\)"
    ):
        oracle_labels(ids, image[..., 0])
