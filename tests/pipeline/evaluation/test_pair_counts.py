"""What the best labels of regions count, on an image small enough to count by hand."""

import numpy as np
import pytest

from pipeline.evaluation.pair_counts import CountBest, counted
from tests.pipeline.conftest import LABELS
from tests.prepared_pairs import write_prepared


@pytest.fixture
def best(tmp_path):
    """Counts the best labels of the regions of one image of 8 x 8 pixels: its left half looks left, its right half right."""
    truth = np.repeat([[1, 1, 1, 1, 2, 2, 2, 2]], 8, axis=0).astype(np.uint8)
    image = np.array(LABELS.colours, np.uint8)[truth]
    truth[2:4, :2] = 2  # 4 of the 32 pixels that look left are right
    examples = write_prepared(tmp_path / "examples", {"test": [(image, truth)]}, LABELS)
    return lambda merged: counted(tmp_path, examples, "test", CountBest(3, 2.0, superpixels=1000, merged=merged), [])


def test_two_regions_of_one_colour_each_miss_the_pixels_that_only_the_truth_tells(best):
    found = best(merged=True)
    assert found.images.counts["regions"].tolist() == [[2]]
    assert found.matrix.tolist() == [[0, 0, 0], [0, 28, 0], [0, 4, 32]]
    scores = found.images.scores()
    assert scores["iou"][1:] == [pytest.approx(28 / 32), pytest.approx(32 / 36)]
    assert scores["mean_iou"] == pytest.approx((28 / 32 + 32 / 36) / 2)


def test_where_each_pixel_is_a_region_nothing_is_missed(best):
    found = best(merged=False)
    assert found.images.counts["regions"].tolist() == [[64]]
    assert found.matrix.tolist() == [[0, 0, 0], [0, 28, 0], [0, 0, 36]]
