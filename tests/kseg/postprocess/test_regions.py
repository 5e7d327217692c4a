"""Every pixel lies in one region, and every change by cleaning is counted."""

import collections

import numpy as np
import pytest
from scipy import ndimage

from kseg.postprocess.regions import clean_label_map, find_regions


def drawn(*rows):
    return np.array([[255 if c == "." else int(c) for c in row] for row in rows], np.uint8)


def ragged(seed, classes=4, void=False):
    """A label map of many small regions."""
    draw = np.random.default_rng(seed)
    scores = ndimage.gaussian_filter(draw.normal(size=(48, 37, classes)), (1.2, 1.2, 0))
    label_map = scores.argmax(-1).astype(np.uint8)
    return np.where(draw.random(label_map.shape) < 0.02, 255, label_map).astype(np.uint8) if void else label_map


def test_a_region_has_its_class_area_box_centroid_and_mask():
    found = find_regions(drawn("0000", "0110", "0010", "2000"))
    assert [(r.class_id, r.area, r.box) for r in found] == [
        (0, 12, (0, 0, 4, 4)),
        (1, 3, (1, 1, 2, 2)),
        (2, 1, (3, 0, 1, 1)),
    ]
    assert found[1].centroid == pytest.approx((4 / 3, 5 / 3))
    np.testing.assert_array_equal(found[1].mask, [[True, True], [False, True]])


def test_pixels_that_touch_at_a_corner_are_one_region_of_connectivity_8_and_two_of_4():
    label_map = drawn("10", "01")
    assert [r.area for r in find_regions(label_map)] == [2, 2]
    assert [r.area for r in find_regions(label_map, connectivity=4)] == [1, 1, 1, 1]


@pytest.mark.parametrize("connectivity", [4, 8])
def test_every_pixel_that_is_not_void_lies_in_exactly_one_region(connectivity):
    label_map = ragged(0, void=True)
    covered = np.full(label_map.shape, 255, np.uint8)
    for region in find_regions(label_map, connectivity=connectivity):
        top, left, height, width = region.box
        inside = covered[top : top + height, left : left + width]
        assert (inside[region.mask] == 255).all() and region.mask.sum() == region.area
        inside[region.mask] = region.class_id
    np.testing.assert_array_equal(covered, label_map)


def test_there_are_as_many_regions_as_scipy_labels():
    label_map = ragged(1)
    expected = sum(ndimage.label(label_map == class_id, np.ones((3, 3)))[1] for class_id in range(4))
    assert len(find_regions(label_map)) == expected


def test_a_small_region_takes_the_class_with_which_it_shares_the_longest_border():
    result = clean_label_map(drawn("1112", "1302", "1112"), min_area=2, connectivity=4)
    np.testing.assert_array_equal(result.label_map, drawn("1112", "1112", "1112"))
    assert result.changed_pixels == {(0, 1): 1, (3, 1): 1} and result.regions_lost == {0: 1, 3: 1}


def test_a_merged_region_joins_all_regions_of_its_new_class_that_it_touches():
    # The 0 comes first and joins the two pairs of 1, which are then large enough.
    result = clean_label_map(drawn("1101122222"), min_area=5)
    np.testing.assert_array_equal(result.label_map, drawn("1111122222"))
    assert result.changed_pixels == {(0, 1): 1} and result.regions_lost == {0: 1, 1: 1}


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("seed", range(5))
def test_no_region_below_min_area_is_left_and_every_change_is_counted(seed, connectivity):
    label_map = ragged(seed)
    result = clean_label_map(label_map, min_area=20, max_hole=30, connectivity=connectivity)
    after = find_regions(result.label_map, connectivity=connectivity)
    assert min(region.area for region in after) >= 20
    seen = collections.Counter(zip(label_map.ravel().tolist(), result.label_map.ravel().tolist(), strict=True))
    assert (
        result.changed_pixels == {kind: count for kind, count in seen.items() if kind[0] != kind[1]}
        and result.changed_pixels
    )
    before = collections.Counter(region.class_id for region in find_regions(label_map, connectivity=connectivity))
    now = collections.Counter(region.class_id for region in after)
    assert {c: before[c] - now[c] for c in range(4) if before[c] != now[c]} == result.regions_lost


def test_void_neither_grows_nor_shrinks():
    label_map = ragged(2, void=True)
    result = clean_label_map(label_map, min_area=30, max_hole=30)
    np.testing.assert_array_equal(result.label_map == 255, label_map == 255)
    alone = drawn("...", ".1.", "...")
    np.testing.assert_array_equal(clean_label_map(alone, min_area=5, max_hole=5).label_map, alone)


def test_a_hole_is_filled_with_everything_inside_unless_it_is_larger():
    label_map = drawn("000000", "011110", "012310", "011110", "000000")
    np.testing.assert_array_equal(
        clean_label_map(label_map, max_hole=2).label_map, drawn("000000", "011110", "011110", "011110", "000000")
    )
    assert clean_label_map(label_map, max_hole=1).changed_pixels == {}
    assert clean_label_map(label_map, max_hole=12).changed_pixels == {(1, 0): 10, (2, 0): 1, (3, 0): 1}


def test_a_region_at_the_border_of_the_image_is_no_hole():
    label_map = drawn("000", "000", "010")
    assert clean_label_map(label_map, max_hole=5).changed_pixels == {}


def test_a_gap_at_a_corner_opens_a_hole_for_connectivity_4_only():
    ring = drawn("1110", "1210", "1100", "0000")  # the 2 touches the 0 outside at a corner
    assert clean_label_map(ring, max_hole=1).changed_pixels == {(2, 1): 1}
    assert clean_label_map(ring, max_hole=1, connectivity=4).changed_pixels == {}


def test_nothing_changes_by_default_and_the_input_never():
    label_map = ragged(3)
    before = label_map.copy()
    result = clean_label_map(label_map)
    assert result.changed_pixels == result.regions_lost == {}
    clean_label_map(label_map, min_area=20, max_hole=20)
    np.testing.assert_array_equal(label_map, before)


@pytest.mark.parametrize("label_map", [np.zeros((1, 1), np.uint8), np.full((3, 4), 7, np.int64), np.zeros((5, 1), int)])
def test_an_image_of_one_region_is_unchanged(label_map):
    result = clean_label_map(label_map, min_area=100, max_hole=100)
    assert result.changed_pixels == {} and result.label_map.dtype == label_map.dtype
    assert [r.area for r in find_regions(label_map)] == [label_map.size]


def test_void_forms_no_region():
    assert find_regions(np.full((2, 2), 255, np.uint8)) == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: find_regions(np.zeros((2, 2))),
            r"`label_map` must be class ids \(H, W\)\. Received: label_map=float64 \(2, 2\)",
        ),
        (lambda: find_regions(np.zeros((2, 2, 1), int)), r"Received: label_map=int64 \(2, 2, 1\)"),
        (
            lambda: find_regions(np.zeros((2, 2), int), connectivity=6),
            r"`connectivity` must be 4 or 8\. Received: connectivity=6",
        ),
        (lambda: clean_label_map(np.zeros((2, 2), int), min_area=-1), r"Received: min_area=-1, max_hole=0"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
