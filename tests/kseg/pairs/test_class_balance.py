"""Class weights: both rules on hand-computed counts, and refusals."""

import numpy as np
import pytest

import kseg
from kseg.pairs.class_balance import class_weights

PIXELS, OF_IMAGES = [900, 0, 100], [2000, 0, 500]


def test_inverse_square_root_weights_have_a_mean_of_one_over_the_labelled_pixels():
    common, absent, rare = class_weights(PIXELS)
    assert rare / common == pytest.approx(3)  # nine times as rare
    assert 0.9 * common + 0.1 * rare == pytest.approx(1)
    assert absent == rare


def test_median_frequency_weights_are_the_papers():
    # shares within the images that have the class: 900/2000 and 100/500, median 0.325
    weights = class_weights(PIXELS, "median_frequency", OF_IMAGES)
    np.testing.assert_allclose(weights, [0.325 / 0.45, 0.325 / 0.2, 0.325 / 0.2])


def test_weights_counted_from_label_maps_go_straight_into_a_loss():
    label_maps = np.array([[[0, 0, 0, 0], [0, 0, 0, 1]], [[0, 0, 0, 0], [0, 0, 0, 0]]])
    of_class = [label_maps == k for k in range(2)]
    class_image_pixels = [mask.any(axis=(1, 2)).sum() * mask[0].size for mask in of_class]
    weights = kseg.losses.class_weights([mask.sum() for mask in of_class], "median_frequency", class_image_pixels)
    assert weights == pytest.approx([17 / 30, 17 / 4])
    loss = kseg.losses.CrossEntropy(class_weights=weights)(label_maps, np.zeros((2, 2, 4, 2), np.float32))
    assert float(loss) == pytest.approx(np.log(2) * (15 * weights[0] + weights[1]) / 16)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"need labelled pixels\. Received: class_pixels=\[0\.0, 0\.0\]"):
        class_weights([0, 0])
    with pytest.raises(ValueError, match=r"one of inverse_square_root, median_frequency\. Received: rule='inverse'"):
        class_weights(PIXELS, "inverse")
    for wrong in (None, [2000, 0], [800, 0, 500]):
        with pytest.raises(ValueError, match="must hold for each class all pixels of the images that contain it"):
            class_weights(PIXELS, "median_frequency", wrong)
    for wrong in ([[900, 100]], [900, -1], [900, float("nan")]):
        with pytest.raises(ValueError, match="`class_pixels` must hold one count for each class"):
            class_weights(wrong)
