"""The score of structure sees what it says it sees."""

import numpy as np
import pytest

from benchmarks.adversarial_gain import structure
from kseg import streets
from kseg.labels import VOID

SKY, BUILDING, ROAD, LANE, CAR, WHEEL = 0, 1, 4, 5, 6, 7
ANYTHING_GOES = np.zeros((2, 8, 8), bool)


def car_on_a_road():
    """A car of 6 x 16 pixels with two wheels of 2 x 3, on road."""
    truth, cars = np.full((12, 24), ROAD, np.uint8), np.zeros((12, 24), np.uint8)
    truth[3:9, 4:20], cars[3:9, 4:20] = CAR, 1
    truth[7:9, 5:8] = truth[7:9, 15:18] = WHEEL
    return truth, cars


def test_a_car_counts_as_whole_with_both_wheels_and_not_with_one_or_with_three():
    truth, cars = car_on_a_road()
    one, three = truth.copy(), truth.copy()
    one[7:9, 5:8] = CAR
    three[7:9, 10:12] = WHEEL
    found = [
        structure.count_structure(truth, cars, said, ANYTHING_GOES).wheels.tolist() for said in (truth, one, three)
    ]
    assert found == [[1, 1], [0, 1], [0, 1]]


def test_a_car_that_shows_one_wheel_is_not_asked_for_two():
    truth, cars = car_on_a_road()
    truth[7:9, 5:8] = CAR
    assert structure.count_structure(truth, cars, truth, ANYTHING_GOES).wheels.tolist() == [0, 0]


def test_a_line_with_a_gap_or_half_missing_is_no_line():
    truth, cars = np.full((10, 30), ROAD, np.uint8), np.zeros((10, 30), np.uint8)
    truth[4, 3:23] = LANE
    gap, half = truth.copy(), truth.copy()
    gap[4, 12] = ROAD
    half[4, 13:] = ROAD
    found = [structure.count_structure(truth, cars, said, ANYTHING_GOES).lines.tolist() for said in (truth, gap, half)]
    assert found == [[1, 1], [0, 1], [0, 1]]


def test_neighbours_are_counted_down_and_across_over_a_rim_of_void_of_up_to_three_pixels():
    column = [SKY, VOID, VOID, VOID, BUILDING, VOID, VOID, VOID, VOID, ROAD, ROAD, CAR]
    down = structure.neighbours(np.array(column, np.uint8)[:, None])
    across = structure.neighbours(np.array(column, np.uint8)[None])
    expected = np.zeros((8, 8), int)
    expected[SKY, BUILDING] = expected[ROAD, CAR] = 1
    np.testing.assert_array_equal(down, [expected, 0 * expected])
    np.testing.assert_array_equal(across, [0 * expected, expected])


def test_sky_under_road_is_impossible_and_costs_its_share_of_the_neighbours():
    truth, cars = np.array([[SKY], [BUILDING], [ROAD]], np.uint8), np.zeros((3, 1), np.uint8)
    impossible = structure.impossible_neighbours([truth])
    upside_down = truth[::-1]
    assert structure.shares([structure.count_structure(truth, cars, truth, impossible)])["neighbours"] == 0
    assert structure.shares([structure.count_structure(truth, cars, upside_down, impossible)])["neighbours"] == 1


def test_true_streets_are_without_a_fault():
    pictures = [streets.render(streets.scene(index, split="test"), (96, 128)) for index in range(12)]
    impossible = structure.impossible_neighbours([picture.label_map for picture in pictures])
    counts = [structure.count_structure(p.label_map, p.cars, p.label_map, impossible) for p in pictures]
    assert structure.shares(counts) == pytest.approx({"wheels": 1.0, "lines": 1.0, "neighbours": 0.0})


def test_what_is_said_at_void_pixels_counts_for_nothing():
    truth, cars = np.full((4, 4), VOID, np.uint8), np.zeros((4, 4), np.uint8)
    assert structure.count_structure(truth, cars, np.eye(4, dtype=np.uint8), ~ANYTHING_GOES).neighbours.tolist() == [
        0,
        0,
    ]
