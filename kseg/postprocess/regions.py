"""Regions of a label map: connected components of each class, and cleaning of specks and holes.

What changes is counted: `clean_label_map` reports pixels by (old class, new class), and how many regions each class lost.
Void (255) forms no regions, is never filled or merged, and nothing is merged into it. For outlines see `kseg.outlines`. numpy
and scikit-image only.
"""

from __future__ import annotations

import collections
import dataclasses
import heapq

import numpy as np

from kseg._extras import extra
from kseg.labels import VOID

with extra("postprocess"):
    from skimage import measure


@dataclasses.dataclass(frozen=True)
class Region:
    """A connected component of one class.

    Attributes:
        class_id: its class.
        area: number of pixels.
        box: bounding box (top, left, height, width), pixels.
        centroid: (row, column), the mean position of its pixels.
        mask: (height, width) of the bounding box, bool: the pixels that belong to the region.
    """

    class_id: int
    area: int
    box: tuple[int, int, int, int]
    centroid: tuple[float, float]
    mask: np.ndarray


def find_regions(label_map: np.ndarray, *, connectivity: int = 8) -> list[Region]:
    """Finds the connected components of every class.

    Args:
        label_map: (H, W), class ids, 255 where void.
        connectivity: one of 8, where pixels that touch at a corner are connected, and 4, where they are not.

    Returns:
        Regions in order of class, then from top to bottom; every pixel that is not void lies in exactly one.

    Raises:
        ValueError: `label_map` is no array (H, W) of integers, or `connectivity` is neither.

    Example:
        >>> [(region.class_id, region.area, region.box) for region in find_regions(np.array([[0, 1, 0], [1, 0, 0]]))]
        [(0, 4, (0, 0, 2, 3)), (1, 2, (0, 0, 2, 2))]
    """
    labelled = _label_regions(label_map, connectivity)
    labelled = np.where(label_map == VOID, 0, labelled)
    found = []
    for part in measure.regionprops(labelled):
        top, left, bottom, right = part.bbox
        class_id = int(label_map[tuple(part.coords[0])])
        centroid = tuple(float(place) for place in part.centroid)
        found.append(Region(class_id, int(part.area), (top, left, bottom - top, right - left), centroid, part.image))
    return sorted(found, key=lambda region: (region.class_id, region.box))


@dataclasses.dataclass(frozen=True)
class CleanedLabelMap:
    """A label map without specks and holes, and what changed.

    Attributes:
        label_map: (H, W), of the input's dtype.
        changed_pixels: {(old class, new class): pixels}; unchanged pixels are not listed.
        regions_lost: {class: by how many regions it has fewer than before}, negative if regions were split; unchanged classes are
            not listed.
    """

    label_map: np.ndarray
    changed_pixels: dict[tuple[int, int], int]
    regions_lost: dict[int, int]


def clean_label_map(
    label_map: np.ndarray, *, min_area: int = 0, max_hole: int = 0, connectivity: int = 8
) -> CleanedLabelMap:
    """Fills holes of up to `max_hole` pixels, then merges regions of fewer than `min_area` into their surroundings.

    A hole is what one class encloses, of one class or several, away from the image's border. Regions are merged from the smallest
    up: each takes the class of the neighbour with the longest shared border, and joins all regions of that class that it touches.
    A region surrounded by void alone stays.

    Args:
        label_map: (H, W), class ids, 255 where void.
        min_area: pixels of the smallest region to keep; 0 keeps all.
        max_hole: pixels of the largest hole to fill; 0 fills none.
        connectivity: 8 or 4, as in `find_regions`.

    Raises:
        ValueError: as `find_regions`, or a number of pixels is below 0.

    Example:
        >>> clean_label_map(np.array([[0, 0, 0], [0, 1, 0], [0, 0, 2]]), min_area=2).changed_pixels
        {(1, 0): 1, (2, 0): 1}
    """
    if min_area < 0 or max_hole < 0:
        raise ValueError(
            f"`min_area` and `max_hole` must be at least 0 pixels. Received: min_area={min_area}, max_hole={max_hole}."
        )
    before = _count_regions(label_map, connectivity)
    cleaned = _fill_holes(label_map, max_hole, connectivity) if max_hole else label_map.copy()
    if min_area > 1:
        cleaned = _merge_small_regions(cleaned, min_area, connectivity)
    after = _count_regions(cleaned, connectivity)
    changed = cleaned != label_map
    pairs = np.stack([label_map[changed], cleaned[changed]], axis=1).astype(int)
    pairs, pixels = np.unique(pairs, axis=0, return_counts=True)
    changed_pixels = {tuple(pair): count for pair, count in zip(pairs.tolist(), pixels.tolist(), strict=True)}
    lost = {class_id: before[class_id] - after[class_id] for class_id in sorted({*before, *after})}
    return CleanedLabelMap(cleaned, changed_pixels, {class_id: number for class_id, number in lost.items() if number})


