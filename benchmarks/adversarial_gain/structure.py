"""Structure of street label maps: do cars have their wheels, do painted lines go on, does a thing stand where it cannot?

IoU counts pixels one by one; these three look at how they lie together, which is what an adversary is said to teach. Each is a
pair of counts, which add up over pictures. At void pixels of the truth a prediction counts for nothing.

    wheels      of the true cars that show two wheels, those in which two wheels are predicted
    lines       of the true painted lines, those of which what is predicted is one piece, as long as the line
    neighbours  of all neighbours of unlike classes, those that no label map of the training split has, such as sky under road

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
LEAST_WHEEL, LEAST_LINE = 4, 12  # pixels of what is looked for
MARGIN = 2  # pixels around a car in which its wheels may be predicted
LENGTH = 0.8  # share of a line's length that is "as long"
RIM = 3  # void pixels across which two classes are still neighbours, and 1


class Counts(typing.NamedTuple):
    """Pairs of counts that add up over pictures, int64 (2,) each: how many are so, and of how many."""

    wheels: np.ndarray
    lines: np.ndarray
    neighbours: np.ndarray


def shares(counts: list[Counts]) -> dict[str, float]:
    """The three shares over many pictures; NaN where there is nothing to look at."""
    with np.errstate(invalid="ignore"):
        return {
            name: float(np.divide(*np.sum([getattr(count, name) for count in counts], axis=0, dtype=float)))
            for name in Counts._fields
        }


def counted(truth: np.ndarray, cars: np.ndarray, predicted: np.ndarray, impossible: np.ndarray) -> Counts:
    """Counts of one picture.

    Args:
        truth: ids (H, W), 255 where void.
        cars: which car each pixel shows, (H, W), 0 for none, as in `streets.Rendering`.
        predicted: ids (H, W).
        impossible: of `impossible_neighbours`.
    """
    said = np.where(truth == VOID, VOID, predicted).astype(np.uint8)
    unlike = neighbours(said)
    found = np.array([unlike[impossible].sum(), unlike.sum()])
    return Counts(_wheels(truth, cars, predicted), _lines(truth, predicted), found)


def _wheels(truth, cars, predicted):
    right = total = 0
    for car in np.unique(cars[cars > 0]):
        if _pieces(truth, WHEEL, cars == car) == 2:
            around = ndimage.binary_dilation(cars == car, ALL_AROUND, iterations=MARGIN) & np.isin(cars, (0, car))
            right, total = right + (_pieces(predicted, WHEEL, around) == 2), total + 1
    return np.array([right, total])


def _pieces(label_map, number, region) -> int:
    """How many connected pieces of at least `LEAST_WHEEL` pixels a class has in a region."""
    pieces, _ = ndimage.label((label_map == number) & region, ALL_AROUND)
    return int((np.bincount(pieces.ravel())[1:] >= LEAST_WHEEL).sum())


def _lines(truth, predicted):
    pieces, number = ndimage.label(truth == LANE, ALL_AROUND)
    right = total = 0
    for piece in range(1, number + 1):
        line = pieces == piece
        if line.sum() < LEAST_LINE:
            continue
        _, parts = ndimage.label(line & (predicted == LANE), ALL_AROUND)
        right, total = right + (parts == 1 and _length(line & (predicted == LANE)) >= LENGTH * _length(line)), total + 1
    return np.array([right, total])


def _length(region) -> float:
    """Diagonal of the box around a region, in pixels."""
    return float(np.hypot(*(np.ptp(axis) + 1 for axis in np.nonzero(region))))


def neighbours(label_map: np.ndarray) -> np.ndarray:
    """How often each class lies beside each other class, across at most `RIM` pixels of void.

    Args:
        label_map: ids (H, W), 255 where void.

    Returns:
        int64 (2, K, K): [0, a, b] counts a directly above b, [1, a, b] a directly left of b; 0 for a = b.
    """
    counts = np.zeros((2, CLASSES, CLASSES), np.int64)
    for axis, ids in enumerate((label_map, label_map.T)):
        between = np.ones(ids[1:].shape, bool)  # whether all pixels strictly between the two are void
        for gap in range(1, RIM + 2):
            first, second = ids[:-gap], ids[gap:]
            if gap > 1:
                between = between[:-1] & (ids[gap - 1 : -1] == VOID)
            met = between & (first != VOID) & (second != VOID) & (first != second)
            np.add.at(counts[axis], (first[met], second[met]), 1)
    return counts


def impossible_neighbours(label_maps) -> np.ndarray:
    """Which neighbours no label map has: boolean (2, K, K), as `neighbours`; False for a = b."""
    seen = sum(map(neighbours, label_maps))
    return (seen == 0) & ~np.eye(CLASSES, dtype=bool)
