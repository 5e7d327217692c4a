"""The oracle of regions, on an image small enough to count by hand."""

import numpy as np
import pytest

from pipeline.evaluation.pair_counts import OracleCounts, count_pairs
from tests.pipeline.conftest import LABELS
from tests.prepared_pairs import write_prepared


@pytest.fixture
def count_oracle(tmp_path):
    """Oracle of the regions of one image of 8 x 8 pixels, whose left half looks left and right half right."""
    truth = np.repeat([[1, 1, 1, 1, 2, 2, 2, 2]], 8, axis=0).astype(np.uint8)
    image = np.array(LABELS.colours, np.uint8)[truth]
    truth[2:4, :2] = 2  # 4 of the 32 pixels that look left belong to right
    examples = write_prepared(tmp_path / "examples", {"test": [(image, truth)]}, LABELS)
    return lambda merged: count_pairs(
        tmp_path, examples, "test", OracleCounts(3, 2.0, superpixels=1000, merged=merged), []
    )


def test_regions_of_one_colour_miss_the_pixels_whose_class_differs_from_their_colour(count_oracle):
    found = count_oracle(merged=True)
    assert found.images.counts["regions"].tolist() == [[2]]
    assert found.matrix.tolist() == [[0, 0, 0], [0, 28, 0], [0, 4, 32]]
    scores = found.images.scores()
    assert scores["iou"][1:] == [pytest.approx(28 / 32), pytest.approx(32 / 36)]
    assert scores["mean_iou"] == pytest.approx((28 / 32 + 32 / 36) / 2)


def test_regions_of_one_pixel_miss_nothing(count_oracle):
    found = count_oracle(merged=False)
    assert found.images.counts["regions"].tolist() == [[64]]
    assert found.matrix.tolist() == [[0, 0, 0], [0, 28, 0], [0, 0, 36]]
