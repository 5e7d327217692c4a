"""The oracle of regions, on an image small enough to count by hand."""

import numpy as np
import pytest

from kseg.pairs.image_files import encode_png
from pipeline.evaluation.pair_counts import OracleCounts, count_pairs, decode_label_map, serve
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


def test_images_that_are_too_many_for_one_batch_are_served_one_by_one_and_one_too_large_is_refused(finished):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(finished.exporter / "saved_model"))
    signature = loaded.signatures["serve_bytes"]
    images = [encode_png(np.full((side, 400, 3), 80 + side // 10, np.uint8)) for side in (400, 410, 420)]
    assert signature(image_bytes=tf.constant(images))["status"].numpy().tolist() == [0, 5, 5]
    assert [decode_label_map(png).shape for png in serve(signature, images)] == [(400, 400), (410, 400), (420, 400)]
    with pytest.raises(
        ValueError, match=r"An image must have at most 250,000 pixels .*\[serve_bytes of the exported model\]"
    ):
        serve(signature, [images[0], encode_png(np.zeros((501, 500, 3), np.uint8))])
