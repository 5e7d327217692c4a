"""Resizing: Beam workers and the exported graph do the same to an image."""

import numpy as np
import pytest
import tensorflow as tf

from kseg.pairs import resizing

SIZES = [(1, 1), (2, 3), (7, 5), (37, 61), (64, 64), (101, 33), (181, 241), (240, 7)]
BOXES = [(1, 1), (5, 9), (48, 64), (97, 131), (180, 240)]


def photograph(height, width, channels, seed=0):
    """Noise on a ramp: every frequency and both ends of the range."""
    draw = np.random.default_rng(seed)
    ramp = np.linspace(0, 255, width)[None, :, None] + draw.normal(0, 80, (height, width, channels))
    return np.clip(ramp, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "box", "size"),
    [
        (375, 500, (180, 240), (180, 240)),
        (500, 375, (180, 240), (180, 135)),
        (360, 480, (180, 240), (180, 240)),
        (10, 10, (180, 240), (180, 180)),  # scales up too
        (3, 2, (5, 9), (5, 3)),  # 3.33 wide
        (2, 1, (5, 5), (5, 3)),  # 2.5 wide: half goes up
        (1000, 1, (10, 10), (10, 1)),  # never nothing
    ],
)
def test_the_fitted_size_is_the_largest_of_the_same_aspect(height, width, box, size):
    assert resizing.fitted_size(height, width, box) == size


def test_every_fitted_size_touches_the_box_and_stays_inside():
    for height, width in SIZES:
        for box in BOXES:
            size = resizing.fitted_size(height, width, box)
            assert size[0] <= box[0] and size[1] <= box[1]
            assert size[0] == box[0] or size[1] == box[1]
            assert resizing.fitted_size(*size, box) == size  # fitting twice is fitting once


def test_a_size_below_one_is_refused():
    with pytest.raises(ValueError, match=r"Sizes must be at least 1. Received: height=0, width=4, box=\(2, 2\)"):
        resizing.fitted_size(0, 4, (2, 2))


@pytest.mark.parametrize("channels", [1, 3])
def test_pillow_and_the_graph_differ_by_at_most_one_grey_level(channels):
    in_graph = tf.function(
        resizing.fit_image_in_graph,
        input_signature=[tf.TensorSpec((None, None, channels), tf.uint8), tf.TensorSpec((2,), tf.int64)],
    )
    for height, width in SIZES:
        image = photograph(height, width, channels)
        for box in BOXES:
            expected = resizing.resize_image(image, resizing.fitted_size(height, width, box))
            seen = in_graph(image, np.array(box)).numpy()
            assert seen.shape == expected.shape
            assert np.abs(seen.astype(int) - expected).max() <= 1, (height, width, box)


def test_without_antialiasing_the_two_would_differ_by_many_grey_levels():
    image = photograph(181, 241, 3)
    expected = resizing.resize_image(image, (45, 60))
    aliased = tf.image.resize(image, (45, 60), method="bilinear", antialias=False).numpy()
    assert np.abs(aliased - expected).max() > 30


def test_a_batch_is_resized_like_each_of_its_images():
    images = np.stack([photograph(37, 61, 3, seed) for seed in range(3)])
    batch = resizing.fit_image_in_graph(tf.constant(images), (20, 30)).numpy()
    for image, seen in zip(images, batch, strict=True):
        np.testing.assert_array_equal(resizing.fit_image_in_graph(tf.constant(image), (20, 30)).numpy(), seen)


def test_the_own_size_changes_nothing():
    image = photograph(37, 61, 3)
    np.testing.assert_array_equal(resizing.resize_image(image, (37, 61)), image)
    np.testing.assert_array_equal(resizing.fit_image_in_graph(tf.constant(image), (37, 61)).numpy(), image)


def test_label_maps_take_the_nearest_pixel_and_no_new_id():
    label_map = np.array([[0, 7], [255, 3]], np.uint8)
    np.testing.assert_array_equal(resizing.resize_label_map(label_map, (4, 6)), label_map.repeat(2, 0).repeat(3, 1))
    halved = resizing.resize_label_map(np.arange(16, dtype=np.uint8).reshape(4, 4), (2, 2))
    np.testing.assert_array_equal(halved, [[5, 7], [13, 15]])


def test_other_shapes_and_dtypes_are_refused():
    with pytest.raises(ValueError, match=r"\(H, W, 1\) or \(H, W, 3\). Received: image=uint8 \(4, 4\)"):
        resizing.resize_image(np.zeros((4, 4), np.uint8), (2, 2))
    with pytest.raises(ValueError, match="Received: image=float32"):
        resizing.resize_image(np.zeros((4, 4, 3), np.float32), (2, 2))
    with pytest.raises(ValueError, match=r"`label_map` must be uint8 of shape \(H, W\)"):
        resizing.resize_label_map(np.zeros((4, 4, 1), np.uint8), (2, 2))
