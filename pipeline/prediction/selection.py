"""Which of many pictures to label: first the most uncertain ones, then of these the ones that are unlike each other. numpy only.

The two steps are those of Yang et al. 2017, "Suggestive Annotation", section 3: candidates by uncertainty, then of these a subset
that covers them. The second is the greedy k-centre by which Sener and Savarese 2018, "Active learning for convolutional neural
networks: a core-set approach", choose, with the uncertainties as weights (Dyer and Frieze 1985, "A simple heuristic for the
p-centre problem"): a picture about which the model is sure is unlike the chosen ones, too, but is not worth a label.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import numpy as np

PER_SUGGESTION, ONE_OF, MOST_CANDIDATES = 4, 4, 20_000
"""Candidates for a suggestion; or one of how many pictures is a candidate, if these are more; and the largest number of them
unless more suggestions are asked for, so that profiles fit into memory."""


def num_candidates(pictures: int, count: int) -> int:
    """How many of the most uncertain pictures are candidates.

    Args:
        pictures: how many there are.
        count: suggestions that are asked for.

    Example:
        >>> num_candidates(317, 50), num_candidates(8000, 50), num_candidates(30, 50)
        (200, 2000, 30)
    """
    wanted = max(PER_SUGGESTION * count, -(-pictures // ONE_OF))
    return min(pictures, max(count, min(wanted, MOST_CANDIDATES)))


def most_uncertain(records: Iterable[dict], number: int) -> list[dict]:
    """The records with the largest "entropy", the largest first, by "key" where equal; no more than these are in memory.

    Args:
        records: of pictures, in any order.
        number: how many to return at most.
    """
    return heapq.nsmallest(number, records, key=lambda record: (-record["entropy"], record["key"]))


def farthest_first(profiles: np.ndarray, weights: np.ndarray, count: int) -> list[tuple[int, float]]:
    """Chooses rows: the first, then always the one with the largest product of its weight and its distance to the chosen.

    Args:
        profiles: (N, D).
        weights: (N,), at least 0; of equal products the earlier row is taken.
        count: rows to choose, at most N.

    Returns:
        Number of each chosen row, and its Euclidean distance to the nearest row that was chosen before; infinity for the first.

    Example:
        >>> farthest_first(np.array([[0.0], [1.0], [5.0], [5.0], [9.0]]), np.array([3, 2, 2, 2, 0]), 3)
        [(0, inf), (2, 5.0), (1, 1.0)]
    """
    nearest, free = np.full(len(profiles), np.inf), np.ones(len(profiles), bool)
    chosen = []
    for _ in range(count):
        row = int(np.where(free, nearest * weights, -1).argmax()) if chosen else 0
        chosen.append((row, float(nearest[row])))
        free[row] = False
        nearest = np.minimum(nearest, np.linalg.norm(profiles - profiles[row], axis=1))
    return chosen
