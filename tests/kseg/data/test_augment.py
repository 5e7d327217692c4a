"""Augmentation: image and label map move together, and (seed, step) alone decides how."""

import numpy as np
import pytest
import tensorflow as tf

from kseg.data import augment as augment_module
from kseg.data.augment import Augment
from kseg.labels import VOID
from kseg.pairs import resizing


def marked_pair(height=61, width=83, row=20, column=50, side=6):
    """A pair with a square of class 1, white on black."""
    label_map = np.zeros((height, width), np.uint8)
    label_map[row : row + side, column : column + side] = 1
    return np.repeat(label_map[..., None] * np.uint8(255), 3, axis=-1), label_map


def noise_pair(height, width, channels=3, seed=0):
    generator = np.random.default_rng(seed)
    image = generator.integers(1, 256, (height, width, channels)).astype(np.uint8)
    return image, generator.choice(np.array([3, 200, 254, VOID], np.uint8), (height, width))


def centre(weights):
    rows, columns = np.indices(weights.shape)
    return np.array([(rows * weights).sum(), (columns * weights).sum()]) / weights.sum()


def test_a_marker_moves_to_the_same_place_in_image_and_label_map():
    augment = Augment((48, 64), photometric=False)
    seen = set()
    for step in range(60):
        image, label_map = augment(*marked_pair(), seed=(0, step))
        mark = (label_map.numpy() == 1).astype(float)
        grey = image.numpy()[..., 0] / 255
        assert mark.any() == (grey > 0.5).any()
        whole = mark.any() and not (mark[[0, -1]].any() or mark[:, [0, -1]].any())
        if whole:
            np.testing.assert_allclose(centre(mark), centre(grey), atol=0.6)  # nearest puts an edge half a pixel off
            seen.add(tuple(centre(mark).round().astype(int)))
    assert len(seen) > 20  # and the marker really moved


def test_the_marker_is_flipped_in_both_or_in_neither():
    augment = Augment((61, 83), scale=(1.0, 1.0), photometric=False)
    image, label_map = marked_pair()
    flipped = 0
    for step in range(40):
        new_image, new_label_map = (values.numpy() for values in augment(image, label_map, seed=(3, step)))
        is_flipped = (new_label_map != label_map).any()
        flipped += is_flipped
        np.testing.assert_array_equal(new_label_map, label_map[:, ::-1] if is_flipped else label_map)
        np.testing.assert_array_equal(new_image, image[:, ::-1] if is_flipped else image)
    assert 10 <= flipped <= 30


def test_without_any_change_the_pair_is_returned():
    image, label_map = noise_pair(37, 53)
    same = Augment((37, 53), scale=(1.0, 1.0), flip=False, photometric=False)(image, label_map, seed=(0, 0))
    np.testing.assert_array_equal(same[0].numpy(), image)
    np.testing.assert_array_equal(same[1].numpy(), label_map)


def test_images_are_resized_as_by_beam_workers():
    image, label_map = noise_pair(60, 80)
    image[:] = 255
    label_map[:] = 7
    image[::7, ::5] = 1
    augment = Augment((60, 80), scale=(0.5, 0.5), flip=False, photometric=False)
    new_image, new_label_map = (values.numpy() for values in augment(image, label_map, seed=(0, 1)))
    inside = new_label_map != VOID
    assert inside.sum() == 30 * 40
    expected = resizing.resize_image(image, (30, 40))
    assert np.abs(new_image[inside].reshape(30, 40, 3) - expected).max() <= 1


@pytest.mark.parametrize("channels", [1, 3, 4, 7])
@pytest.mark.parametrize("shape", [(40, 40), (33, 97), (97, 33), (1, 1)])
def test_any_shape_becomes_the_size_without_new_ids(channels, shape):
    augment = Augment((45, 51))
    for step in range(8):
        image, label_map = augment(*noise_pair(*shape, channels), seed=(1, step))
        assert image.shape == (45, 51, channels) and image.dtype == tf.float32
        assert label_map.shape == (45, 51) and label_map.dtype == tf.uint8
        assert set(np.unique(label_map)) <= {3, 200, 254, VOID}
        assert image.numpy().min() >= 0 and image.numpy().max() <= 255


