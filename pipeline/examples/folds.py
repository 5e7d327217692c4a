"""Which pair of a small data set is scored in which fold of a cross-validation. Standard library only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def assign_folds(names: Iterable[str], folds: int) -> dict[str, int]:
    """The fold of each pair: pairs in the order of the hashes of their names take the folds in turn.

    So folds differ by one pair at most, and neither the order of the pairs nor that of files has an influence.

    Args:
        names: of the pairs, each once.
        folds: how many there are, at least 2.

    Raises:
        ValueError: there are fewer pairs than folds.

    Example:
        >>> sorted(assign_folds("abcde", 2).values())
        [0, 0, 0, 1, 1]
    """
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    check_pairs(len(ordered), folds)
    return {name: number % folds for number, name in enumerate(ordered)}


def check_pairs(pairs: int, folds: int):
    """Refuses fewer pairs than folds.

    Raises:
        ValueError: there are.
    """
    if pairs < folds:
        raise ValueError(
            f"Each fold must have a pair to score. Received: {pairs} pairs for --folds {folds}. Take fewer folds."
        )
