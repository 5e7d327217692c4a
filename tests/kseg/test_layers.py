"""Cropping, bilinear upsampling and normalisation, against numbers worked out by hand."""

import keras
import numpy as np
import pytest

from kseg.blocks import bilinear_up
from kseg.layers import Bilinear, CropToMatch, ImageNetNormalization


def upsampler(factor, channels=1):
    image = keras.Input((None, None, channels))
    return keras.Model(image, bilinear_up(image, factor, name="up"))


def test_a_bilinear_kernel_of_4_holds_quarters():
    kernel = np.asarray(Bilinear()((4, 4, 1, 1)))[..., 0, 0]
    np.testing.assert_allclose(kernel[0], np.array([1, 3, 3, 1]) / 16)
    np.testing.assert_allclose(kernel[1], np.array([3, 9, 9, 3]) / 16)


def test_a_bilinear_kernel_of_odd_size_has_its_peak_in_the_middle():
    np.testing.assert_allclose(np.asarray(Bilinear()((3, 3, 1, 1)))[1, :, 0, 0], [0.5, 1, 0.5])


def test_a_bilinear_kernel_leaves_channels_apart():
    kernel = np.asarray(Bilinear()((4, 4, 3, 3)))
    assert all(not kernel[:, :, i, j].any() for i in range(3) for j in range(3) if i != j)
    np.testing.assert_array_equal(kernel[:, :, 0, 0], kernel[:, :, 2, 2])


@pytest.mark.parametrize("factor", [2, 4, 8, 16, 32])
def test_upsampling_a_linear_ramp_is_exact_in_the_interior(factor):
    rows, columns = np.meshgrid(np.arange(6.0), np.arange(7.0), indexing="ij")
    ramp = (3 * rows - 2 * columns + 1)[None, ..., None]
    result = np.asarray(upsampler(factor)(ramp))[0, ..., 0]
    at = lambda n: (np.arange(n * factor) + 0.5) / factor - 0.5  # noqa: E731  where each new pixel lies among the old
    expected = 3 * at(6)[:, None] - 2 * at(7)[None] + 1
    inner = (slice(factor, -factor),) * 2
    np.testing.assert_allclose(result[inner], expected[inner], atol=1e-4)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_upsampling_keeps_a_constant_in_the_interior(factor):
    result = np.asarray(upsampler(factor, 2)(np.full((1, 5, 5, 2), 7.0)))
    np.testing.assert_allclose(result[:, factor:-factor, factor:-factor], 7.0, rtol=1e-6)


def test_crop_takes_the_top_left_or_starts_at_an_offset_or_in_the_centre():
    values = np.arange(36.0).reshape(1, 6, 6, 1)
    reference = np.zeros((1, 2, 4, 3))
    assert CropToMatch()([values, reference])[0, 0, 0, 0] == 0
    assert CropToMatch(offset=(3, 1))([values, reference])[0, 0, 0, 0] == 19
    centred = np.asarray(CropToMatch("centre")([values, reference]))[0, ..., 0]
    np.testing.assert_array_equal(centred, [[13, 14, 15, 16], [19, 20, 21, 22]])


def test_crop_refuses_a_reference_that_reaches_beyond_the_map():
    with pytest.raises(ValueError, match="The map must reach beyond the reference"):
        CropToMatch(2)([keras.Input((6, 6, 1)), keras.Input((5, 4, 1))])


def test_normalisation_turns_rgb_into_bgr_less_the_mean_as_keras_applications_does():
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 4, 3)).astype("float32")
    expected = keras.applications.vgg16.preprocess_input(image.copy())
    np.testing.assert_allclose(ImageNetNormalization()(image), expected, atol=1e-4)
    np.testing.assert_allclose(ImageNetNormalization()(np.full((1, 1, 1, 2), 120.0)), 120 - 114.799333, atol=1e-4)