@pytest.mark.parametrize("scale", [(0.5, 0.5), (1.0, 1.0), (0.75, 2.0)])
@pytest.mark.parametrize("shape", [(60, 80), (33, 97), (97, 33), (1, 30)])
def test_without_a_working_scale_the_whole_pair_is_resized_bit_for_bit_and_then_cropped(shape, scale):
    image, label_map = noise_pair(*shape)
    augment = Augment((45, 51), scale=scale, flip=False, photometric=False)
    for step in range(4):
        factor, top, left, *_ = tf.random.stateless_uniform((8,), (2, step)).numpy()
        fitted = np.array(resizing.fitted_size(*shape, (45, 51)), np.float32)
        size = np.maximum(np.round((np.float32(scale[0]) + factor * np.float32(scale[1] - scale[0])) * fitted), 1)
        whole = tf.image.resize(image, size.astype(np.int32), method="bilinear", antialias=True).numpy()
        ids = tf.image.resize(label_map[..., None], size.astype(np.int32), method="nearest").numpy()[..., 0]
        expected, expected_ids = np.zeros((45, 51, 3), np.float32), np.full((45, 51), VOID, np.uint8)
        first = [int(np.float32(draw) * (abs(int(side) - target) + 1)) for draw, side, target in
                 zip((top, left), size, (45, 51), strict=True)]  # fmt: skip
        of, to = [], []
        for start, side, target in zip(first, size.astype(int), (45, 51), strict=True):
            length = min(side, target)
            of.append(slice(start, start + length) if side > target else slice(0, length))
            to.append(slice(0, length) if side > target else slice(start, start + length))
        expected[tuple(to)], expected_ids[tuple(to)] = whole[tuple(of)], ids[tuple(of)]
        result = augment(image, label_map, seed=(2, step))
        np.testing.assert_array_equal(result[0].numpy(), expected)
        np.testing.assert_array_equal(result[1].numpy(), expected_ids)


@pytest.mark.parametrize("working_scale", [(45, 51), (90, 51), (180, 240), 1.0, 0.37, 1.9])
@pytest.mark.parametrize("shape", [(60, 80), (33, 97), (97, 33), (1, 30), (30, 1), (150, 200)])
def test_a_crop_is_that_of_the_whole_pair_at_its_working_scale(shape, working_scale):
    image, label_map = noise_pair(*shape)
    crop, whole = (30, 40), resizing.working_size(*shape, working_scale)
    augment = Augment(crop, working_scale=working_scale, scale=(0.7, 1.6), flip=False, photometric=False)
    for step in range(5):
        factor, top, left, *_ = tf.random.stateless_uniform((8,), (2, step)).numpy()
        factor = np.float32(0.7) + factor * np.float32(1.6 - 0.7)
        size = np.maximum(np.round(factor * np.array(whole, np.float32)), 1).astype(np.int32)
        new_image, new_label_map = (values.numpy() for values in augment(image, label_map, seed=(2, step)))
        place = [augment_module.place_axis(tf.constant(side), target, draw) for side, target, draw in
                 zip(size, crop, (top, left), strict=True)]  # fmt: skip
        (row, above), (column, before) = [[int(value) for value in one] for one in place]
        expected = tf.image.resize(image, size, antialias=True).numpy()[row : row + 30, column : column + 40]
        ids = tf.image.resize(label_map[..., None], size, method="nearest").numpy()
        ids = ids[row : row + 30, column : column + 40, 0]
        inside = np.s_[above : above + expected.shape[0], before : before + expected.shape[1]]
        np.testing.assert_allclose(new_image[inside], expected, atol=0.02)
        np.testing.assert_array_equal(new_label_map[inside], ids)
        assert (new_label_map == VOID).sum() == (ids == VOID).sum() + 1200 - ids.size
        assert new_image.sum(dtype=float) == pytest.approx(new_image[inside].sum(dtype=float))


