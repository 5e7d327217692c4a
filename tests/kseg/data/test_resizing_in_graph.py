"""Resizing in a TensorFlow graph equals Pillow's to one grey level."""

import numpy as np
import pytest
import tensorflow as tf

from kseg.data.resizing_in_graph import fit_image_in_graph, working_size_in_graph
from kseg.pairs.resizing import fitted_size, resize_image, working_size

SIZES = [(1, 1), (2, 3), (7, 5), (37, 61), (64, 64), (101, 33), (181, 241), (240, 7)]
TARGETS = [(1, 1), (5, 9), (48, 64), (97, 131), (180, 240)]


def noisy_ramp(height, width, channels, seed=0):
    """Noise on a ramp: every frequency and both ends of the range, uint8 (H, W, C)."""
    generator = np.random.default_rng(seed)
    ramp = np.linspace(0, 255, width)[None, :, None] + generator.normal(0, 80, (height, width, channels))
    return np.clip(ramp, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_pillow_and_the_graph_differ_by_at_most_one_grey_level(channels):
    fit = tf.function(
        fit_image_in_graph,
        input_signature=[tf.TensorSpec((None, None, channels), tf.uint8), tf.TensorSpec((2,), tf.int64)],
    )
    for height, width in SIZES:
        image = noisy_ramp(height, width, channels)
        for size in TARGETS:
            expected = resize_image(image, fitted_size(height, width, size))
            result = fit(image, np.array(size)).numpy()
            assert result.shape == expected.shape
            assert np.abs(result.astype(int) - expected).max() <= 1, (height, width, size)


def test_without_antialiasing_they_would_differ_by_many_grey_levels():
    image = noisy_ramp(181, 241, 3)
    aliased = tf.image.resize(image, (45, 60), method="bilinear", antialias=False).numpy()
    assert np.abs(aliased - resize_image(image, (45, 60))).max() > 30


def test_a_batch_is_resized_like_each_of_its_images():
    images = np.stack([noisy_ramp(37, 61, 3, seed) for seed in range(3)])
    batch = fit_image_in_graph(tf.constant(images), (20, 30)).numpy()
    for image, result in zip(images, batch, strict=True):
        np.testing.assert_array_equal(fit_image_in_graph(tf.constant(image), (20, 30)).numpy(), result)


def test_a_factor_gives_the_same_size_in_a_graph_and_in_python():
    sides = tf.constant([*range(1, 300), 1919, 1920, 1921, 9999, 65535])
    for factor in (1.0, 0.999, 0.75, 2 / 3, 0.5, 1 / 3, 0.1, 0.0001, 1.5):
        computed = tf.map_fn(lambda side, by=factor: working_size_in_graph(side, side + 1, by), sides).numpy()
        expected = [working_size(int(side), int(side) + 1, factor) for side in sides]
        np.testing.assert_array_equal(computed, expected)
        exact = np.maximum(np.array(sides, float) * factor, 1)
        assert np.abs(computed[:, 0] - exact).max() <= 0.5 + 1e-6 * 65535


def test_fitting_into_the_same_size_changes_nothing():
    image = noisy_ramp(37, 61, 3)
    np.testing.assert_array_equal(fit_image_in_graph(tf.constant(image), (37, 61)).numpy(), image)
