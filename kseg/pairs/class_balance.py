"""Weights that let rare classes count in a loss, from counts of pixels. numpy alone, so that Beam workers can import it."""

from __future__ import annotations

import numpy as np

RULES = ("inverse_square_root", "median_frequency")


def class_weights(class_pixels, rule: str = "inverse_square_root", class_image_pixels=None) -> list[float]:
    """Weights (K,) of the classes in a loss, from how often each occurs in the training images.

    - "inverse_square_root": f_k^-1/2, with f_k the share of class k of the labelled pixels, scaled so that the mean weight of a
      labelled pixel is 1: the loss keeps its size.
    - "median_frequency": m / g_k, with g_k the share of class k of all pixels of the images that contain it, and m the median of
      the g_k. Its scale is the paper's.

    A class without a pixel takes the largest weight of the others: as rare as the rarest, and without effect on these images.

    Args:
        class_pixels: K numbers of pixels, one for each class.
        rule: "inverse_square_root" or "median_frequency".
        class_image_pixels: K numbers: all pixels of the images in which the class occurs. "median_frequency" needs them.

    Returns:
        K weights, for `class_weights=` of the losses.

    Raises:
        ValueError: there is no such rule, no pixel at all, or `class_image_pixels` is missing or too small.

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
            "`class_image_pixels` must hold for each class all pixels of the images that contain it, so at least its own. "
            f"Received: class_image_pixels={class_image_pixels}, class_pixels={class_pixels.tolist()}."
        )
    return pixels
