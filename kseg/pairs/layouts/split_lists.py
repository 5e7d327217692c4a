"""Splits by lists of names beside folders of pictures: train.txt, val.txt, test.txt, or valid.txt alone.

A line names a picture or its mask, with or without suffix and folders above; what stands behind a space or comma is not read.
Standard library only.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
import re

from kseg.pairs.errors import PairError, printable
from kseg.pairs.layouts.matching import read_lines, subfolder
from kseg.pairs.layouts.recognised import Recognised
from kseg.pairs.listing import IMAGE_SUFFIXES, Pair
from kseg.pairs.split_names import split_in_name

PLACES = (
    *(
        "",
        "splits",
        "split",
        "lists",
        "list",
        "sets",
        "metadata",
        "meta",
        "data_list",
        "ImageSets",
        "ImageSets/Segmentation",
    ),
)
"""Folders of lists, beside those of the pictures."""

SUFFIXES = (".txt", ".lst")
WORDS = frozenset(
    ("list", "lists", "file", "files", "name", "names", "filenames", "id", "ids", "image", "images", "imgs")
)
"""What the name of a list may say besides its split."""


def split_by_lists(found: Recognised, top: pathlib.Path) -> Recognised:
    """Takes the splits of pairs that have none from lists, where such lie in `found.root` or above it.

    Pairs in no list are left out if one lists train, otherwise they are train. A list that names no pair is not used, as that of
    a test set without masks.

    Args:
        found: pairs of folders.
        top: the folder that was given, above which nothing is looked for.

    Raises:
        PairError: two lists are of one split or name one pair, or a list is not UTF-8.
    """
    pairs = found.listing.every_pair
    if any(pair.split for pair in pairs):
        return found
    for place in (found.root, *found.root.parents):
        used, notes = _read_lists(find_lists(place), pairs) if place.is_relative_to(top) else ({}, [])
        if used:
            return _assign(found, used, notes)
        if place == top:
            break
    return dataclasses.replace(found, notes=(*found.notes, *notes))


def find_lists(root: pathlib.Path) -> dict[pathlib.Path, str]:
    """The lists in a folder or its folders of lists, with their splits."""
    lists, others = {}, collections.defaultdict(list)
    for place in PLACES:
        folder = subfolder(root, place) if place else root
        for name in sorted(os.listdir(folder)) if folder and folder.is_dir() else ():
            stem, suffix = os.path.splitext(name)
            split, rest = split_in_name(stem) or ("", "")
            if not split or suffix.lower() not in SUFFIXES:
                continue
            if set(filter(None, rest.split("_"))) <= WORDS:
                lists[folder / name] = split
            else:
                others[folder, rest].append((folder / name, split))
    for same in others.values():  # of other names, as city_train.txt and city_val.txt
        if not lists and len({split for _, split in same}) == len(same) > 1:
            lists |= dict(same)
    return lists


def _read_lists(lists, pairs) -> tuple[dict[pathlib.Path, tuple[str, set[Pair]]], list[str]]:
    """Of each list that names pairs its split and these pairs; and notes about names and lists of others."""
    used, notes = {}, []
    tails = by_tail(pairs) if lists else {}
    for path, split in lists.items():
        named = [find_named(line, tails) for line in read_lines(path)]
        keys = {key for key in named if key is not None}
        if not keys:
            notes.append(f"{printable(path)} names no pair and is not read.")
            continue
        if other := next((other for other, (known, _) in used.items() if known == split), None):
            raise PairError(
                "bad_list",
                f"Two lists must not mean one split. Received: {printable(other)} and {printable(path.name)}, both {split}",
                printable(path.parent),
                "Remove one, or join them.",
            )
        if None in named:
            notes.append(f"{named.count(None)} of {len(named)} names in {printable(path)} are no pair.")
        used[path] = (split, keys)
    return used, notes


def by_tail(pairs: list[Pair]) -> dict[tuple[str, ...], set[str]]:
    """Keys by the last parts of the paths of image and mask, without suffix: by all that a line may name."""
    found = collections.defaultdict(set)
    for pair in pairs:
        for file in pair.files:
            parts = file.with_suffix("").parts
            for start in range(len(parts)):
                found[parts[start:]].add(pair.key)
    return found


def find_named(line: str, tails: dict[tuple[str, ...], set[str]]) -> str | None:
    """The key of the one pair that a line names, or None.

    Args:
        line: a path or name, with or without suffix.
        tails: from `by_tail`.
    """
    for name in (line, re.split(r"[\s,;]", line)[0]):
        stem, suffix = os.path.splitext(name.replace("\\", "/"))
        parts = pathlib.PurePosixPath(stem if suffix.lower() in IMAGE_SUFFIXES else stem + suffix).parts
        keys = next((tails[parts[start:]] for start in range(len(parts)) if parts[start:] in tails), ())
        if len(keys) == 1:
            return next(iter(keys))
    return None


def _assign(found, used, notes) -> Recognised:
    splits, first = {}, {}
    for path, (split, keys) in used.items():
        if twice := sorted(keys & splits.keys()):
            raise PairError(
                "listed_twice",
                f"A pair must be in one split. Received: {printable(twice[0])} in {first[twice[0]].name} and {path.name}",
                printable(path.parent),
                "Remove it from one of the lists, or the list that joins others.",
            )
        splits |= dict.fromkeys(keys, split)
        first |= dict.fromkeys(keys, path)
    return apply_splits(found, splits, [printable(path) for path in used], notes)


def apply_splits(found: Recognised, splits: dict[str, str], places: list[str], notes: list[str]) -> Recognised:
    """The reading with splits by key. Pairs without one are left out if there is a train split, otherwise they are train.

    Args:
        found: pairs without splits.
        splits: of the pairs by key.
        places: where the splits are from, for the log.
        notes: for the log, behind that line.
    """
    rest = None if "train" in splits.values() else "train"

    def assign(pair):
        split = splits.get(pair.key, rest)
        return split and dataclasses.replace(pair, split=split)

    listing = found.listing.map_pairs(assign)
    left_out = len(found.listing.pairs) - len(listing.pairs)
    notes = [f"Splits are those of {', '.join(places)}.", *notes]
    if rest:
        notes.append("Pairs in no list are train.")
    elif left_out:
        notes.append(f"{left_out} pairs are in no list and are left out.")
    return dataclasses.replace(found, listing=listing, notes=(*found.notes, *notes))
