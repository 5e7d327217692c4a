"""Splits that no folder of a known name gives: by names of files, drawn from train, or refused where a few folders may be them.

Standard library only.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shlex

from kseg.pairs.errors import PairError, printable
from kseg.pairs.listing import TRAIN_OR_VALIDATION, Listing
from kseg.pairs.split_names import KNOWN, split_in_name

MAX_UNKNOWN_SPLITS = 5
"""So many folders, or fewer, that hold every image may be splits; more are scenes, days or patients."""


def split_by_file_names(listing: Listing) -> Listing:
    """Takes the splits from the file names if every name has one, train and another among them, and no pair has a split yet."""
    every = listing.every_pair
    found = {pair.key: split_in_name(pathlib.PurePath(pair.key).name) for pair in every}
    splits = {known and known[0] for known in found.values()}
    if any(pair.split for pair in every) or None in splits or not {"train"} < splits:
        return listing

    return listing.map_pairs(lambda pair: dataclasses.replace(pair, split=found[pair.key][0]))


def is_only_train(listing: Listing) -> bool:
    """Whether every pair, readable or not, is of train, and no split was left out for an unknown name."""
    unknown = (name for name in listing.unused_splits if not any(map(split_in_name, pathlib.PurePath(name).parts[-2:])))
    return {pair.split for pair in listing.every_pair} == {"train"} and not any(unknown)


def draw_validation(listing: Listing) -> Listing:
    """The listing with every pair to be assigned to train or validation."""
    return listing.map_pairs(lambda pair: dataclasses.replace(pair, split=TRAIN_OR_VALIDATION))


def refuse_unknown_splits(listing: Listing, root: pathlib.Path, options: tuple[str, ...]):
    """Refuses pairs without a split whose keys begin with one of a few folders: a hash would mix what may be splits.

    Args:
        listing: of the pairs.
        root: of the data.
        options: patterns that read the pairs, for the message.

    Raises:
        PairError: there are two to MAX_UNKNOWN_SPLITS such folders, and no pair outside them.
    """
    parts = [pathlib.PurePath(pair.key).parts for pair in listing.pairs if not pair.split]
    if len(parts) < len(listing.pairs) or not all(len(one) > 1 for one in parts):
        return
    folders = sorted({one[0] for one in parts})
    if 2 <= len(folders) <= MAX_UNKNOWN_SPLITS:
        raise unknown_splits_error(folders, root, options)


def two_folders_error(folders: list[str], split: str, place: pathlib.Path) -> PairError:
    """The error that two folders are of one split: their files may have the same names, and be the same pictures."""
    return PairError(
        "two_folders_of_one_split",
        f"Each split must have one folder. Received: {' and '.join(map(printable, folders))}, both {split}",
        printable(place),
        "Move the files of one into the other, with its masks, or rename it; or list the pairs in a CSV file with the column "
        "split.",
    )


def unknown_splits_error(folders: list[str], place: pathlib.Path, options: tuple[str, ...]) -> PairError:
    """The error that a few folders hold every image, and are no known splits; `options` read the pairs without them."""
    return PairError(
        "unknown_split",
        f"A few folders that hold every image must be splits of known names. Received: {', '.join(map(printable, folders))}",
        printable(place),
        f"If they are splits, rename them, with their masks; known are {KNOWN}. If they are not, add {shlex.join(options)} to "
        "the command: then a hash splits the pairs.",
    )
