"""Outlines of regions as polygons along pixel edges, and the two formats that annotation tools read.

A polygon's area is exactly that of its pixels. Corner (x, y) lies between pixels: pixel (row, column) is the square from
(column, row) to (column + 1, row + 1), x to the right and y down. numpy and scikit-image only.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kseg._extras import extra
from kseg.labels import LabelMap
from kseg.postprocess.regions import Region

with extra("postprocess"):
    from skimage import measure

Ring = list[tuple[int, int]]


def polygons(mask: np.ndarray) -> list[list[Ring]]:
    """Traces polygons that cover exactly the pixels of a mask.

    Each is valid GeoJSON: no ring touches itself, the first ring is the outline and the others are holes. Outlines have positive
    area in (x, y), holes negative area. Pixels that touch only at a corner belong to different polygons.

    Args:
        mask: (H, W), bool.

    Returns:
        One list of rings per polygon; a ring is a list of corners (x, y) whose last one repeats the first.

    Example:
        >>> polygons(np.array([[True, True]]))
        [[[(0, 0), (2, 0), (2, 1), (0, 1), (0, 0)]]]
    """
    parts = measure.label(np.asarray(mask, bool), connectivity=1)
    found = []
    for part in measure.regionprops(parts):
        top, left = part.bbox[:2]
        rings = [[(x + left, y + top) for x, y in _merge_straight_edges(ring)] for ring in _rings(part.image)]
        found.append(sorted(rings, key=lambda ring: -signed_area(ring)))
    return found


def signed_area(ring: Ring) -> float:
    """Area in (x, y) by the shoelace formula: positive for outlines, negative for holes."""
    x, y = np.array(ring, float).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


def _rings(mask) -> list[Ring]:
    """Closed paths along the edges between pixels inside and outside a mask, with the mask always on the same side."""
    padded = np.pad(mask, 1).astype(np.int8)
    down, right = np.diff(padded, axis=0)[:, 1:-1], np.diff(padded, axis=1)[1:-1]
    edges = {}
    for y, x in np.argwhere(down > 0).tolist():  # above a pixel
        edges.setdefault((x, y), []).append((x + 1, y))
    for y, x in np.argwhere(down < 0).tolist():
        edges.setdefault((x + 1, y), []).append((x, y))
    for y, x in np.argwhere(right < 0).tolist():  # to the right of a pixel
        edges.setdefault((x, y), []).append((x, y + 1))
    for y, x in np.argwhere(right > 0).tolist():
        edges.setdefault((x, y + 1), []).append((x, y))
    rings = []
    for start in list(edges):
        path, place = [start], {start: 0}
        while edges[path[-1]]:
            corner = edges[path[-1]].pop()
            if corner not in place:
                place[corner] = len(path)
                path.append(corner)
                continue
            ring = path[place[corner] :]  # cut off where it closes, so no ring visits a corner twice
            for passed in ring[1:]:
                del place[passed]
            del path[place[corner] + 1 :]
            rings.append([*ring, corner])
    return rings


def _merge_straight_edges(ring: Ring) -> Ring:
    """The ring without corners between two edges of the same direction."""
    before, after = [ring[-2], *ring[:-2]], ring[1:]
    kept = [
        corner
        for corner, (x0, y0), (x1, y1) in zip(ring[:-1], before, after, strict=True)
        if x0 != x1 and y0 != y1  # its neighbours share neither a column nor a row
    ]
    return [*kept, kept[0]]


def to_geojson(regions: Iterable[Region], labels: LabelMap) -> dict:
    """A GeoJSON FeatureCollection with one feature per region.

    Coordinates are pixels, not degrees: annotation tools read them as such; mapping tools need the image's georeference.

    Args:
        regions: of one label map.
        labels: their classes.

    Source: RFC 7946.
    """
    features = []
    for region in regions:
        coordinates = _image_polygons(region)
        many = len(coordinates) > 1
        geometry = {
            "type": "MultiPolygon" if many else "Polygon",
            "coordinates": coordinates if many else coordinates[0],
        }
        properties = {"class": labels.names[region.class_id], "class_id": region.class_id, "area": region.area}
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    return {"type": "FeatureCollection", "features": features}


def coco_categories(labels: LabelMap) -> list[dict]:
    """The classes as COCO's "categories", with ids from 1 on, since readers of COCO take 0 for the background."""
    return [{"id": class_id + 1, "name": name} for class_id, name in enumerate(labels.names)]


def coco_annotation(region: Region, size: tuple[int, int]) -> dict:
    """A region as one of COCO's "annotations", without "id" and "image_id".

    COCO's polygons have no holes, so a region with holes is run-length encoded, column by column, which its tools read too.

    Args:
        region: of a label map.
        size: (height, width) of the label map.

    Source: cocodataset.org, "data format".
    """
    top, left, height, width = region.box
    outlines = _image_polygons(region)
    if all(len(rings) == 1 for rings in outlines):
        segmentation = [[coordinate for corner in rings[0][:-1] for coordinate in corner] for rings in outlines]
    else:
        whole = np.zeros(size, bool)
        whole[top : top + height, left : left + width] = region.mask
        segmentation = {"size": list(size), "counts": _run_lengths(whole)}
    return {
        "category_id": region.class_id + 1,
        "bbox": [left, top, width, height],
        "area": region.area,
        "iscrowd": 0,
        "segmentation": segmentation,
    }


def _image_polygons(region) -> list:
    """A region's polygons in the coordinates of the image."""
    top, left = region.box[:2]
    return [[[[x + left, y + top] for x, y in ring] for ring in rings] for rings in polygons(region.mask)]


def _run_lengths(mask) -> list[int]:
    """Run lengths, column by column, alternately of 0 and 1; the first is of 0."""
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends, flat.size]).tolist()
    return [0, *runs] if flat[0] else runs
