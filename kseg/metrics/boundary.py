"""Boundary F1: how well the outlines of each class are met, where IoU hardly sees them. numpy and SciPy, for evaluation."""

from __future__ import annotations

import numpy as np

from kseg._extras import extra
from kseg.labels import VOID
from kseg.metrics.confusion import as_checked_ids

UNIT = 2**40
"""Parts of an F1 that are counted: sums of whole numbers are the same in every order."""

RIM = 3.0
"""Pixels that a true boundary may lie deep in void: data sets draw rims of up to twice that, VOC 5 pixels wide, on outlines."""

NO_BOUNDARY = -1
"""Stands in a map of boundaries where there is none."""


def boundary_counts(
    truth_ids, predicted_ids, num_classes: int, tolerance: float = 2.0, ignore_class: int | None = VOID
) -> np.ndarray:
    """Boundary F1 of every class in every image, as counts that add up over images.

    The boundary of a class in a label map is its pixels that have a pixel of another class above, below, left or right of
    them; the edge of the image is none. With a boundary pixel counted as met where the other map has a boundary pixel of the
    same class at a Euclidean distance of at most `tolerance`, precision is the share of the predicted boundary that is met,
    recall the share of the true boundary, and F1 = 2 precision recall / (precision + recall). An image counts for a class that
    has a boundary in either map; where it has one in only one of them, F1 is 0.

    Many data sets draw a rim of void on every outline. So void pixels of the truth first take the class of the nearest pixel
    that has one, which puts the boundary in the middle of the rim; boundaries deeper than `RIM` in void are left out of the
    truth. What is predicted at void pixels costs nothing: a predicted boundary counts where it is met, or where it runs between
    two pixels that have a class.

    Args:
        truth_ids: integer ids (H, W) or (B, H, W).
        predicted_ids: integer ids of the same shape.
        num_classes: K.
        tolerance: distance in pixels, at least 0.
        ignore_class: id of void in the truth, or None.

    Returns:
        int64 (K, 2): of each class the sum of its F1 over images, in parts of 1 / `UNIT`, and the number of these images.

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
    if not tolerance >= 0:
        raise ValueError(f"`tolerance` must be at least 0 pixels. Received: tolerance={tolerance}.")
    counts = np.zeros((num_classes, 2), np.int64)
    maps = (ids.reshape(-1, *ids.shape[-2:]) for ids in (truth, predicted))
    for true_map, predicted_map in zip(*maps, strict=True):
        labelled = np.full(true_map.shape, True) if ignore_class is None else true_map != ignore_class
        if not labelled.any():
            continue
        true, said = _true_boundaries(true_map, labelled), _boundaries(predicted_map)
        said[(said < 0) | (said >= num_classes)] = NO_BOUNDARY  # of void pixels, which may be said to be anything
        costly = _boundaries(predicted_map, labelled) != NO_BOUNDARY
        precision = _share_met(said, true, costly, num_classes, tolerance)
        recall = _share_met(true, said, true != NO_BOUNDARY, num_classes, tolerance)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1 / UNIT)
        counts[:, 0] += np.rint(np.nan_to_num(f1) * UNIT).astype(np.int64)
        counts[:, 1] += ~(np.isnan(precision) & np.isnan(recall))
    return counts


def boundary_scores(counts) -> dict[str, float | list[float | None]]:
    """The boundary F1 that `boundary_counts` counted, of each class and on average.

    Args:
        counts: (K, 2), the sum of what `boundary_counts` returned.

    Returns:
        `boundary_f1`: mean over the classes that any image counts for, in [0, 1]; NaN where there is none.
        `class_boundary_f1`: K means over images, None where no image counts.
    """
    sums, images = np.asarray(counts).T.tolist()
    of_class = [part / UNIT / number if number else None for part, number in zip(sums, images, strict=True)]
    defined = [f1 for f1 in of_class if f1 is not None]
    return {"boundary_f1": float(np.mean(defined)) if defined else np.nan, "class_boundary_f1": of_class}


def _true_boundaries(true_map: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """As `_boundaries`, with void filled from its edges and what lies deep in it left out."""
    if labelled.all():
        return _boundaries(true_map)
    with extra("metrics"):
        from scipy import ndimage
    depth, nearest = ndimage.distance_transform_edt(~labelled, return_indices=True)
    return np.where(depth <= RIM, _boundaries(true_map[tuple(nearest)]), NO_BOUNDARY)


def _boundaries(label_map: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """The label map's boundary pixels (H, W), int64: their ids, and `NO_BOUNDARY` everywhere else.

    Args:
        label_map: (H, W).
        among: (H, W), true at the pixels between which boundaries are looked for; None: all.
    """
    is_boundary = np.zeros(label_map.shape, bool)
    for before, after in ((np.s_[:-1, :], np.s_[1:, :]), (np.s_[:, :-1], np.s_[:, 1:])):
        meets = label_map[before] != label_map[after]
        if among is not None:
            meets &= among[before] & among[after]
        is_boundary[before] |= meets
        is_boundary[after] |= meets
    return np.where(is_boundary, label_map.astype(np.int64), NO_BOUNDARY)


def _share_met(boundaries, others, costly, num_classes: int, tolerance: float) -> np.ndarray:
    """Of each class (K,) the share of its boundary pixels that are met by the others; NaN where none counts.

    Looking at the few places around each boundary pixel answers for all classes at once what would need a distance transform
    of each class's boundary.

    Args:
        boundaries, others: as `_boundaries` gives them.
        costly: (H, W), true where a boundary pixel counts also if it is not met.
        num_classes: K.
        tolerance: distance in pixels.
    """
    rows, columns = np.nonzero(boundaries != NO_BOUNDARY)
    ids = boundaries[rows, columns]
    reach = int(tolerance)
    around = np.pad(others, reach, constant_values=NO_BOUNDARY)
    met = np.zeros(ids.shape, bool)
    for down, right in np.argwhere(np.hypot(*(np.indices((2 * reach + 1, 2 * reach + 1)) - reach)) <= tolerance):
        met |= around[rows + down, columns + right] == ids
    counted = np.bincount(ids[met | costly[rows, columns]], minlength=num_classes)
    return np.where(counted, np.bincount(ids[met], minlength=num_classes) / np.maximum(counted, 1), np.nan)
