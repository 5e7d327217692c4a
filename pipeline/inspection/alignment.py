"""Do masks fit their images? The outlines of a mask lie where its image changes. numpy and Pillow only.

Both are reduced to a grid of 128 x 128. The *fit* of an image and a mask is the mean rank of the gradient of the image on the
outlines of the mask, minus that of all pixels, 1/2: 0 where outlines lie anywhere, at most 1/2. Each pair is compared with its
neighbours in the order of names: where the mask of the next image fits better in nearly all of them, masks are shifted by one.
Where the mask of any other image fits as well, masks and images are mixed up.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from PIL import Image

from kseg.pictures import pillow_picture
from pipeline.validation.anomalies import Anomaly

GRID = 128  # pixels
LEAST = 14  # comparisons, of which all must agree: by chance in one of 16,000 data sets
CHANCE = 1e-4
USUAL = 0.75
"""Share of images that their own mask fits better than another one, in data that are hard: outlines drawn coarsely, on noise."""

WORDS = {"next": "the mask of the next image", "previous": "the mask of the image before"}


@dataclasses.dataclass(frozen=True)
class Outline:
    """What is kept of a pair.

    Attributes:
        ranks: float16 (127, 127), ranks of the image's gradient in 0..1.
        edges: bool (127, 127), where the mask changes.
    """

    ranks: np.ndarray
    edges: np.ndarray


@dataclasses.dataclass
class Fit:
    """How often another mask fits an image better than its own: comparisons, and those that the other one won.

    Attributes:
        next: with the mask of the next image.
        previous: with the mask of the image before.
        other: with the mask of an image drawn at random.
    """

    next: tuple[int, int]
    previous: tuple[int, int]
    other: tuple[int, int]


def outline(image: np.ndarray, label_map: np.ndarray) -> Outline:
    """Reduces a pair.

    Args:
        image: (H, W, C).
        label_map: ids (H, W), uint8.
    """
    picture = pillow_picture(image).convert("L")
    grey = np.asarray(picture.resize((GRID, GRID), Image.Resampling.BOX), np.float32)
    ids = np.asarray(Image.fromarray(label_map).resize((GRID, GRID), Image.Resampling.NEAREST))
    gradient = np.hypot(np.diff(grey, axis=1)[:-1], np.diff(grey, axis=0)[:, :-1])
    ranks = np.empty(gradient.size)
    ranks[gradient.argsort(axis=None, kind="stable")] = np.linspace(0, 1, gradient.size)
    edges = (ids[:-1, :-1] != ids[:-1, 1:]) | (ids[:-1, :-1] != ids[1:, :-1])
    return Outline(ranks.reshape(gradient.shape).astype(np.float16), edges)


def fit(image: Outline, mask: Outline) -> float:
    """The fit of the image of one pair and the mask of another, -1/2 to 1/2; 0 where the mask has no outlines."""
    return float(image.ranks[mask.edges].mean(dtype=np.float32)) - 0.5 if mask.edges.any() else 0.0


def compare_fits(outlines: dict[int, Outline], seed: int = 0) -> Fit:
    """Compares the given pairing with others.

    Args:
        outlines: of pairs, by their position in the order of names.
        seed: of the draw of other images.
    """
    own = {position: fit(pair, pair) for position, pair in outlines.items()}

    def count(partners: dict[int, int]) -> tuple[int, int]:
        comparisons = [
            fit(outlines[position], outlines[other]) - own[position]
            for position, other in partners.items()
            if _differ(outlines[position].edges, outlines[other].edges)
        ]
        return len(comparisons), sum(difference > 0 for difference in comparisons)

    def shifted(by):
        return {position: position + by for position in outlines if position + by in outlines}

    return Fit(next=count(shifted(1)), previous=count(shifted(-1)), other=count(_draw_others(sorted(outlines), seed)))


def _differ(edges, others) -> bool:
    """Whether two masks can be told apart, and both have outlines."""
    return bool(edges.any() and others.any() and (edges != others).any())


def _draw_others(positions: list[int], seed: int) -> dict[int, int]:
    """Another position for each, at random."""
    number, draw = len(positions), np.random.default_rng(seed)
    steps = draw.integers(1, number, number).tolist() if number > 1 else []
    return {positions[place]: positions[(place + step) % number] for place, step in enumerate(steps)}


def check_fits(found: Fit):
    """Yields a warning where masks are shifted by one image, or else where they are mixed up.

    Args:
        found: of `compare_fits`.
    """
    for way, words in WORDS.items():
        comparisons, better = getattr(found, way)
        if comparisons >= LEAST and _at_least(better, comparisons, 0.5) < CHANCE:
            yield Anomaly(
                "warn",
                "shifted_masks",
                f"A mask should fit its own image best. Received: {words} fits better in {better} of {comparisons} images",
                "outlines of masks against edges of images, in the order of names",
                "Look at the contact sheet: masks are probably shifted by one image. Rename them, or list the pairs in a "
                "CSV file.",
                count=better,
            )
            return
    comparisons, better = found.other
    if comparisons >= LEAST and _at_least(better, comparisons, 1 - USUAL) < CHANCE:
        yield Anomaly(
            "warn",
            "mismatched_masks",
            "A mask should fit its own image better than another one. "
            f"Received: that of an image drawn at random fits better in {better} of {comparisons} images",
            "outlines of masks against edges of images",
            "Look at the contact sheet: images and masks may be mixed up.",
            count=better,
        )


def _at_least(successes: int, trials: int, chance: float) -> float:
    """The probability of at least so many successes, each by `chance`."""
    return sum(math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(successes, trials + 1))