def test_at_scale_1_a_crop_shows_the_stored_pixels_of_a_pair_at_its_working_size():
    image, label_map = noise_pair(60, 80)
    for working_scale in ((60, 80), 1.0):
        augment = Augment((20, 30), working_scale=working_scale, scale=(1.0, 1.0), flip=False, photometric=False)
        corners = set()
        for step in range(12):
            new_image, new_label_map = (values.numpy() for values in augment(image, label_map, seed=(0, step)))
            row, column = next(
                (row, column) for row in range(41) for column in range(51)
                if (image[row : row + 20, column : column + 30] == new_image).all()
            )  # fmt: skip
            np.testing.assert_array_equal(new_label_map, label_map[row : row + 20, column : column + 30])
            corners.add((row, column))
        assert len(corners) > 8


def test_padding_is_0_in_the_image_and_void_in_the_label_map():
    augment = Augment((48, 64), scale=(0.5, 0.9))
    image = np.full((48, 64, 3), 200, np.uint8)
    for step in range(10):
        new_image, label_map = augment(image, np.zeros((48, 64), np.uint8), seed=(0, step))
        padding = label_map.numpy() == VOID
        assert padding.any()
        np.testing.assert_array_equal(padding, (new_image.numpy() == 0).all(axis=-1))


def test_photometric_changes_leave_the_label_map_alone():
    image, label_map = noise_pair(40, 52)
    lit, same_map = Augment((40, 52))(image, label_map, seed=(5, 9))
    plain, plain_map = Augment((40, 52), photometric=False)(image, label_map, seed=(5, 9))
    np.testing.assert_array_equal(same_map, plain_map)
    assert np.abs(lit.numpy() - plain.numpy()).max() > 1


@pytest.mark.parametrize("channels", [2, 3, 4, 7])
def test_channels_that_are_no_colours_change_brightness_and_contrast_alike(channels):
    image = np.random.default_rng(0).normal(128, 64, (40, 52, channels)).astype(np.float32)
    augment = Augment((40, 52), scale=(1.0, 1.0), flip=False, bounded=False)
    lit, _ = augment(image, np.zeros((40, 52), np.uint8), seed=(5, 9))
    gains = lit.numpy().std(axis=(0, 1)) / image.std(axis=(0, 1))
    shifts = lit.numpy().mean(axis=(0, 1)) - image.mean(axis=(0, 1))
    assert np.ptp(gains) < 1e-4 and np.ptp(shifts) < 1e-3 and abs(gains[0] - 1) > 0.01 and abs(shifts[0]) > 1
    assert lit.numpy().min() < 0 and lit.numpy().max() > 255  # nothing is cut off


def test_grey_stays_grey_under_every_photometric_change():
    grey, label_map = noise_pair(40, 52, channels=1)
    augment = Augment((40, 52))
    lit = augment(grey, label_map, seed=(0, 4))[0].numpy()
    as_rgb = augment(np.repeat(grey, 3, axis=-1), label_map, seed=(0, 4))[0].numpy()
    np.testing.assert_allclose(as_rgb, np.repeat(lit, 3, axis=-1), atol=0.01)


def test_equal_seed_and_step_give_equal_changes_and_others_do_not():
    pair, augment = noise_pair(40, 52), Augment((40, 52))
    first, again = augment(*pair, seed=(7, 11)), augment(*pair, seed=(7, 11))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    for other in [(7, 12), (8, 11), (11, 7)]:
        assert (augment(*pair, seed=other)[1].numpy() != first[1].numpy()).any()


