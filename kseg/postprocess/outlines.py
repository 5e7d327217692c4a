"""Outlines of regions as polygons along the edges of pixels, and the two formats in which annotation tools read them.

A polygon's area is exactly its pixels'. Corner (x, y) lies between pixels: pixel (row, column) is the square from
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
    """Polygons that cover the pixels of a mask and nothing else.

    Each is valid in the sense of GeoJSON: no ring touches itself, the first ring is the outline and the others are holes,
    outlines have a positive area in (x, y) and holes a negative one. Pixels that touch at a corner only are in two polygons.

    Args:
        mask: (H, W), bool.

    Returns: for each part a list of rings, each the corners (x, y), where the last one is the first again.

    Example:
        >>> polygons(np.array([[True, True]]))
        [[[(0, 0), (2, 0), (2, 1), (0, 1), (0, 0)]]]
    """
    parts = measure.label(np.asarray(mask, bool), connectivity=1)
    found = []
    for part in measure.regionprops(parts):
        top, left = part.bbox[:2]
        rings = [[(x + left, y + top) for x, y in _straightened(ring)] for ring in _rings(part.image)]
        found.append(sorted(rings, key=lambda ring: -signed_area(ring)))
    return found


def signed_area(ring: Ring) -> float:
    """Area in (x, y) by the shoelace formula: above 0 for outlines, below for holes."""
    x, y = np.array(ring, float).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


def _rings(mask) -> list[Ring]:
    """Closed paths along the edges between the pixels of a mask and others, the mask always on the same hand."""
    padded = np.pad(mask, 1).astype(np.int8)
    down, right = np.diff(padded, axis=0)[:, 1:-1], np.diff(padded, axis=1)[1:-1]
    ways = {}
    for y, x in np.argwhere(down > 0).tolist():  # above a pixel
        ways.setdefault((x, y), []).append((x + 1, y))
    for y, x in np.argwhere(down < 0).tolist():
        ways.setdefault((x + 1, y), []).append((x, y))
    for y, x in np.argwhere(right < 0).tolist():  # to the right of a pixel
        ways.setdefault((x, y), []).append((x, y + 1))
    for y, x in np.argwhere(right > 0).tolist():
        ways.setdefault((x, y + 1), []).append((x, y))
    rings = []
    for start in list(ways):
        path, place = [start], {start: 0}
        while ways[path[-1]]:
            corner = ways[path[-1]].pop()
            if corner not in place:
                place[corner] = len(path)
                path.append(corner)
                continue
            ring = path[place[corner] :]  # cut off wherever it closes, so that no ring passes a corner twice
            for passed in ring[1:]:
                del place[passed]
            del path[place[corner] + 1 :]
            rings.append([*ring, corner])
    return rings


def _straightened(ring: Ring) -> Ring:
    """The ring without corners at which it goes straight on."""
    before, after = [ring[-2], *ring[:-2]], ring[1:]
    kept = [
        corner
        for corner, (x0, y0), (x1, y1) in zip(ring[:-1], before, after, strict=True)
        if x0 != x1 and y0 != y1  # its neighbours lie neither in one column nor in one row
    ]
    return [*kept, kept[0]]


def to_geojson(regions: Iterable[Region], labels: LabelMap) -> dict:
    """A FeatureCollection with one feature a region.

    The coordinates are pixels, not degrees: tools for pictures read them so, and tools for maps need the picture's place.

    Args:
        regions: of one label map.
        labels: their classes.

    Source: RFC 7946.
    """
    features = []
    for region in regions:
        coordinates = _placed(region)
        many = len(coordinates) > 1
        geometry = {
            "type": "MultiPolygon" if many else "Polygon",
            "coordinates": coordinates if many else coordinates[0],
        }
        properties = {"class": labels.names[region.class_id], "class_id": region.class_id, "area": region.area}
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    return {"type": "FeatureCollection", "features": features}


def coco_categories(labels: LabelMap) -> list[dict]:
    """The classes as COCO's "categories"; ids from 1 on, since readers of COCO take 0 for the background."""
    return [{"id": class_id + 1, "name": name} for class_id, name in enumerate(labels.names)]


def coco_annotation(region: Region, size: tuple[int, int]) -> dict:
    """A region as one of COCO's "annotations", without "id" and "image_id".

    COCO's polygons have no holes, so a region with holes is written as runs of pixels, column by column, which its tools read
    as well.

    Args:
        region: of a label map.
        size: (height, width) of that.

    Source: cocodataset.org, "data format".
    """
    top, left, height, width = region.box
    outlines = _placed(region)
    if all(len(rings) == 1 for rings in outlines):
        segmentation = [[place for corner in rings[0][:-1] for place in corner] for rings in outlines]
    else:
        whole = np.zeros(size, bool)
        whole[top : top + height, left : left + width] = region.mask
        segmentation = {"size": list(size), "counts": _runs(whole)}
    return {
        "category_id": region.class_id + 1,
        "bbox": [left, top, width, height],
        "area": region.area,
        "iscrowd": 0,
        "segmentation": segmentation,
    }


def _placed(region) -> list:
    """A region's polygons at its place in the picture."""
    top, left = region.box[:2]
    return [[[[x + left, y + top] for x, y in ring] for ring in rings] for rings in polygons(region.mask)]


def _runs(mask) -> list[int]:
    """Lengths of runs, column by column, in turn of 0 and of 1; the first is of 0."""
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends, flat.size]).tolist()
    return [0, *runs] if flat[0] else runs
