import warnings

import numpy as np
import pytest

from kseg.array_checks import check_ids, check_image_range, check_label_size, invalid_ids


@pytest.mark.parametrize(
    "images",
    [np.array([0.0, 0.5, 1.0]), np.array([0, 1], np.uint8), np.array([False, True])],
    ids=["floats", "bytes", "booleans"],
)
def test_images_scaled_to_1_are_warned_of(images):
    with pytest.warns(UserWarning, match=r"in \[0, 255\]. Received: values from 0 to 1 \[here\]. Multiply by 255"):
        check_image_range(images, "here")


@pytest.mark.parametrize("images", [np.array([-1.2, 2.0]), np.array([0, 65535], np.uint16)], ids=["mean", "16bit"])
def test_images_outside_the_range_are_warned_of(images):
    with pytest.warns(UserWarning, match=r"must lie in \[0, 255\]"):
        check_image_range(images, "here")


@pytest.mark.parametrize(
    "images", [np.array([0.0, 1.5]), np.array([0, 255], np.uint8), np.zeros(3), np.zeros((0, 4, 4, 3))]
)
def test_images_in_range_black_ones_and_none_pass_in_silence(images):
    with warnings.catch_warnings(action="error"):
        check_image_range(images, "here")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_images_that_are_not_finite_are_refused_with_their_number(value):
    with pytest.raises(ValueError, match=r"must be finite.*at 2 of 4 values \[first batch of fit\]"):
        check_image_range(np.array([1.0, value, value, 3.0]), "first batch of fit")


def test_invalid_ids_are_counted_by_value():
    assert invalid_ids(np.array([[0, 1, 37], [255, 37, -1]]), 2, 255) == {-1: 1, 37: 2}
    assert invalid_ids(np.array([0.0, 0.5, 1.0], np.float32), 2, 255) == {0.5: 1}
    assert invalid_ids(np.array([0, 1, 255], np.uint8), 2, None) == {255: 1}
    assert invalid_ids(np.array([0, 1, 255], np.uint8), 2, 255) == {}
    assert list(invalid_ids(np.array([np.nan, np.nan]), 2, 255).values()) == [2]


def test_refused_ids_are_listed_up_to_eight():
    with pytest.raises(ValueError) as error:
        check_ids(np.arange(12), 2, 255, "y_true", "example 'a'")
    assert str(error.value) == (
        "`y_true` must hold class ids in 0..1 or be 255 (void). Received: ids [2, 3, 4, 5, 6, 7, 8, 9, ...] at 10 pixels "
        "[example 'a']. Map these values to classes or to void, or set `ignore_class` to the value that means void."
    )


def test_scaled_label_maps_are_told_apart():
    with pytest.raises(ValueError, match=r"ids \[0.00392157\] at 1 pixels. Label maps must not be scaled"):
        check_ids(np.array([0, 1 / 255]), 2, 255, "y_true")


@pytest.mark.parametrize(
    "labels", [(2, 4, 5), (2, 4, 5, 1), (None, 4, None), (2, None, 5, 1), (None, None, None, None)]
)
def test_label_maps_of_the_logits_size_pass(labels):
    check_label_size(labels, (2, 4, 5, 3))


@pytest.mark.parametrize("labels", [(2, 4), (2, 8, 5), (2, 4, 5, 1, 1), (3, 4, 5)])
def test_label_maps_of_another_size_or_rank_are_refused(labels):
    with pytest.raises(
        ValueError, match=r"must hold class ids \(B, H, W\) or \(B, H, W, 1\).*y_true.shape=.*y_pred.shape="
    ):
        check_label_size(labels, (2, 4, 5, 3))


def test_one_hot_label_maps_are_refused_with_the_cure():
    with pytest.raises(ValueError, match=r"not one-hot vectors.*Take ops.argmax\(y_true, axis=-1\)"):
        check_label_size((2, 4, 5, 3), (2, 4, 5, 3))