def _label_regions(label_map: np.ndarray, connectivity: int) -> np.ndarray:
    """Region numbers from 1 on, those of void included."""
    if label_map.ndim != 2 or not np.issubdtype(label_map.dtype, np.integer):
        raise ValueError(
            f"`label_map` must be class ids (H, W). Received: label_map={label_map.dtype} {label_map.shape}."
        )
    if connectivity not in (4, 8):
        raise ValueError(f"`connectivity` must be 4 or 8. Received: connectivity={connectivity}.")
    return measure.label(label_map.astype(np.int32), background=-1, connectivity=connectivity // 4)


def _count_regions(label_map, connectivity) -> collections.Counter:
    """Number of regions of each class."""
    labelled = _label_regions(label_map, connectivity)
    _, first = np.unique(labelled, return_index=True)
    classes = label_map.ravel()[first]
    return collections.Counter(classes[classes != VOID].tolist())


def _fill_holes(label_map, max_hole, connectivity) -> np.ndarray:
    """The label map with holes filled; the largest last, because it covers the smaller ones inside it."""
    holes = []
    for class_id in np.unique(label_map[label_map != VOID]):
        # The enclosing class and the hole need opposite connectivities, or a diagonal line would both separate and not.
        outside = measure.label(label_map != class_id, connectivity=2 if connectivity == 4 else 1)
        border = np.concatenate([outside[0], outside[-1], outside[:, 0], outside[:, -1]])
        with_void = outside[label_map == VOID]
        areas = np.bincount(outside.ravel())
        fillable = (areas <= max_hole) & ~np.isin(np.arange(len(areas)), np.concatenate([border, with_void, [0]]))
        for part in measure.regionprops(np.where(fillable[outside], outside, 0)):
            holes.append((part.area, class_id, part.coords))
    filled = label_map.copy()
    for _, class_id, coords in sorted(holes, key=lambda hole: hole[:2]):
        filled[tuple(coords.T)] = class_id
    return filled


def _merge_small_regions(label_map, min_area, connectivity) -> np.ndarray:
    """The label map with small regions merged into their neighbours."""
    labelled = _label_regions(label_map, connectivity)
    _, first, areas = np.unique(labelled, return_index=True, return_counts=True)
    classes = label_map.ravel()[first].tolist()
    graph = _RegionGraph(classes, areas.tolist(), _borders(labelled, connectivity))
    queue = [(area, number) for number, area in enumerate(graph.areas) if area < min_area and classes[number] != VOID]
    heapq.heapify(queue)
    while queue:
        area, number = heapq.heappop(queue)
        if graph.root(number) != number or graph.areas[number] != area:
            continue  # merged already, or grown and queued again with its new area
        grown = graph.merge(number)
        if grown is not None and graph.areas[grown] < min_area:
            heapq.heappush(queue, (graph.areas[grown], grown))
    final = np.array([graph.classes[graph.root(number)] for number in range(len(classes))], label_map.dtype)
    return final[labelled - 1]


def _borders(labelled, connectivity) -> dict[tuple[int, int], int]:
    """The length of the border between any two regions, in pairs of neighbouring pixels, by region numbers from 0 on."""
    numbers = labelled - 1
    pairs = [(numbers[1:], numbers[:-1]), (numbers[:, 1:], numbers[:, :-1])]
    if connectivity == 8:
        pairs += [(numbers[1:, 1:], numbers[:-1, :-1]), (numbers[1:, :-1], numbers[:-1, 1:])]
    both = np.concatenate([np.stack([one.ravel(), other.ravel()]) for one, other in pairs], axis=1)
    both = np.sort(both[:, both[0] != both[1]], axis=0)
    regions, counts = np.unique(both, axis=1, return_counts=True)
    return {tuple(pair): count for pair, count in zip(regions.T.tolist(), counts.tolist(), strict=True)}


class _RegionGraph:
    """Regions and their shared borders, while regions are merged."""

    def __init__(self, classes, areas, borders):
        self.classes, self.areas = classes, areas
        self._roots = list(range(len(classes)))
        self._borders = [{} for _ in classes]
        for (one, other), length in borders.items():
            self._borders[one][other] = self._borders[other][one] = length

    def root(self, number) -> int:
        """The region that `number` now belongs to."""
        while self._roots[number] != number:
            self._roots[number] = number = self._roots[self._roots[number]]
        return number

    def merge(self, number) -> int | None:
        """Merges a region into the neighbour with the longest border; returns the merged root, None without a neighbour."""
        neighbours = {n: length for n, length in self._borders[number].items() if self.classes[n] != VOID}
        if not neighbours:
            return None
        chosen = max(neighbours, key=lambda n: (neighbours[n], self.areas[n], -n))
        class_id = self.classes[chosen]
        for other in [n for n in neighbours if self.classes[n] == class_id]:
            number = self._join(number, other)
        self.classes[number] = class_id
        return number

    def _join(self, one, other) -> int:
        """Joins two regions; the one with more neighbours takes over those of the other."""
        if len(self._borders[one]) > len(self._borders[other]):
            one, other = other, one
        for neighbour, length in self._borders[one].items():
            del self._borders[neighbour][one]
            if neighbour != other:
                joint = self._borders[other].get(neighbour, 0) + length
                self._borders[other][neighbour] = self._borders[neighbour][other] = joint
        self._borders[one] = {}
        self._roots[one] = other
        self.areas[other] += self.areas[one]
        return other
