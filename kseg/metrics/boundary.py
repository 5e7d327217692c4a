"""Boundary F1: how well the outlines of each class match, to which IoU is nearly blind. numpy and SciPy, for evaluation."""

from __future__ import annotations

import numpy as np

from kseg._checks import check_number
from kseg._extras import extra
from kseg.labels import VOID
from kseg.metrics.confusion import as_checked_ids

UNIT = 2**40
"""An F1 of 1 counts as this integer: sums of integers do not depend on their order."""

MAX_VOID_DEPTH = 3.0
"""Depth in pixels at which a true boundary may lie in void: outlines have void rims of up to twice that, in VOC 5 pixels."""

NO_BOUNDARY = -1
"""Value of a boundary map where there is no boundary."""


def boundary_counts(
    truth_ids, predicted_ids, num_classes: int, tolerance: float = 2.0, ignore_class: int | None = VOID
) -> np.ndarray:
    """Boundary F1 of every class in every image, as counts that add up over images.

    The boundary of a class in a label map is its pixels with a pixel of another class above, below, left or right; the edge of
    the image is no boundary. A boundary pixel matches if the other map has a boundary pixel of the same class at a Euclidean
    distance of at most `tolerance`. Precision is the matched share of the predicted boundary, recall that of the true boundary,
    and F1 = 2 precision recall / (precision + recall). An image counts for a class with a boundary in either map; with a
    boundary in only one of them, F1 is 0.

    Many data sets draw a rim of void on every outline. So void pixels of the truth first take the class of the nearest
    labelled pixel, which puts the boundary in the middle of the rim; boundaries deeper than `MAX_VOID_DEPTH` in void are
    dropped from the truth. Predictions at void pixels cost nothing: a predicted boundary counts if it matches, or if it runs
    between two labelled pixels.

    Args:
        truth_ids: integer ids (H, W) or (B, H, W).
        predicted_ids: integer ids of the same shape.
        num_classes: K.
        tolerance: distance in pixels, at least 0.
        ignore_class: id of void in the truth, or None.

    Returns:
        int64 (K, 2): per class the sum of its F1 over images, in units of 1 / `UNIT`, and the number of these images.

    Raises:
        ValueError: the shapes differ or are not those of label maps, an id is neither a class nor void, or `tolerance` is
            negative.

    Example:
        >>> truth, predicted = np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 1]])  # boundaries at columns 1 2, and 0 1
        >>> boundary_scores(boundary_counts(truth, predicted, 2, tolerance=0))["class_boundary_f1"]
        [0.0, 0.0]
        >>> boundary_scores(boundary_counts(truth, predicted, 2, tolerance=1))["class_boundary_f1"]
        [1.0, 1.0]

    Source: Csurka et al. 2013, What is a good evaluation measure for semantic segmentation? (BMVC): F1 of each class in each
        image. There the tolerance is 0.75 % of the image's diagonal, and classes are averaged within each image first.
    """
    truth, predicted = as_checked_ids(truth_ids, predicted_ids, num_classes, ignore_class)
    if truth.ndim not in (2, 3):
        raise ValueError(f"Label maps must be (H, W) or (B, H, W). Received: truth_ids.shape={truth.shape}.")
    check_number("tolerance", tolerance, minimum=0)
    counts = np.zeros((num_classes, 2), np.int64)
    maps = (ids[None] if ids.ndim == 2 else ids for ids in (truth, predicted))
    for true_map, predicted_map in zip(*maps, strict=True):
        labelled = np.full(true_map.shape, True) if ignore_class is None else true_map != ignore_class
        if not labelled.any():
            continue
        true, predicted_boundary = _true_boundaries(true_map, labelled), _boundaries(predicted_map)
        invalid = (predicted_boundary < 0) | (predicted_boundary >= num_classes)  # at void pixels any id is allowed
        predicted_boundary[invalid] = NO_BOUNDARY
        counted = _boundaries(predicted_map, labelled) != NO_BOUNDARY
        precision = _matched_share(predicted_boundary, true, counted, num_classes, tolerance)
        recall = _matched_share(true, predicted_boundary, true != NO_BOUNDARY, num_classes, tolerance)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1 / UNIT)
        counts[:, 0] += np.rint(np.nan_to_num(f1) * UNIT).astype(np.int64)
        counts[:, 1] += ~(np.isnan(precision) & np.isnan(recall))
    return counts


def boundary_scores(counts) -> dict[str, float | list[float | None]]:
    """Boundary F1 from `boundary_counts`, per class and on average.

    Args:
        counts: (K, 2), a sum of results of `boundary_counts`.

    Returns:
        `boundary_f1`: mean over the classes for which any image counts, in [0, 1]; NaN if there are none.
        `class_boundary_f1`: K means over images, None where no image counts.
    """
    sums, images = np.asarray(counts).T.tolist()
    of_class = [part / UNIT / number if number else None for part, number in zip(sums, images, strict=True)]
    defined = [f1 for f1 in of_class if f1 is not None]
    return {"boundary_f1": float(np.mean(defined)) if defined else np.nan, "class_boundary_f1": of_class}


def _true_boundaries(true_map: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """As `_boundaries`, with void filled from its edges and boundaries deep in void dropped."""
    if labelled.all():
        return _boundaries(true_map)
    with extra("metrics"):
        from scipy import ndimage
    depth, nearest = ndimage.distance_transform_edt(~labelled, return_indices=True)
    return np.where(depth <= MAX_VOID_DEPTH, _boundaries(true_map[tuple(nearest)]), NO_BOUNDARY)


def _boundaries(label_map: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """Boundary pixels of the label map (H, W), int64: their ids, and `NO_BOUNDARY` elsewhere.

    Args:
        label_map: (H, W).
        among: (H, W), true at the pixels between which boundaries are searched; None: all.
    """
    is_boundary = np.zeros(label_map.shape, bool)
    for before, after in ((np.s_[:-1, :], np.s_[1:, :]), (np.s_[:, :-1], np.s_[:, 1:])):
        meets = label_map[before] != label_map[after]
        if among is not None:
            meets &= among[before] & among[after]
        is_boundary[before] |= meets
        is_boundary[after] |= meets
    return np.where(is_boundary, label_map.astype(np.int64), NO_BOUNDARY)


def _matched_share(boundaries, others, counted, num_classes: int, tolerance: float) -> np.ndarray:
    """Share of each class's boundary pixels that match the others, (K,); NaN where none counts.

    Searching the few places around each boundary pixel serves all classes at once; the alternative is one distance transform
    per class.

    Args:
        boundaries, others: of `_boundaries`.
        counted: (H, W), true where a boundary pixel counts even if it does not match.
        num_classes: K.
        tolerance: distance in pixels.
    """
    rows, columns = np.nonzero(boundaries != NO_BOUNDARY)
    ids = boundaries[rows, columns]
    reach = int(tolerance)
    around = np.pad(others, reach, constant_values=NO_BOUNDARY)
    matched = np.zeros(ids.shape, bool)
    for down, right in np.argwhere(np.hypot(*(np.indices((2 * reach + 1, 2 * reach + 1)) - reach)) <= tolerance):
        matched |= around[rows + down, columns + right] == ids
    total = np.bincount(ids[matched | counted[rows, columns]], minlength=num_classes)
    return np.where(total, np.bincount(ids[matched], minlength=num_classes) / np.maximum(total, 1), np.nan)
