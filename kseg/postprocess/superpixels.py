"""Regions found without labels: superpixels, merging them by colour, and refining a label map by majority vote.

An unsupervised baseline and a cheap refinement: the pixels of a superpixel look alike, so they vote on their class.
`oracle_labels` bounds what any labelling of such regions can score; it uses the truth, so it is no method. numpy and scikit-image
only.
"""

from __future__ import annotations

import numpy as np

from kseg._extras import extra
from kseg.labels import VOID

SMOOTHING = 1.0
"""Standard deviation, in pixels, of the blur before SLIC: otherwise pixel noise would fragment superpixels."""


def slic(image: np.ndarray, *, num_superpixels: int, compactness: float = 10.0) -> np.ndarray:
    """Divides an image into about `num_superpixels` regions of similar colour and size: SLIC, k-means in colour and position.

    Args:
        image: (H, W, C), uint8, C = 1 or 3; colours are compared in Lab.
        num_superpixels: about how many regions to make.
        compactness: weight of position against colour; larger values make squarer superpixels.

    Returns:
        Region ids (H, W), int64, from 0 on without gaps; each region is connected.

    Raises:
        ValueError: the image is of another shape or dtype, or `num_superpixels` is below 1.

    Source: Achanta et al. 2012, "SLIC superpixels compared to state-of-the-art superpixel methods"; scikit-image's `slic`.
    """
    with extra("postprocess"):
        from skimage import segmentation

    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(
            f"`image` must be uint8 of shape (H, W, 1) or (H, W, 3). Received: image={image.dtype} {image.shape}."
        )
    if num_superpixels < 1:
        raise ValueError(f"`num_superpixels` must be at least 1. Received: num_superpixels={num_superpixels}.")
    colours = np.broadcast_to(image, (*image.shape[:2], 3))  # grey, too, so that compactness means the same
    ids = segmentation.slic(
        colours, n_segments=num_superpixels, compactness=compactness, sigma=SMOOTHING, start_label=0, channel_axis=-1
    )
    return _without_gaps(ids)


def merge_by_colour(image: np.ndarray, ids: np.ndarray, *, threshold: float) -> np.ndarray:
    """Merges neighbouring regions of similar mean colour, the most similar first.

    Args:
        image: (H, W, C), uint8, C = 1 or 3.
        ids: (H, W), such as `slic` returns.
        threshold: distance of mean colours, in grey levels, below which two regions are merged; 0 merges none.

    Returns:
        Region ids (H, W), int64, from 0 on without gaps.

    Raises:
        ValueError: the sizes differ.

    Source: scikit-image's region adjacency graph, `merge_hierarchical`.
    """
    with extra("postprocess"):
        from skimage import graph

    if image.ndim != 3 or image.shape[:2] != ids.shape:
        raise ValueError(
            f"`image` (H, W, C) and `ids` (H, W) must have the same size. Received: {image.shape} and {ids.shape}."
        )
    colours = np.broadcast_to(image, (*ids.shape, 3))
    neighbours = graph.rag_mean_color(colours, ids)

    def distance(_, source, target, neighbour):
        return {
            "weight": np.linalg.norm(neighbours.nodes[target]["mean color"] - neighbours.nodes[neighbour]["mean color"])
        }

    def merge(_, source, target):
        one, other = neighbours.nodes[source], neighbours.nodes[target]
        other["total color"] = other["total color"] + one["total color"]
        other["pixel count"] += one["pixel count"]
        other["mean color"] = other["total color"] / other["pixel count"]

    merged = graph.merge_hierarchical(
        ids, neighbours, thresh=threshold, rag_copy=False, in_place_merge=True, merge_func=merge, weight_func=distance
    )
    return _without_gaps(merged)


def majority_vote(label_map: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Gives all pixels of a region its most frequent class; ties go to the lower id.

    Args:
        label_map: (H, W), class ids; void pixels (255) do not vote, and stay void.
        ids: (H, W), region ids, from 0 on.

    Returns:
        (H, W), of the dtype of `label_map`.

    Raises:
        ValueError: the sizes differ.

    Example:
        >>> majority_vote(np.array([[1, 1, 0, 255]]), np.array([[0, 0, 0, 0]]))
        array([[  1,   1,   1, 255]])
    """
    if label_map.shape != ids.shape:
        raise ValueError(f"`label_map` and `ids` must have the same size. Received: {label_map.shape} and {ids.shape}.")
    return np.where(label_map == VOID, VOID, _majority_classes(label_map, ids)[ids]).astype(label_map.dtype)


def oracle_labels(ids: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The best labelling of whole regions: each gets the most frequent class of its pixels in the truth.

    Its score bounds every method that labels whole regions (the "achievable segmentation accuracy" of the regions).

    Args:
        ids: (H, W), region ids, from 0 on.
        truth: (H, W), class ids, 255 where void.

    Returns:
        (H, W), of the dtype of `truth`; class 0 in regions that are all void.

    Raises:
        ValueError: the sizes differ.

    Source: Liu et al. 2011, "Entropy rate superpixel segmentation", section 5.1.
    """
    if truth.shape != ids.shape:
        raise ValueError(f"`ids` and `truth` must have the same size. Received: {ids.shape} and {truth.shape}.")
    return _majority_classes(truth, ids)[ids].astype(truth.dtype)


def _majority_classes(label_map, ids) -> np.ndarray:
    """The most frequent class of each region (regions,), 0 where all is void."""
    classes = int(label_map.max(where=label_map != VOID, initial=0)) + 1
    votes = label_map != VOID
    pairs = ids[votes].astype(np.int64) * classes + label_map[votes]
    return np.bincount(pairs, minlength=(int(ids.max()) + 1) * classes).reshape(-1, classes).argmax(axis=1)


def _without_gaps(ids) -> np.ndarray:
    return np.unique(ids, return_inverse=True)[1].reshape(ids.shape).astype(np.int64)
