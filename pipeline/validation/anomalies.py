"""What `example_validator` finds by comparing: images that repeat others, splits that differ, data that have drifted.

numpy and scipy, for the distances alone.
"""

from __future__ import annotations

import collections
import dataclasses

from pipeline.validation import skew

SHOWN = 5  # places in a message

HISTOGRAMS = {"classes": "class_pixels", "brightness": "brightness"}
"""What is compared, and where it stands in the statistics of a split."""


@dataclasses.dataclass(frozen=True)
class Anomaly:
    """What is wrong, where, and what helps; `severity` is stop, quarantine or warn, `name` one of docs/data_validation.md."""

    severity: str
    name: str
    what: str
    where: str
    cure: str

    def __str__(self):
        return f"{self.what} [{self.where}]. {self.cure}"


def some(places: list[str]) -> str:
    """The first few of the places, as text."""
    return ", ".join(places[:SHOWN]) + (f", ... ({len(places)} in all)" if len(places) > SHOWN else "")


def repeated(statistics: dict, max_leaked: float):
    """Yields anomalies of images that show the same as an earlier one.

    Copies of training images in a scored split stop the run above `max_leaked` of that split; all else is a warning.

    Args:
        statistics: of statistics_gen.
        max_leaked: share of the images of a split.
    """
    exact = statistics["duplicates"]
    differing = [row for row in exact if not row["same_labels"]]
    if differing:
        yield Anomaly(
            "warn",
            "conflicting_labels",
            f"One image should have one mask. Received: {len(differing)} that repeat an image with other labels",
            some(_places(differing)),
            "Look which mask is right, and take the other pair out.",
        )
    for (split, of), rows in _by_splits(exact).items():
        images = statistics["splits"][split]["images"]
        leaked = split != of
        share = f"{len(rows)} of {images} images ({len(rows) / images:.1%}) that are"
        yield Anomaly(
            "stop" if leaked and of == "train" and len(rows) > max_leaked * images else "warn",
            "duplicates_across_splits" if leaked else "duplicates",
            f"An image should be in one split alone. Received: {share} in {of} too"
            if leaked
            else f"An image should be in a data set once. Received: {share} there before",
            some(_places(rows)),
            f"Take them out of {split}: scores on them say nothing. example_validator.max_leaked is what is borne."
            if leaked
            else "Take them out, unless they are meant to count twice.",
        )
    for (split, of), rows in _by_splits(statistics["near_duplicates"]).items():
        leaked = split != of
        yield Anomaly(
            "warn",
            "near_duplicates_across_splits" if leaked else "near_duplicates",
            f"Images should differ. Received: {len(rows)} of {statistics['splits'][split]['images']} images of {split} that look "
            f"nearly like one of {of}",
            some(_places(rows)),
            "Look at them. Frames of one film, slices of one volume and tiles of one picture belong into one split."
            if leaked
            else "Look at them. Many such images weigh more in training than others.",
        )


def _by_splits(rows) -> dict[tuple[str, str], list[dict]]:
    """Rows by the split of the later image and that of the earlier."""
    found = collections.defaultdict(list)
    for row in rows:
        found[row["image"].partition("/")[0], row["of"].partition("/")[0]].append(row)
    return dict(sorted(found.items()))


def _places(rows) -> list[str]:
    return [f"{row['image']} = {row['of']}" for row in rows]


def distances(statistics: dict, previous: dict | None) -> list[dict]:
    """Distances of the histograms of each split from train, and of train from that of the `previous` data.

    Returns:
        Rows {"of", "against", "classes", "brightness"}; None where one side has no labelled pixel or other classes.
    """
    splits = statistics["splits"]
    pairs = [(name, "train", splits[name], splits["train"]) for name in splits if name != "train" and "train" in splits]
    if previous and {"train"} <= splits.keys() & previous["splits"].keys():
        pairs.append(("train", "previous", splits["train"], previous["splits"]["train"]))
    return [
        {"of": of, "against": against}
        | {
            what: skew.distance(own[field], other[field])
            if len(own[field]) == len(other[field]) and sum(own[field]) and sum(other[field])
            else None
            for what, field in HISTOGRAMS.items()
        }
        for of, against, own, other in pairs
    ]


def skewed(statistics: dict, max_skew: float):
    """Yields an anomaly for each split that is unlike train."""
    for row in distances(statistics, None):
        yield from _apart(
            row,
            statistics["splits"][row["of"]],
            statistics["splits"]["train"],
            statistics["classes"],
            ("skew", max_skew, "max_skew"),
            "Look whether the splits were drawn alike: scores speak of other data than were learnt.",
        )


def drifted(statistics: dict, previous: dict | None, max_drift: float):
    """Yields an anomaly where the training data are unlike those of the last pushed model."""
    if previous is None:
        return
    if statistics["classes"] != previous["classes"]:
        yield Anomaly(
            "warn",
            "drift_of_classes",
            "The classes should be those of the last pushed model. "
            f"Received: {', '.join(statistics['classes'])} instead of {', '.join(previous['classes'])}",
            "labels.json",
            "Tell those who use the model, or give it another --name.",
        )
        return
    for row in distances(statistics, previous):
        if row["against"] == "previous":
            yield from _apart(
                row,
                statistics["splits"]["train"],
                previous["splits"]["train"],
                statistics["classes"],
                ("drift", max_drift, "max_drift"),
                "Look what has changed since; a model in use may need another look too.",
            )


def _apart(row, own, other, classes, limit, cure):
    """An anomaly for each histogram of `row` whose distance is above the limit (name, value, setting)."""
    name, most, setting = limit
    bins = len(own["brightness"])
    names = {
        "classes": classes,
        "brightness": [f"brightness {256 // bins * k}..{256 // bins * (k + 1) - 1}" for k in range(bins)],
    }
    against = "the last pushed model's train" if row["against"] == "previous" else row["against"]
    for what, field in HISTOGRAMS.items():
        if row[what] is not None and row[what] > most:
            yield Anomaly(
                "warn",
                f"{name}_of_{what}",
                f"{what.capitalize()} of {row['of']} should be as in {against}, to a Jensen-Shannon distance of {most:g}. "
                f"Received: {row[what]:.3f} ({own['images']} and {other['images']} images): "
                f"{skew.shifts(own[field], other[field], names[what])}",
                f"split {row['of']}",
                f"{cure} example_validator.{setting} is what is borne.",
            )
