"""Checks of images that repeat others: leaks between splits, masks that contradict each other, near duplicates."""

from __future__ import annotations

import collections

from kseg.pairs.split_names import UNLABELLED
from pipeline.validation.anomalies import anomaly_at


def check_duplicates(statistics: dict, max_leaked: float):
    """Yields anomalies of images that equal or resemble an earlier one.

    Copies of training images in a scored split stop the run above `max_leaked`; everything else is a warning.

    Args:
        statistics: statistics.json of statistics_gen.
        max_leaked: as a share of the images of the scored split.
    """
    images = {split: found["images"] for split, found in statistics["splits"].items()}
    if others := statistics.get(UNLABELLED):
        images[UNLABELLED] = others["images"]
        yield from _check_held_out(others)
        yield from _check_others(statistics["duplicates"], others["images"])
    exact = [row for row in statistics["duplicates"] if not _is_without_mask(row)]
    if conflicting := [row for row in exact if not row["same_labels"]]:
        yield anomaly_at(
            _describe_rows(conflicting),
            "warn",
            "conflicting_labels",
            f"One image should have one mask. Received: {len(conflicting)} copies with different labels",
            "Check which mask is right, and remove the other pair.",
        )
    for (split, other), rows in _group_by_splits(exact).items():
        yield _duplicates(split, other, rows, images[split], max_leaked)
    for (split, other), rows in _group_by_splits(statistics["near_duplicates"]).items():
        if split == UNLABELLED and other in ("train", UNLABELLED):  # as frames of a film, which training may see
            continue
        yield _near_duplicates(split, other, rows, images[split])


def _is_without_mask(row, side: str = "image") -> bool:
    return row[side].startswith(f"{UNLABELLED}/")


def _check_held_out(unlabelled: dict):
    """Yields a warning where images without masks are those of a scored split; transform leaves them out."""
    if found := unlabelled["held_out"]:
        yield anomaly_at(
            found,
            "warn",
            "unlabelled_held_out",
            "Training should not see the images of validation and test, not even without masks. "
            f"Received: {len(found)} of {unlabelled['images']} images without masks that are such; they are left out",
            "Nothing is to be done. Others that only look alike, such as neighbouring frames, are not found.",
        )


def _check_others(duplicates: list[dict], images: int):
    """Stops where every image without a mask is an image of a pair, as when both folders are the same."""
    sides = ("image", "of"), ("of", "image")
    copies = {
        row[a] for row in duplicates for a, b in sides if _is_without_mask(row, a) and not _is_without_mask(row, b)
    }
    if len(copies) == images:
        yield anomaly_at(
            sorted(copies),
            "stop",
            "unlabelled_pairs",
            f"Images without masks must be others than those of --data. Received: {images} images, all of which are of pairs",
            "Name a folder of others, or leave it out.",
        )


def _duplicates(split, other, rows, images, max_leaked):
    received = f"{len(rows)} of {images} images of {split} ({len(rows) / images:.1%})"
    if split == other:
        return anomaly_at(
            _describe_rows(rows),
            "warn",
            "duplicates",
            f"An image should occur once. Received: {received} that repeat an earlier one",
            "Remove them, unless they should count twice.",
        )
    return anomaly_at(
        _describe_rows(rows),
        "stop" if other == "train" and len(rows) > max_leaked * images else "warn",
        "duplicates_across_splits",
        f"An image should be in one split only. Received: {received} that are also in {other}",
        f"Remove them from {split}: scores on them mean nothing. The limit is example_validator.max_leaked.",
    )


def _near_duplicates(split, other, rows, images):
    across = split != other
    earlier = f"one of {other}" if across else "an earlier one"
    return anomaly_at(
        _describe_rows(rows),
        "warn",
        "near_duplicates_across_splits" if across else "near_duplicates",
        f"Images should differ. Received: {len(rows)} of {images} images of {split} that look nearly like {earlier}",
        "Look at them: frames of one film, slices of one volume and tiles of one picture belong in one split."
        if across
        else "Look at them: such images weigh more than others.",
    )


def _group_by_splits(rows) -> dict[tuple[str, str], list[dict]]:
    """Rows by the split of the later image and that of the earlier one."""
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["image"].partition("/")[0], row["of"].partition("/")[0]].append(row)
    return dict(sorted(groups.items()))


def _describe_rows(rows) -> list[str]:
    return [f"{row['image']} = {row['of']}" for row in rows]
