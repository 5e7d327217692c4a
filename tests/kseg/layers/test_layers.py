"""Cropping, bilinear upsampling and normalisation, against hand-computed numbers."""

import keras
import numpy as np
import pytest

from kseg.blocks import bilinear_up
from kseg.layers import (
    Bilinear,
    CropToMatch,
    DilatedMaxPooling2D,
    ImageNetNormalization,
    ImagePooling2D,
    ReflectionPadding2D,
)


def upsampler(factor, channels=1):
    image = keras.Input((None, None, channels))
    return keras.Model(image, bilinear_up(image, factor, name="up"))


def test_a_bilinear_kernel_of_4_holds_quarters():
    kernel = np.asarray(Bilinear()((4, 4, 1, 1)))[..., 0, 0]
    np.testing.assert_allclose(kernel[0], np.array([1, 3, 3, 1]) / 16)
    np.testing.assert_allclose(kernel[1], np.array([3, 9, 9, 3]) / 16)


def test_a_bilinear_kernel_of_odd_size_has_its_peak_in_the_middle():
    np.testing.assert_allclose(np.asarray(Bilinear()((3, 3, 1, 1)))[1, :, 0, 0], [0.5, 1, 0.5])


def test_a_bilinear_kernel_does_not_mix_channels():
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
    with pytest.raises(ValueError, match="The map must not be smaller than the reference"):
        CropToMatch(2)([keras.Input((6, 6, 1)), keras.Input((5, 4, 1))])


def test_crop_refuses_too_small_a_map_when_called_and_in_a_graph_of_unknown_sizes():
    values, reference = np.zeros((1, 4, 9, 1), "float32"), np.zeros((1, 3, 8, 1), "float32")
    with pytest.raises(ValueError, match=r"Received: map \(1, 4, 9, 1\), reference \(1, 3, 8, 1\), offset=\(2, 2\)"):
        CropToMatch(2)([values, reference])
    tf = pytest.importorskip("tensorflow")
    graph = tf.function(CropToMatch(2), input_signature=[[tf.TensorSpec((None, None, None, 1))] * 2])
    assert graph([values, reference[:, :2, :7]]).shape == (1, 2, 7, 1)
    with pytest.raises(tf.errors.InvalidArgumentError):
        graph([values, reference])


@pytest.mark.parametrize("offset", ["center", -1, (0, -2), (1, 2, 3), 1.5, None])
def test_crop_refuses_an_invalid_offset(offset):
    with pytest.raises(
        ValueError, match=r'`offset` must be "centre", or one or two integers of at least 0. Received: offset='
    ):
        CropToMatch(offset)


def test_image_pooling_averages_equal_bins_where_they_divide_and_shared_rows_where_they_do_not():
    values = np.arange(72.0).reshape(1, 6, 12, 1)
    expected = values.reshape(1, 3, 2, 3, 4, 1).mean((2, 4))
    np.testing.assert_allclose(ImagePooling2D(3)(values), expected, rtol=1e-6)
    np.testing.assert_allclose(ImagePooling2D(1)(values), values.mean((1, 2), keepdims=True), rtol=1e-6)
    five = np.arange(5.0).reshape(1, 1, 5, 1)
    np.testing.assert_allclose(ImagePooling2D(2)(five)[0, :, :, 0], [[1, 3], [1, 3]])
    np.testing.assert_allclose(ImagePooling2D(3)(five)[0, 0, :, 0], [0.5, 2, 3.5])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (5, 4), (13, 61), (60, 60)])
@pytest.mark.parametrize("bins", [1, 2, 3, 6])
def test_image_pooling_takes_any_size_and_keeps_a_constant(height, width, bins):
    image = keras.Input((None, None, 2))
    network = keras.Model(image, ImagePooling2D(bins)(image))
    assert network.output_shape == (None, bins, bins, 2)
    np.testing.assert_allclose(
        network(np.full((1, height, width, 2), 7.0)), np.full((1, bins, bins, 2), 7.0), rtol=1e-6
    )


def test_image_pooling_of_a_large_bfloat16_map_is_the_mean_to_bfloat16():
    values = keras.ops.cast(np.full((1, 100, 100, 1), 3.0), "bfloat16")
    pooled = ImagePooling2D(1, dtype="bfloat16")(values)
    assert keras.backend.standardize_dtype(pooled.dtype) == "bfloat16"
    assert float(pooled[0, 0, 0, 0]) == 3.0


def test_image_pooling_refuses_less_than_one_bin():
    with pytest.raises(ValueError, match=r"`bins` must be an integer of at least 1. Received: bins=0"):
        ImagePooling2D(0)


def test_normalisation_is_that_of_keras_applications():
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 4, 3)).astype("float32")
    expected = keras.applications.vgg16.preprocess_input(image.copy())
    np.testing.assert_allclose(ImageNetNormalization()(image), expected, atol=1e-4)
    np.testing.assert_allclose(ImageNetNormalization()(np.full((1, 1, 1, 2), 120.0)), 120 - 114.799333, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (30, 31)])
def test_mirrored_borders_are_numpys_reflection_repeated_where_the_map_is_smaller(size):
    values = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    around = ((7, 9), (0, 12))
    expected = np.pad(values, ((0, 0), *around, (0, 0)), mode="reflect")
    np.testing.assert_array_equal(ReflectionPadding2D(around)(values), expected)


def test_a_mirrored_border_can_extend_to_the_next_multiple():
    layer = ReflectionPadding2D(2, multiple=4)
    assert np.asarray(layer(np.arange(5.0).reshape(1, 1, 5, 1)))[0, 2, :, 0].tolist() == [
        2,
        1,
        0,
        1,
        2,
        3,
        4,
        3,
        2,
        1,
        0,
        1,
    ]
    assert layer.compute_output_shape((None, 8, None, 1)) == (None, 12, None, 1)
    with pytest.raises(ValueError, match="`padding` must be one or two integers of at least 0"):
        ReflectionPadding2D(((1, -1), (0, 0)))
    with pytest.raises(ValueError, match="`multiple` must be an integer of at least 1"):
        ReflectionPadding2D(1, multiple=0)


def test_dilated_pooling_takes_the_maximum_of_positions_apart():
    values = np.array([3.0, 9, 1, 4, 8, 2, 7]).reshape(1, 1, 7, 1)
    result = DilatedMaxPooling2D((1, 3), (1, 2))(values)
    assert np.asarray(result).ravel().tolist() == [8, 9, 8]
    grid = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype("float32")
    np.testing.assert_array_equal(DilatedMaxPooling2D()(grid), keras.layers.MaxPooling2D(2, strides=1)(grid))
    assert DilatedMaxPooling2D((2, 3), (4, 2)).compute_output_shape((None, 9, None, 3)) == (None, 5, None, 3)
