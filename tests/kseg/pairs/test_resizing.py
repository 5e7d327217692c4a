"""Resizing with numpy and Pillow: sizes computed by hand, nearest labels, refusals."""

import numpy as np
import pytest

from kseg.pairs import resizing

SIZES = [(1, 1), (2, 3), (7, 5), (37, 61), (64, 64), (101, 33), (181, 241), (240, 7)]
TARGETS = [(1, 1), (5, 9), (48, 64), (97, 131), (180, 240)]


@pytest.mark.parametrize(
    ("height", "width", "size", "expected"),
    [
        (375, 500, (180, 240), (180, 240)),
        (500, 375, (180, 240), (180, 135)),
        (360, 480, (180, 240), (180, 240)),
        (10, 10, (180, 240), (180, 180)),  # enlarged
        (3, 2, (5, 9), (5, 3)),  # 3.33 wide
        (2, 1, (5, 5), (5, 3)),  # 2.5 wide: rounded up
        (1000, 1, (10, 10), (10, 1)),  # at least 1
    ],
)
def test_the_fitted_size_is_the_largest_with_the_same_aspect_ratio(height, width, size, expected):
    assert resizing.fitted_size(height, width, size) == expected


def test_every_fitted_size_fits_reaches_one_side_and_is_stable():
    for height, width in SIZES:
        for size in TARGETS:
            fitted = resizing.fitted_size(height, width, size)
            assert fitted[0] <= size[0] and fitted[1] <= size[1]
            assert fitted[0] == size[0] or fitted[1] == size[1]
            assert resizing.fitted_size(*fitted, size) == fitted


def test_a_size_below_one_is_refused():
    with pytest.raises(ValueError, match=r"Sizes must be at least 1. Received: height=0, width=4, size=\(2, 2\)"):
        resizing.fitted_size(0, 4, (2, 2))


def test_resizing_to_the_same_size_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (37, 61, 3), np.uint8)
    np.testing.assert_array_equal(resizing.resize_image(image, (37, 61)), image)


def test_label_maps_are_resized_by_nearest_neighbour():
    label_map = np.array([[0, 7], [255, 3]], np.uint8)
    np.testing.assert_array_equal(resizing.resize_label_map(label_map, (4, 6)), label_map.repeat(2, 0).repeat(3, 1))
    halved = resizing.resize_label_map(np.arange(16, dtype=np.uint8).reshape(4, 4), (2, 2))
    np.testing.assert_array_equal(halved, [[5, 7], [13, 15]])


def test_other_ranks_and_dtypes_are_refused():
    with pytest.raises(ValueError, match=r"of shape \(H, W, C\). Received: image=uint8 \(4, 4\)"):
        resizing.resize_image(np.zeros((4, 4), np.uint8), (2, 2))
    with pytest.raises(ValueError, match="Received: image=float64"):
        resizing.resize_image(np.zeros((4, 4, 3)), (2, 2))
    with pytest.raises(ValueError, match=r"`label_map` must be uint8 of shape \(H, W\)"):
        resizing.resize_label_map(np.zeros((4, 4, 1), np.uint8), (2, 2))
