"""What a listing of image and mask files is made of, and how a split is drawn where none is given. Standard library only."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib

from kseg.pairs.decoding import PairError

SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
"""Names of splits as people write them, and as they are stored."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
MASK_SUFFIXES = (".png",)


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image file and its mask file; `key` is unique within `split` (train, validation, test; "" while it is not drawn)."""

    key: str
    split: str
    image: pathlib.Path
    mask: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Fault:
    """A pair that cannot be read, and why; one of its files may be missing."""

    pair: Pair
    error: PairError


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a source holds, before any picture is opened.

    Attributes:
        pairs: those to be read, in order of split and key.
        faults: those that cannot be read, in the same order.
        unused_masks: mask files that belong to no image.
        foreign_files: files that are neither image nor mask; hidden ones are not listed.
    """

    pairs: list[Pair]
    faults: list[Fault]
    unused_masks: list[pathlib.Path] = dataclasses.field(default_factory=list)
    foreign_files: list[pathlib.Path] = dataclasses.field(default_factory=list)


def assign_splits(listing: Listing, validation_share: float, test_share: float) -> Listing:
    """`listing` in order, its pairs without a split spread over the three by a hash of their keys; see `split_thresholds`."""
    at = split_thresholds([pair.key for pair in listing.pairs if not pair.split], validation_share, test_share)

    def placed(pair):
        return pair if pair.split else dataclasses.replace(pair, split=split_of_key(pair.key, at))

    pairs = [placed(pair) for pair in listing.pairs]
    faults = [Fault(placed(fault.pair), fault.error) for fault in listing.faults]
    return dataclasses.replace(
        listing,
        pairs=sorted(pairs, key=lambda pair: (pair.split, pair.key)),
        faults=sorted(faults, key=lambda fault: (fault.pair.split, fault.pair.key, fault.error.where)),
    )


def split_thresholds(keys, validation_share: float, test_share: float) -> tuple[int, int]:
    """Where the hashes of keys are cut, so that each split gets its share of them to the nearest pair.

    Two or more keys leave one for validation, three or more one for test also, and one is always left to train on. A pair that
    is added later moves at most the one next to each cut.

    Args:
        keys: all keys to be spread.
        validation_share: share of the keys that fall below the first cut.
        test_share: share of the keys that fall between the split_thresholds.

    Returns:
        The two split_thresholds, for `split_of_key`.

    Raises:
        ValueError: the shares leave nothing to train on.

    Example:
        >>> at = split_thresholds(["a", "b", "c"], 0.1, 0.1)
        >>> sorted(split_of_key(key, at) for key in "abc")
        ['test', 'train', 'validation']
    """
    if min(validation_share, test_share) < 0 or validation_share + test_share >= 1:
        raise ValueError(
            "`validation_share` and `test_share` must not be negative and leave a share to train on. "
            f"Received: validation_share={validation_share}, test_share={test_share}."
        )
    positions = sorted(map(_position, keys))
    if not positions:
        return 0, 0
    validation = _number(validation_share, len(positions), least=len(positions) >= 2)
    test = _number(test_share, len(positions), least=len(positions) >= 3)
    validation = min(validation, len(positions) - 1 - min(test, 1))
    test = min(test, len(positions) - 1 - validation)
    return positions[validation], positions[validation + test]


def _number(share, keys, least) -> int:
    return max(round(share * keys), int(least)) if share else 0


def split_of_key(key: str, at: tuple[int, int]) -> str:
    """The split of a pair by a hash of its key.

    Args:
        key: of the pair.
        at: of `split_thresholds`.
    """
    position = _position(key)
    if position < at[0]:
        return "validation"
    return "test" if position < at[1] else "train"


def _position(key) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
