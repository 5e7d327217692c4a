"""Checks of distributions: skew between splits, drift since the last pushed model. numpy and scipy, for the distances."""

from __future__ import annotations

import dataclasses

from kseg.pairs.channels import PixelKind
from pipeline.validation.anomalies import Anomaly
from pipeline.validation.histograms import describe_shifts, jensen_shannon_distance

HISTOGRAMS = {"classes": "class_pixels", "brightness": "brightness"}
"""What is compared, and its key in the statistics of a split."""


@dataclasses.dataclass(frozen=True)
class Limit:
    """The largest distance without a warning: `name` of the anomaly, `value`, its `setting`, and the `cure`."""

    name: str
    value: float
    setting: str
    cure: str


def histogram_distances(statistics: dict, previous: dict | None) -> list[dict]:
    """Distances of each split from train, and of train from the train of `previous`.

    Args:
        statistics: statistics.json of statistics_gen.
        previous: likewise, of the data of the last pushed model.

    Returns:
        Rows {"of", "against", "classes", "brightness"}; None where the classes differ or a side has no labelled pixel.
    """
    splits = statistics["splits"]
    pairs = [(name, "train", splits[name], splits["train"]) for name in splits if name != "train" and "train" in splits]
    if previous and "train" in splits and "train" in previous["splits"]:
        pairs.append(("train", "previous", splits["train"], previous["splits"]["train"]))
    return [
        {"of": of, "against": against}
        | {what: _distance(split[field], reference[field]) for what, field in HISTOGRAMS.items()}
        for of, against, split, reference in pairs
    ]


def _distance(counts, others) -> float | None:
    if len(counts) != len(others) or not sum(counts) or not sum(others):
        return None
    return jensen_shannon_distance(counts, others)


def check_skew(statistics: dict, max_skew: float):
    """Yields a warning for each split whose classes or brightness differ from those of train.

    Args:
        statistics: statistics.json of statistics_gen.
        max_skew: Jensen-Shannon distance.
    """
    cure = "Check whether the splits were drawn from the same data: scores may not reflect what was learnt."
    limit, splits = Limit("skew", max_skew, "max_skew", cure), statistics["splits"]
    for row in histogram_distances(statistics, None):
        yield from _check_distances(row, splits[row["of"]], splits["train"], statistics["classes"], limit)


def check_drift(statistics: dict, previous: dict | None, max_drift: float):
    """Yields a warning where the training data differ from those of the last pushed model.

    Args:
        statistics: statistics.json of statistics_gen.
        previous: likewise, of the data of the last pushed model, or None.
        max_drift: Jensen-Shannon distance.
    """
    if previous is None:
        return
    if statistics["classes"] != previous["classes"]:
        yield Anomaly(
            "warn",
            "drift_of_classes",
            "The classes should be those of the last pushed model. "
            f"Received: {', '.join(statistics['classes'])} instead of {', '.join(previous['classes'])}",
            "labels.json",
            "Inform the users of the model, or choose another --name.",
        )
        return
    kinds = [PixelKind.recorded(of["all"]) for of in (statistics, previous)]
    if kinds[0] != kinds[1]:
        yield Anomaly(
            "warn",
            "drift_of_channels",
            f"Images should hold what those of the last pushed model hold: {kinds[1]}. Received: {kinds[0]}",
            "statistics.json",
            "Inform the users of the model, who must send other images, or choose another --name.",
        )
    cure = "Check what has changed; a model in use may have to be evaluated again."
    limit = Limit("drift", max_drift, "max_drift", cure)
    for row in histogram_distances(statistics, previous):
        if row["against"] == "previous":
            train, reference = statistics["splits"]["train"], previous["splits"]["train"]
            yield from _check_distances(row, train, reference, statistics["classes"], limit)


def _check_distances(row, split, reference, classes, limit: Limit):
    """Yields a warning for each histogram of `row` above the limit."""
    bins = len(split["brightness"])
    names = {
        "classes": classes,
        "brightness": [f"brightness {256 // bins * k}..{256 // bins * (k + 1) - 1}" for k in range(bins)],
    }
    against = "the train split of the last pushed model" if row["against"] == "previous" else row["against"]
    for what, field in HISTOGRAMS.items():
        if row[what] is not None and row[what] > limit.value:
            yield Anomaly(
                "warn",
                f"{limit.name}_of_{what}",
                f"{what.capitalize()} of {row['of']} should be distributed as in {against}, within a Jensen-Shannon distance of "
                f"{limit.value:g}. Received: {row[what]:.3f} ({split['images']} and {reference['images']} images): "
                f"{describe_shifts(split[field], reference[field], names[what])}",
                f"split {row['of']}",
                f"{limit.cure} The limit is example_validator.{limit.setting}.",
            )
