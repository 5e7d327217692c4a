"""Class weights from counts of pixels, for losses. numpy only, so Beam workers can import it."""

from __future__ import annotations

import numpy as np

RULES = ("inverse_square_root", "median_frequency")


def class_weights(class_pixels, rule: str = "inverse_square_root", class_image_pixels=None) -> list[float]:
    """Computes the weight of each class in a loss from its frequency in the training images.

    - "inverse_square_root": f_k^-1/2, where f_k is the share of class k in the labelled pixels; scaled to a mean weight of 1 per
      labelled pixel, which keeps the scale of the loss.
    - "median_frequency": m / g_k, where g_k is the share of class k in the pixels of the images that contain it, and m is the
      median of the g_k. Scaled as in the paper.

    A class without pixels gets the largest weight of the others.

    Args:
        class_pixels: (K,), pixels of each class.
        rule: one of "inverse_square_root", "median_frequency".
        class_image_pixels: (K,), all pixels of the images that contain each class; for "median_frequency" only.

    Returns:
        K weights, for `class_weights=` of the losses.

    Raises:
        ValueError: the rule is unknown, `class_pixels` does not hold counts with at least one pixel, or `class_image_pixels`
            is missing or too small.

    Example:
        >>> label_maps = np.array([[[0, 0, 0, 0], [0, 0, 0, 1]], [[0, 0, 0, 0], [0, 0, 0, 0]]])
        >>> of_class = [label_maps == k for k in range(2)]
        >>> class_pixels = [mask.sum() for mask in of_class]
        >>> class_image_pixels = [mask.any(axis=(1, 2)).sum() * mask[0].size for mask in of_class]
        >>> class_weights(class_pixels, "median_frequency", class_image_pixels)  # g = 15/16 and 1/8
        [0.5666666666666667, 4.25]

    Source: "median_frequency": Eigen and Fergus 2015, arXiv:1411.4734, section 6.3.2.
    """
    pixels = np.asarray(class_pixels, np.float64)
    if pixels.ndim != 1 or not np.isfinite(pixels).all() or (pixels < 0).any():
        raise ValueError(
            f"`class_pixels` must hold one count for each class. Received: class_pixels={np.asarray(class_pixels).tolist()}."
        )
    present = pixels > 0
    if not present.any():
        raise ValueError(f"Class weights need labelled pixels. Received: class_pixels={pixels.tolist()}.")
    weights = np.ones_like(pixels)
    if rule == "inverse_square_root":
        share = pixels[present] / pixels.sum()
        weights[present] = share**-0.5 / np.sum(share**0.5)
    elif rule == "median_frequency":
        frequency = pixels[present] / _pixels_of_images(class_image_pixels, pixels)[present]
        weights[present] = np.median(frequency) / frequency
    else:
        raise ValueError(f"`rule` must be one of {', '.join(RULES)}. Received: rule={rule!r}.")
    weights[~present] = weights[present].max()
    return weights.tolist()


def _pixels_of_images(class_image_pixels, class_pixels: np.ndarray) -> np.ndarray:
    """`class_image_pixels` as an array (K,), checked."""
    pixels = None if class_image_pixels is None else np.asarray(class_image_pixels, np.float64)
    if pixels is None or pixels.shape != class_pixels.shape or (pixels < class_pixels).any():
        raise ValueError(
            "`class_image_pixels` must hold for each class all pixels of the images that contain it, at least its own. "
            f"Received: class_image_pixels={class_image_pixels}, class_pixels={class_pixels.tolist()}."
        )
    return pixels