def test_the_number_of_threads_does_not_matter():
    pair, augment = noise_pair(40, 52), Augment((40, 52))
    steps = tf.data.Dataset.range(16)
    serial = steps.map(lambda step: augment(*pair, seed=(0, step)))
    parallel = steps.map(lambda step: augment(*pair, seed=(0, step)), num_parallel_calls=4)
    for one, other in zip(serial, parallel, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_the_scale_covers_its_range():
    augment = Augment((64, 64), scale=(0.5, 1.0), photometric=False)
    label_map = np.zeros((64, 64), np.uint8)
    sides = [
        (augment(label_map[..., None], label_map, seed=(0, step))[1].numpy() == 0).sum() ** 0.5 for step in range(60)
    ]
    assert 32 <= min(sides) < 36 and 60 < max(sides) <= 64


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"`scale` must be .* both above 0. Received: scale=\(0, 1\)"):
        Augment((8, 8), scale=(0, 1))
    with pytest.raises(ValueError, match=r"`scale` must be \(smallest, largest\)"):
        Augment((8, 8), scale=(2.0, 0.5))
    with pytest.raises(ValueError, match=r"`size` must be \(height, width\), each at least 1. Received: size=\(0, 8\)"):
        Augment((0, 8))
    with pytest.raises(ValueError, match=r"`size` must be \(height, width\)"):
        Augment((8, 8, 3))
    with pytest.raises(ValueError, match=r"must be above 0 and at most 16. Received: 0"):
        Augment((8, 8), working_scale=0)
    for scale in ((0, 8), (8,), "x", True):
        with pytest.raises(ValueError, match="`working_scale` must be "):
            Augment((8, 8), working_scale=scale)
    for size in (8, None, (8.5, 8), ("8", "8")):
        with pytest.raises(ValueError, match=r"`size` must be \(height, width\)"):
            Augment(size)
    for scale in (0.5, None, (0.5,), (1, np.inf), ("1", "2")):
        with pytest.raises(ValueError, match=r"`scale` must be \(smallest, largest\)"):
            Augment((8, 8), scale=scale)
    with pytest.raises(ValueError, match=r"`flip` must be True or False. Received: flip=0.5"):
        Augment((8, 8), flip=0.5)
    for seed in (5, (1, 2, 3), (0.5, 1.0)):
        with pytest.raises(ValueError, match=r"`seed` must be two integers \(seed, step\). Received: seed of shape"):
            Augment((8, 8))(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8), seed=seed)


@pytest.mark.parametrize(
    ("image", "label_map", "message"),
    [
        ((8, 8), np.zeros((8, 8), np.uint8), r"known number of channels. Received: image.shape=\(8, 8\)"),
        ((8, 8), np.zeros((8, 8), np.uint8), r"must be \(H, W, C\) .* Received: image.shape=\(8, 8\)"),
        ((2, 8, 8, 3), np.zeros((2, 8, 8), np.uint8), r"must be \(H, W, C\) .* Received: image.shape=\(2, 8, 8, 3\)"),
        ((8, 8, 3), np.zeros((8, 8), np.int32), r"`label_map` must be uint8 .* Received: label_map=int32 \(8, 8\)"),
        ((8, 8, 3), np.zeros((8, 8, 1), np.uint8), r"Received: label_map=uint8 \(8, 8, 1\)"),
        ((8, 8, 3), np.zeros((8, 9), np.uint8), r"Received: label_map=uint8 \(8, 9\), image.shape=\(8, 8, 3\)"),
    ],
)
def test_pairs_of_wrong_rank_dtype_or_size_are_refused(image, label_map, message):
    with pytest.raises(ValueError, match=message):
        Augment((8, 8))(np.zeros(image, np.uint8), label_map, seed=(0, 0))


def test_images_scaled_to_1_are_warned_of():
    with pytest.warns(UserWarning, match=r"values from 0\.5 to 0\.5 \[Augment\]\. Multiply by 255"):
        Augment((8, 8))(np.full((8, 8, 3), 0.5, np.float32), np.zeros((8, 8), np.uint8), seed=(0, 0))
