"""The worst, median and best images: which are selected, and what is stored of them."""

import numpy as np
import pytest

from pipeline.evaluation.image_scores import ScoredImages
from pipeline.evaluation.ranked_images import rank_images

VOID_ONLY = None


def scored(*shares) -> ScoredImages:
    """Images of 100 pixels of one class, of which these shares are right; None: entirely void."""

    def classes(share):
        return [[0, 0, 0]] if share is VOID_ONLY else [[round(100 * share), 100, round(100 * share)]]

    rows = [
        {"key": f"{number:02}", "traits": {"size": 100}, "counts": {"classes": classes(share)}}
        for number, share in enumerate(shares)
    ]
    return ScoredImages.from_rows(rows)


def test_worst_median_and_best_are_ranked_by_the_mean_iou_of_each_image():
    ranked = rank_images(scored(0.5, 0.9, 0.1, 0.7, 0.3, 0.6, VOID_ONLY, 0.8))
    assert [(image.name, image.key, image.mean_iou) for image in ranked] == [
        ("worst_1", "02", 0.1),
        ("worst_2", "04", 0.3),
        ("median_1", "00", 0.5),
        ("median_2", "05", 0.6),
        ("best_1", "01", 0.9),
        ("best_2", "07", 0.8),
    ]


@pytest.mark.parametrize(
    ("number", "names"),
    [
        (0, []),
        (1, ["worst_1"]),
        (3, ["worst_1", "worst_2", "best_1"]),
        (5, ["worst_1", "worst_2", "median_1", "best_1", "best_2"]),
    ],
)
def test_each_image_of_a_small_split_appears_once(number, names):
    ranked = rank_images(scored(*np.linspace(0.1, 0.9, number), VOID_ONLY))
    assert [image.name for image in ranked] == names
    assert len({image.key for image in ranked}) == number
