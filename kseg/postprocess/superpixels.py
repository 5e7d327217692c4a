"""Regions of an image that no label was needed for: superpixels, larger regions by colour, and what they do to a label map.

A baseline without supervision, and a cheap refinement: the pixels of a superpixel look alike, so they vote on their class. How
good an unlabelled division can be at best is what `oracle_labels` says, which looks at the truth; no method can be scored so.
numpy and scikit-image only.
"""

from __future__ import annotations

import numpy as np

from kseg._extras import extra
from kseg.labels import VOID

SMOOTHING = 1.0
"""Standard deviation, in pixels, of the blur before SLIC: the noise of single pixels would else tear superpixels apart."""


def slic(image: np.ndarray, *, num_superpixels: int, compactness: float = 10.0) -> np.ndarray:
    """Divides an image into about `num_superpixels` regions of like colour and size: SLIC, k-means in colour and place.

    Args:
        image: (H, W, C), uint8, C = 1 or 3; colours are compared in Lab.
        num_superpixels: about how many regions to make.
        compactness: weight of place against colour; larger ones are squarer.

    Returns: region ids (H, W), int64, from 0 on without gaps; pixels of one hang together.

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
    colours = np.broadcast_to(
        image, (*image.shape[:2], 3)
    )  # grey goes the same way, so that compactness means the same
    ids = segmentation.slic(
        colours, n_segments=num_superpixels, compactness=compactness, sigma=SMOOTHING, start_label=0, channel_axis=-1
    )
    return _without_gaps(ids)


def merge_by_colour(image: np.ndarray, ids: np.ndarray, *, threshold: float) -> np.ndarray:
    """Merges neighbouring regions whose mean colours are alike, the most alike first.

    Args:
        image: (H, W, C), uint8, C = 1 or 3.
        ids: (H, W), such as `slic` returns.
        threshold: distance of mean colours, in grey levels, below which two regions become one; 0 merges none.

    Returns: region ids (H, W), int64, from 0 on without gaps.

    Source: scikit-image's region adjacency graph, `merge_hierarchical`.
    """
    with extra("postprocess"):
        from skimage import graph

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
    """Gives all pixels of a region the class that most of them have; of equally many, the one with the lower id.

    Args:
        label_map: (H, W), class ids; pixels of void (255) do not vote, and stay void.
        ids: (H, W), regions, from 0 on.

    Returns: (H, W), the dtype of `label_map`.

    Raises:
        ValueError: the sizes differ.

    Example:
        >>> majority_vote(np.array([[1, 1, 0, 255]]), np.array([[0, 0, 0, 0]]))
        array([[  1,   1,   1, 255]])
    """
    if label_map.shape != ids.shape:
        raise ValueError(f"`label_map` and `ids` must be of one size. Received: {label_map.shape} and {ids.shape}.")
    return np.where(label_map == VOID, VOID, _winners(label_map, ids)[ids]).astype(label_map.dtype)


def oracle_labels(ids: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The best that could be said of these regions by who knows the truth: each gets the class that most of its pixels have.

    What it scores is the bound of every method that labels whole regions (their "achievable segmentation accuracy").

    Args:
        ids: (H, W), regions, from 0 on.
        truth: (H, W), class ids, 255 where void.

    Returns: (H, W), the dtype of `truth`; class 0 in regions that are all void.

    Source: Liu et al. 2011, "Entropy rate superpixel segmentation", section 5.1.
    """
    return _winners(truth, ids)[ids].astype(truth.dtype)


def _winners(label_map, ids) -> np.ndarray:
    """The commonest class of each region (regions,), 0 where all is void."""
    classes = int(label_map.max(where=label_map != VOID, initial=0)) + 1
    votes = label_map != VOID
    pairs = ids[votes].astype(np.int64) * classes + label_map[votes]
    return np.bincount(pairs, minlength=(int(ids.max()) + 1) * classes).reshape(-1, classes).argmax(axis=1)


def _without_gaps(ids) -> np.ndarray:
    return np.unique(ids, return_inverse=True)[1].reshape(ids.shape).astype(np.int64)
