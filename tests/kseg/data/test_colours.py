"""Pairs in the colours of other images: mean, deviation and range of these, and padding that stays what it is."""

import numpy as np

from kseg import data

IMAGE = np.tile(np.array([[100.0, 140.0]], np.float32)[..., None], (2, 1, 3))  # mean 120, deviation 20
OTHER = np.tile(np.array([[50.0, 70.0]], np.float32)[..., None], (3, 2, 3))  # mean 60, deviation 10


def test_images_take_mean_and_deviation_of_each_channel_of_the_other_image():
    other = OTHER * np.float32([1, 2, 3])
    for dtype in (np.float32, np.uint8):
        taken = data.take_colours(IMAGE[None].astype(dtype), other[None].astype(dtype))
        assert taken.dtype == "float32"
    np.testing.assert_allclose(taken[0], np.tile(np.float32([[[50, 100, 150], [70, 140, 210]]]), (2, 1, 1)), rtol=1e-6)


def test_padding_neither_counts_nor_changes():
    image, other = (np.pad(values, ((0, 5), (4, 0), (0, 0))) for values in (IMAGE, OTHER))
    taken = data.take_colours(image[None], other[None]).numpy()[0]
    np.testing.assert_allclose(taken[:2, 4:], OTHER[:2, :2], rtol=1e-6)
    assert (taken[2:] == 0).all() and (taken[:, :4] == 0).all()


def test_a_black_image_has_no_colours_to_take():
    images, others = np.stack([IMAGE, IMAGE]), np.stack([np.zeros_like(OTHER), OTHER])
    taken = data.take_colours(images, others).numpy()
    np.testing.assert_array_equal(taken[0], IMAGE)
    np.testing.assert_allclose(taken[1], OTHER[:2, :2], rtol=1e-6)


def test_nothing_leaves_the_range_of_the_other_image():
    image = np.zeros((1, 1, 10, 1), np.float32)
    image[0, 0] = [[100]] * 9 + [[200]]  # deviation 30, the last 90 above the mean
    other = np.float32([50, 70] * 5).reshape(1, 1, 10, 1)
    taken = data.take_colours(image, other).numpy().ravel()
    np.testing.assert_allclose(taken, [60 - 10 / 3] * 9 + [70], rtol=1e-6)  # not 60 + 30


def test_images_share_the_colours_of_fewer_others_and_a_flat_one_stays_finite():
    images = np.stack([IMAGE, IMAGE + 7, np.full_like(IMAGE, 9)])
    others = np.stack([OTHER, OTHER + 100])
    taken = data.take_colours(images, others).numpy()
    np.testing.assert_allclose(taken[0], OTHER[:2, :2], rtol=1e-6)
    np.testing.assert_allclose(taken[1], OTHER[:2, :2] + 100, rtol=1e-6)
    np.testing.assert_allclose(taken[2], np.full_like(IMAGE, 60), rtol=1e-6)
