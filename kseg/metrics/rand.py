"""Foreground-restricted Rand score: whether connected objects, such as cells, are apart where they should be. numpy and SciPy.

IoU hardly notices a gap of one pixel in a membrane; two cells that run together through it are one wrong object.
"""

from __future__ import annotations

import numpy as np

from kseg._extras import extra
from kseg.labels import VOID
from kseg.metrics.confusion import as_checked_ids


def rand_counts(
    truth_ids, predicted_ids, num_classes: int, object_class: int, ignore_class: int | None = VOID
) -> np.ndarray:
    """Pairs of pixels that true and predicted objects have in common, as counts that add up over images.

    Objects are the connected components of one class, pixels being connected along their sides. Only pixels of true objects
    count. All of them that are predicted to be of another class are one predicted object, as in
    `skimage.metrics.adapted_rand_error`. The counts of several images are those of one image in which they lie apart, except that
    this object is one for each image.

    Args:
        truth_ids: integer ids (H, W).
        predicted_ids: integer ids of the same shape.
        num_classes: K.
        object_class: id of the class whose components are the objects.
        ignore_class: id of void in the truth, or None.

    Returns:
        int64 (3,): numbers of ordered pairs of different pixels that lie in one true and one predicted object, in one true one,
        and in one predicted one.

    Raises:
        ValueError: the shapes differ or are not those of label maps, or an id is neither a class nor void, or `object_class` is
            no class.

    Example:
        >>> truth, predicted = np.array([[1, 1, 0, 1, 1]]), np.array([[1, 1, 1, 1, 1]])  # two cells run together
        >>> rand_counts(truth, predicted, num_classes=2, object_class=1).tolist()
        [4, 4, 12]

    Source: Arganda-Carreras et al. 2015, "Crowdsourcing the creation of image segmentation algorithms for connectomics", section
        on evaluation; a pixel is no pair with itself, as in scikit-image.
    """
    truth, predicted = as_checked_ids(truth_ids, predicted_ids, num_classes, ignore_class)
    if truth.ndim != 2:
        raise ValueError(f"`truth_ids` must have the shape (H, W). Received: truth_ids.shape={truth.shape}.")
    if not 0 <= object_class < num_classes:
        raise ValueError(
            f"`object_class` must be a class, 0..{num_classes - 1}. Received: object_class={object_class!r}."
        )
    with extra("metrics"):
        from scipy import ndimage

    true_objects, _ = ndimage.label(truth == object_class)
    predicted_objects, number = ndimage.label(predicted == object_class)
    inside = true_objects > 0
    overlap = true_objects[inside].astype(np.int64) * (number + 1) + predicted_objects[inside]
    pairs, pixels = np.unique(overlap, return_counts=True)
    true_pixels, predicted_pixels = (np.bincount(ids, pixels) for ids in (pairs // (number + 1), pairs % (number + 1)))
    groups = (values.astype(np.int64) for values in (pixels, true_pixels, predicted_pixels))
    return np.array([(values * (values - 1)).sum() for values in groups], np.int64)


def rand_scores(counts) -> dict[str, float]:
    """The scores that follow from `rand_counts`.

    Args:
        counts: (3,), of one image or summed over several.

    Returns:
        "rand_split" (1 if no true object is cut apart), "rand_merge" (1 if none run together), and "foreground_rand", their
        harmonic mean; NaN where there is no such pair of pixels.

    Example:
        >>> rand_scores([4, 4, 12])
        {'rand_split': 1.0, 'rand_merge': 0.3333333333333333, 'foreground_rand': 0.5}
    """
    common, true, predicted = (float(value) for value in counts)
    ratios = {
        "rand_split": (common, true),
        "rand_merge": (common, predicted),
        "foreground_rand": (2 * common, true + predicted),
    }
    return {name: part / whole if whole else float("nan") for name, (part, whole) in ratios.items()}
