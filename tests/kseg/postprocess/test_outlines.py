"""Polygons cover exactly the pixels of a region, and the files made of them are what their readers expect."""

import json

import numpy as np
import pytest
from matplotlib.path import Path

from kseg.labels import LabelMap
from kseg.postprocess.outlines import coco_annotation, coco_categories, polygons, signed_area, to_geojson
from kseg.postprocess.regions import find_regions

LABELS = LabelMap(("ground", "car"), ((90, 90, 90), (220, 60, 50)), (0, 1))
RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)


def masks():
    draw = np.random.default_rng(0)
    return [draw.random(draw.integers(1, 12, 2)) < share for share in (0.2, 0.4, 0.5, 0.6, 0.8) for _ in range(20)]


def covered(rings, shape):
    """The pixels whose centres an odd number of rings encloses."""
    rows, columns = np.indices(shape)
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    return sum(Path(ring).contains_points(centres).astype(int) for ring in rings).reshape(shape)


def test_polygons_cover_the_mask_exactly_and_have_its_area():
    for mask in masks():
        found = polygons(mask)
        every = [ring for rings in found for ring in rings]
        inside = covered(every, mask.shape) if every else np.zeros(mask.shape, int)
        np.testing.assert_array_equal(inside % 2 == 1, mask)
        assert sum(signed_area(ring) for ring in every) == mask.sum()


def test_rings_are_simple_closed_and_turn_at_every_corner():
    for mask in masks():
        for rings in polygons(mask):
            assert signed_area(rings[0]) > 0 and all(signed_area(hole) < 0 for hole in rings[1:])
            for ring in rings:
                assert ring[0] == ring[-1] and len(set(ring)) == len(ring) - 1
                steps = np.diff(np.array([*ring, ring[1]]), axis=0)
                assert ((steps[1:] * steps[:-1]).sum(axis=1) == 0).all()


def test_a_ring_of_pixels_has_a_hole():
    (rings,) = polygons(RING)
    assert [sorted(set(ring)) for ring in rings] == [[(0, 0), (0, 3), (3, 0), (3, 3)], [(1, 1), (1, 2), (2, 1), (2, 2)]]


def test_pixels_that_touch_at_a_corner_are_two_polygons():
    assert len(polygons(np.eye(2, dtype=bool))) == 2


def test_geojson_has_class_area_and_position_of_each_region():
    label_map = np.zeros((4, 5), np.uint8)
    label_map[1:3, 2:4] = 1
    collection = json.loads(json.dumps(to_geojson(find_regions(label_map), LABELS)))
    assert collection["type"] == "FeatureCollection"
    ground, car = collection["features"]
    assert car["properties"] == {"class": "car", "class_id": 1, "area": 4}
    assert car["geometry"] == {"type": "Polygon", "coordinates": [[[2, 1], [4, 1], [4, 3], [2, 3], [2, 1]]]}
    assert len(ground["geometry"]["coordinates"]) == 2
    diagonal = to_geojson(find_regions(np.eye(2, dtype=np.uint8)), LABELS)["features"][1]["geometry"]
    assert diagonal["type"] == "MultiPolygon" and len(diagonal["coordinates"]) == 2


def test_a_region_without_holes_is_a_coco_polygon():
    label_map = np.zeros((4, 5), np.uint8)
    label_map[1:3, 2:4] = 1
    assert coco_annotation(find_regions(label_map)[1], (4, 5)) == {
        "category_id": 2,
        "bbox": [2, 1, 2, 2],
        "area": 4,
        "iscrowd": 0,
        "segmentation": [[2, 1, 4, 1, 4, 3, 2, 3]],
    }
    assert coco_categories(LABELS) == [{"id": 1, "name": "ground"}, {"id": 2, "name": "car"}]


@pytest.mark.parametrize("corner", [0, 1])
def test_a_region_with_holes_is_run_length_encoded(corner):
    label_map = np.zeros((5, 6), np.uint8)
    label_map[corner : corner + 3, corner : corner + 3] = RING
    region = next(region for region in find_regions(label_map) if region.class_id == 1)
    segmentation = coco_annotation(region, (5, 6))["segmentation"]
    values = np.arange(len(segmentation["counts"])) % 2
    decoded = np.repeat(values, segmentation["counts"]).reshape(segmentation["size"], order="F")
    np.testing.assert_array_equal(decoded, label_map)
