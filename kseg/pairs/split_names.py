"""The splits train, validation and test by the names that folders, lists, tables and TFDS use for them. Standard library only.

Known are train, training, trn, tr; val, valid, validation, dev; test, testing, tst, ts, te: in any case, with a number or year
before or behind, and with the word set or split (`Train`, `val2017`, `training_set`). A name of two splits, such as trainval, is
none of them, and neither is one with another word, such as train_extra.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

SPLITS = ("train", "validation", "test")
"""Splits as stored."""

UNLABELLED = "unlabelled"
"""Where images without masks are stored, beside the splits; only training sees them."""

TARGET, SAME = "target", "same"
"""Domains of images without masks: another one, for which the network is to be trained, or that of the pairs."""

SYNONYMS = {
    **dict.fromkeys(("train", "training", "trn", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "ts", "te"), "test"),
}
KNOWN = "train (training, trn), val (valid, validation, dev) and test (testing, tst)"
"""The names, for messages."""

FILLERS = ("set", "split", "subset")
WORD = re.compile(rf"(?P<split>{'|'.join(sorted(SYNONYMS, key=len, reverse=True))})(?:{'|'.join(FILLERS)})?")


def split_of_name(name: str) -> str | None:
    """The split that a name means, or None.

    Example:
        >>> [split_of_name(name) for name in ("Train", "val2017", "testing_set", "dev", "trainval", "monday")]
        ['train', 'validation', 'test', 'validation', None, None]
    """
    split, rest, numbers = _parse(name)
    return split if not rest and numbers <= 1 else None


def is_train_and_validation(name: str) -> bool:
    """Whether a name means train and validation together.

    Example:
        >>> [is_train_and_validation(name) for name in ("train_val", "trainval2012", "train", "train_val_test")]
        [True, True, False, False]
    """
    words = re.findall(r"[^\W\d_]+", unicodedata.normalize("NFKC", name).casefold())
    return [SYNONYMS.get(word) for word in words] == ["train", "validation"] or words == ["trainval"]


def split_in_name(name: str) -> tuple[str, str] | None:
    """The split that one word of a name means, and the other words; None if no word or several mean a split.

    Example:
        >>> split_in_name("images_prepped_train"), split_in_name("Val-Labels"), split_in_name("train_val")
        (('train', 'images_prepped'), ('validation', 'labels'), None)
    """
    split, rest, _ = _parse(name)
    return (split, "_".join(rest)) if split else None


def _parse(name: str) -> tuple[str | None, list[str], int]:
    """The split, the words that are neither it nor a filler, and how many numbers there are besides."""
    text = unicodedata.normalize("NFKC", name)
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).casefold()
    words = re.findall(r"\d+|[^\W\d_]+", text)
    splits = [SYNONYMS[match["split"]] for match in map(WORD.fullmatch, words) if match]
    rest = [word for word in words if not (WORD.fullmatch(word) or word in FILLERS or word.isdigit())]
    split = splits[0] if len(splits) == 1 else None
    return split, rest, sum(map(str.isdigit, words))


def splits_of_names(names: Iterable[str]) -> dict[str, str]:
    """The splits of those names that mean one, by name.

    Where one name is a split's plain name, in any case, it counts rather than those with a number: beside `test`, `test2015` is
    another set.

    Raises:
        ValueError: two names mean the same split, and neither is plainer.

    Example:
        >>> splits_of_names(["train", "test", "test2015", "unlabelled"])
        {'train': 'train', 'test': 'test'}
    """
    by_split: dict[str, list[str]] = {}
    for name in names:
        if split := split_of_name(name):
            by_split.setdefault(split, []).append(name)
    chosen = {}
    for split, same in by_split.items():
        plain = [name for name in same if not any(map(str.isdigit, name))]
        candidates = plain or same
        if len(candidates) > 1:
            raise ValueError(f"Two names must not mean one split. Received: {' and '.join(candidates)}, both {split}")
        chosen[candidates[0]] = split
    return chosen
