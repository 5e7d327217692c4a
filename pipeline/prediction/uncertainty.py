"""How unsure a model is about a picture, and where and between which classes.

    entropy of a pixel   -sum over classes of p log p, in nats: 0 where one class is certain, log K where all K are equally likely
    of a picture         the mean over its pixels, or over the most uncertain share of them
    profile              for each cell of a grid and each class the mean of p times the entropy of the pixel; the sum over the
                         classes of a cell is the cell's mean entropy

Of two pictures with like profiles the model is unsure about the same things at the same places, so labelling one teaches much of
what the other would. Where the model is sure, a profile is near 0, whatever is shown. numpy only.

Source: the mean over pixels is the token entropy of Settles and Craven 2008, "An analysis of active learning strategies for
sequence labeling tasks", with pixels for tokens. The profile does what the gradient embedding of Ash et al. 2020 (BADGE) does:
its length says how unsure the model is, its direction about what.
"""

from __future__ import annotations

import base64
import typing

import numpy as np

CELLS = 3
"""Of the grid, along each side."""


class Uncertainty(typing.NamedTuple):
    """How unsure a model is about a picture.

    Attributes:
        entropy: (H, W), float32, nats.
        profile: (CELLS, CELLS, K), float32, nats.
    """

    entropy: np.ndarray
    profile: np.ndarray

    def mean(self, top_share: float = 1.0) -> float:
        """The mean entropy of the most uncertain pixels, nats.

        Args:
            top_share: share of all pixels that are taken, above 0, at most 1; at least one pixel is.
        """
        taken = max(1, round(top_share * self.entropy.size))
        values = self.entropy.ravel()
        if taken < values.size:
            values = np.partition(values, values.size - taken)[-taken:]
        return float(values.mean(dtype=np.float64))


def measure(logits: np.ndarray) -> Uncertainty:
    """Measures uncertainty, cell by cell, so that little memory is needed besides the logits.

    Args:
        logits: (H, W, K), logarithms of probabilities, as `kseg.inference.SavedModel` and the mean of several models give them.

    Example:
        >>> sure, torn = [0.0, -99.0], [np.log(0.5)] * 2
        >>> measure(np.array([[sure, torn]])).entropy.round(3)
        array([[0.   , 0.693]], dtype=float32)
    """
    height, width, num_classes = logits.shape
    entropy = np.zeros((height, width), np.float32)
    profile = np.zeros((CELLS, CELLS, num_classes), np.float32)
    for row, top, bottom in _cells(height):
        for column, left, right in _cells(width):
            block = logits[top:bottom, left:right]
            probabilities = np.exp(block)
            values = np.maximum(-(probabilities * block).sum(axis=-1), 0)
            entropy[top:bottom, left:right] = values
            weighted = np.einsum("hwk,hw->k", probabilities, values, dtype=np.float64)
            profile[row, column] = weighted / max(1, values.size)
    return Uncertainty(entropy, profile)


def _cells(side: int):
    """Number, start and end of each cell along a side; some are empty where there are fewer pixels than cells."""
    edges = [number * side // CELLS for number in range(CELLS + 1)]
    return [(number, edges[number], edges[number + 1]) for number in range(CELLS)]


def encode_profile(profile: np.ndarray) -> str:
    """A profile as text, in half precision."""
    return base64.b64encode(np.asarray(profile, "<f2").tobytes()).decode("ascii")


def decode_profile(text: str) -> np.ndarray:
    """The profile (CELLS * CELLS * K,), float32, that `encode_profile` made into text."""
    return np.frombuffer(base64.b64decode(text), "<f2").astype(np.float32)


def describe(profile: np.ndarray, names: tuple[str, ...]) -> str:
    """What a model is unsure about, in words: the two classes with the largest parts, and where most of it lies.

    Args:
        profile: (CELLS * CELLS * K,).
        names: of the K classes.

    Example:
        >>> profile = np.zeros((3, 3, 2))
        >>> profile[2, 0] = 0.3, 0.2
        >>> describe(profile.ravel(), ("road", "car"))
        'road (60 %) or car (40 %), most at the bottom left'
    """
    cells = np.asarray(profile, np.float64).reshape(CELLS * CELLS, len(names))
    classes, places = cells.sum(axis=0), cells.sum(axis=1)
    if not classes.sum():
        return "nothing"
    first = np.argsort(-classes, kind="stable")[:2]
    parts = [f"{names[number]} ({classes[number] / classes.sum():.0%})".replace("%", " %") for number in first]
    row, column = divmod(int(places.argmax()), CELLS)
    where = " ".join(word for word in (("top", "", "bottom")[row], ("left", "", "right")[column]) if word) or "centre"
    return f"{' or '.join(parts)}, most at the {where}"
