"""Structure of street label maps: do cars have wheels, are painted lines continuous, are neighbouring classes possible?

IoU counts pixels independently; these three scores measure their arrangement, which an adversary is meant to teach. Each is a
pair of counts that add up over images. Predictions at void pixels of the truth do not count.

    wheels      share of the true cars with two visible wheels in which two wheels are predicted
    lines       share of the true painted lines predicted as one piece as long as the line
    neighbours  share of neighbouring pixels of different classes that no training label map has, such as sky under road

numpy and SciPy only.
"""

from __future__ import annotations

import typing

import numpy as np
from scipy import ndimage

from kseg import streets
from kseg.labels import VOID

CLASSES = streets.LABELS.num_classes
LANE, CAR, WHEEL = (streets.LABELS.names.index(name) for name in ("lane_marking", "car", "wheel"))
ALL_AROUND = np.ones((3, 3), int)
MIN_WHEEL, MIN_LINE = 4, 12  # pixels
MARGIN = 2  # pixels around a car in which its wheels may be predicted
LENGTH = 0.8  # share of a line's length that counts as whole
MAX_VOID = 3  # void pixels between two neighbours, at most


class Counts(typing.NamedTuple):
    """Pairs of counts that add up over images, int64 (2,) each: hits and total."""

    wheels: np.ndarray
    lines: np.ndarray
    neighbours: np.ndarray


def shares(counts: list[Counts]) -> dict[str, float]:
    """The three shares over many images; NaN where the total is 0."""
    with np.errstate(invalid="ignore"):
        return {
            name: float(np.divide(*np.sum([getattr(count, name) for count in counts], axis=0, dtype=float)))
            for name in Counts._fields
        }


def count_structure(truth: np.ndarray, cars: np.ndarray, predicted: np.ndarray, impossible: np.ndarray) -> Counts:
    """Counts of one image.

    Args:
        truth: ids (H, W), 255 where void.
        cars: number of the car at each pixel, (H, W), 0 for none, as in `streets.Rendering`.
        predicted: ids (H, W).
        impossible: of `impossible_neighbours`.
    """
    labels = np.where(truth == VOID, VOID, predicted).astype(np.uint8)
    pairs = neighbours(labels)
    found = np.array([pairs[impossible].sum(), pairs.sum()])
    return Counts(_wheels(truth, cars, predicted), _lines(truth, predicted), found)


def _wheels(truth, cars, predicted):
    correct = total = 0
    for car in np.unique(cars[cars > 0]):
        if _pieces(truth, WHEEL, cars == car) == 2:
            around = ndimage.binary_dilation(cars == car, ALL_AROUND, iterations=MARGIN) & np.isin(cars, (0, car))
            correct, total = correct + (_pieces(predicted, WHEEL, around) == 2), total + 1
    return np.array([correct, total])


def _pieces(label_map, number, region) -> int:
    """Number of connected pieces of at least `MIN_WHEEL` pixels of a class in a region."""
    pieces, _ = ndimage.label((label_map == number) & region, ALL_AROUND)
    return int((np.bincount(pieces.ravel())[1:] >= MIN_WHEEL).sum())


def _lines(truth, predicted):
    pieces, number = ndimage.label(truth == LANE, ALL_AROUND)
    correct = total = 0
    for piece in range(1, number + 1):
        line = pieces == piece
        if line.sum() < MIN_LINE:
            continue
        _, parts = ndimage.label(line & (predicted == LANE), ALL_AROUND)
        correct, total = (
            correct + (parts == 1 and _length(line & (predicted == LANE)) >= LENGTH * _length(line)),
            total + 1,
        )
    return np.array([correct, total])


def _length(region) -> float:
    """Diagonal of the box around a region, in pixels."""
    return float(np.hypot(*(np.ptp(axis) + 1 for axis in np.nonzero(region))))


def neighbours(label_map: np.ndarray) -> np.ndarray:
    """How often each class lies next to each other class, across at most `MAX_VOID` pixels of void.

    Args:
        label_map: ids (H, W), 255 where void.

    Returns:
        int64 (2, K, K): [0, a, b] counts a directly above b, [1, a, b] a directly left of b; 0 for a = b.
    """
    counts = np.zeros((2, CLASSES, CLASSES), np.int64)
    for axis, ids in enumerate((label_map, label_map.T)):
        between = np.ones(ids[1:].shape, bool)  # whether all pixels strictly between the two are void
        for gap in range(1, MAX_VOID + 2):
            first, second = ids[:-gap], ids[gap:]
            if gap > 1:
                between = between[:-1] & (ids[gap - 1 : -1] == VOID)
            met = between & (first != VOID) & (second != VOID) & (first != second)
            np.add.at(counts[axis], (first[met], second[met]), 1)
    return counts


def impossible_neighbours(label_maps) -> np.ndarray:
    """Neighbours that no label map has: bool (2, K, K), as `neighbours`; False for a = b."""
    seen = sum(map(neighbours, label_maps))
    return (seen == 0) & ~np.eye(CLASSES, dtype=bool)
