"""Listings of image and mask files, and the assignment of pairs to splits by a hash."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable

from kseg.pairs.errors import PairError
from kseg.pairs.sides import Side

MASK_SUFFIXES = (
    ".png",
    ".tif",
    ".tiff",
    ".gif",
    ".bmp",
    ".webp",
    ".npy",
    ".jp2",
    ".j2k",
    ".ppm",
    ".pgm",
)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".jpe", *MASK_SUFFIXES)

TRAIN_OR_VALIDATION = "trainval"
"""Split of a pair that a hash assigns to train or validation, since its source has no split of its own for validation."""

UNKNOWN_SPLIT = "unknown"
"""Split of an unusable pair whose source names another split than train, validation and test."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image and its mask.

    Attributes:
        key: unique within `split`.
        split: train, validation or test; "" or `TRAIN_OR_VALIDATION` until it is assigned.
        image: reader of the image.
        mask: reader of the mask.
    """

    key: str
    split: str
    image: Side
    mask: Side

    @property
    def files(self) -> tuple[pathlib.Path, ...]:
        """Every file that is read for it."""
        return (*self.image.files, *self.mask.files)


@dataclasses.dataclass(frozen=True)
class Fault:
    """A pair that cannot be read, and the reason; one of its files may be missing."""

    pair: Pair
    error: PairError


@dataclasses.dataclass(frozen=True)
class Listing:
    """The contents of a source, before any image is opened.

    Attributes:
        pairs: readable pairs in order of split and key.
        faults: unreadable ones in the same order.
        unused_masks: mask files without an image.
        foreign_files: files that are neither image nor mask, except hidden ones.
        unused_splits: names of splits, or of their lists, that hold pairs of no known split.
    """

    pairs: list[Pair]
    faults: list[Fault]
    unused_masks: list[pathlib.Path] = dataclasses.field(default_factory=list)
    foreign_files: list[pathlib.Path] = dataclasses.field(default_factory=list)
    unused_splits: list[str] = dataclasses.field(default_factory=list)

    @property
    def every_pair(self) -> list[Pair]:
        """The pairs and those of the faults."""
        return [*self.pairs, *(fault.pair for fault in self.faults)]

    def map_pairs(self, change: Callable[[Pair], Pair | None]) -> Listing:
        """The listing with every pair, readable or not, changed; those that become None are left out."""
        faults = ((change(fault.pair), fault.error) for fault in self.faults)
        return dataclasses.replace(
            self,
            pairs=[pair for pair in map(change, self.pairs) if pair],
            faults=[Fault(pair, error) for pair, error in faults if pair],
        )


def assign_splits(listing: Listing, validation_share: float, test_share: float) -> Listing:
    """Assigns pairs without a split, or of `TRAIN_OR_VALIDATION`, by a hash of their keys, and sorts the listing."""
    shares = {"": (validation_share, test_share), TRAIN_OR_VALIDATION: (validation_share, 0.0)}
    thresholds = {
        split: split_thresholds([pair.key for pair in listing.pairs if pair.split == split], *share)
        for split, share in shares.items()
    }

    def assign(pair):
        if pair.split not in thresholds:
            return pair
        return dataclasses.replace(pair, split=split_of_key(pair.key, thresholds[pair.split]))

    assigned = listing.map_pairs(assign)
    return dataclasses.replace(
        assigned,
        pairs=sorted(assigned.pairs, key=lambda pair: (pair.split, pair.key)),
        faults=sorted(assigned.faults, key=lambda fault: (fault.pair.split, fault.pair.key, fault.error.where)),
    )


def split_thresholds(keys, validation_share: float, test_share: float) -> tuple[int, int]:
    """Thresholds of key hashes that give each split its share of the keys, to the nearest pair.

    Of two or more keys at least one goes to validation, of three or more at least one to test, and one always remains for
    training. Adding a pair moves at most one other pair across each threshold.

    Args:
        keys: all keys to assign.
        validation_share: share of the keys below the first threshold.
        test_share: share of the keys between the thresholds.

    Returns:
        The two thresholds, for `split_of_key`.

    Raises:
        ValueError: a share is negative, or they leave no pair to train on.

    Example:
        >>> thresholds = split_thresholds(["a", "b", "c"], 0.1, 0.1)
        >>> sorted(split_of_key(key, thresholds) for key in "abc")
        ['test', 'train', 'validation']
    """
    if min(validation_share, test_share) < 0 or validation_share + test_share >= 1:
        raise ValueError(
            "`validation_share` and `test_share` must not be negative and must leave a share to train on. "
            f"Received: validation_share={validation_share}, test_share={test_share}."
        )
    positions = sorted(map(_hash, keys))
    if not positions:
        return 0, 0
    validation = _count(validation_share, len(positions), least=len(positions) >= 2)
    test = _count(test_share, len(positions), least=len(positions) >= 3)
    validation = min(validation, len(positions) - 1 - min(test, 1))
    test = min(test, len(positions) - 1 - validation)
    return positions[validation], positions[validation + test]


def _count(share, total, least) -> int:
    return max(round(share * total), int(least)) if share else 0


def split_of_key(key: str, thresholds: tuple[int, int]) -> str:
    """The split of a pair by the hash of its key.

    Args:
        key: of the pair.
        thresholds: from `split_thresholds`.
    """
    position = _hash(key)
    if position < thresholds[0]:
        return "validation"
    return "test" if position < thresholds[1] else "train"


def _hash(key) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
