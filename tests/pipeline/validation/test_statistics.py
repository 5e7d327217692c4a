"""Counts over pairs, by hand: whole numbers that are summed exactly."""

import dataclasses

import numpy as np
import pytest

from pipeline.validation.statistics import count_example, empty_counts, summarize


def test_the_statistics_of_two_small_pairs_by_hand():
    white = np.full((2, 3, 1), 255, np.uint8)
    first = count_example(white, np.array([[0, 0, 2], [2, 2, 255]], np.uint8), 3, "JPEG")
    second = count_example(np.zeros((1, 2, 1), np.uint8), np.array([[0, 0]], np.uint8), 3)
    assert summarize(empty_counts(3) + first + second) == {
        "images": 2,
        "sizes": {"2x1": 1, "3x2": 1},
        "height": {"min": 1, "median": 1, "max": 2},
        "width": {"min": 2, "median": 2, "max": 3},
        "formats": {"JPEG": 1, "PNG": 1},
        "channels": 1,
        "dtype": "uint8",
        "pixels": 8,
        "void_pixels": 1,
        "class_pixels": [4, 0, 3],
        "class_images": [2, 0, 1],
        "class_image_pixels": [8, 0, 6],
        "single_class_images": [1, 0, 0],
        "class_widths": [2 * 4 / 3, None, 2 * 3 / 5],
        "channel_min": [0.0],
        "channel_max": [1.0],
        "channel_mean": [0.75],
        "channel_deviation": [pytest.approx(0.1875**0.5)],
        "brightness": [2] + 30 * [0] + [6],
    }


def test_the_width_of_a_class_is_that_of_its_stripes():
    label_map = np.zeros((90, 120), np.uint8)
    label_map[:, 10:13] = 1
    label_map[40:45, 20:] = 2
    _, stripe, bar = summarize(count_example(np.zeros((90, 120, 3), np.uint8), label_map, 3))["class_widths"]
    assert stripe == 3
    assert bar == pytest.approx(5, rel=0.03)  # its left end is a border, too


@pytest.mark.parametrize(("dtype", "unit"), [("uint8", 255), ("uint16", 1), ("float32", 1)])
def test_the_statistics_of_each_of_five_channels_by_hand(dtype, unit):
    ids = np.zeros((1, 2), np.uint8)
    first = count_example(np.array([[[1, 0, 2, 3, 7], [3, 0, 2, 3, 7]]], dtype), ids, 1, "tensor")
    second = count_example(np.array([[[5, 4, 2, 3, 7], [7, 4, 2, 3, 7]]], dtype), ids, 1, "tensor")
    found = summarize(empty_counts(1) + first + second)
    assert (found["channels"], found["dtype"], found["formats"]) == (5, dtype, {"tensor": 2})
    assert np.multiply(found["channel_min"], unit).tolist() == [1, 0, 2, 3, 7]
    assert np.multiply(found["channel_max"], unit).tolist() == [7, 4, 2, 3, 7]
    assert np.multiply(found["channel_mean"], unit) == pytest.approx([4, 2, 2, 3, 7])
    assert np.multiply(found["channel_deviation"], unit) == pytest.approx([5**0.5, 2, 0, 0, 0])
    assert not any(found["brightness"])


def test_sums_of_floating_point_numbers_do_not_depend_on_their_order():
    parts = [
        count_example(np.full((1, 1, 2), value, np.float32), np.zeros((1, 1), np.uint8), 1)
        for value in (1e30, 0.1, -1e30, 3e-30)
    ]
    first, *others = (sum(order, empty_counts(1)) for order in (parts, parts[::-1], parts[1:] + parts[:1]))
    assert all(summarize(other) == summarize(first) for other in others)
    assert summarize(first)["channel_mean"] == [pytest.approx(0.1 / 4, rel=1e-6)] * 2


def test_brightness_weighs_red_green_and_blue():
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    brightness = count_example(image, np.zeros((1, 4), np.uint8), 1).brightness
    assert np.flatnonzero(brightness).tolist() == [29, 76, 150, 255]  # 255 times 0.114, 0.299, 0.587


def test_counts_sum_to_the_same_total_in_any_order_and_beyond_two_to_the_53():
    generator = np.random.default_rng(0)
    parts = [
        count_example(generator.integers(0, 256, (4, 5, 3), np.uint8), generator.integers(0, 3, (4, 5), np.uint8), 3)
        for _ in range(4)
    ]
    other = sum([parts[3], parts[1], parts[2]], empty_counts(3)) + (parts[0] + empty_counts(3))
    assert summarize(other) == summarize(parts[0] + parts[1] + parts[2] + parts[3])
    many = dataclasses.replace(empty_counts(1), classes=np.full((5, 1), 2**53 + 1))
    assert (many + many).classes[0, 0] == 2**54 + 2
