"""Checks of splits, labels and classes: is there something to train on, something to score on, and every class in train?"""

from __future__ import annotations

from kseg.labels import LabelMap
from pipeline.validation.anomalies import Anomaly, anomaly_at
from pipeline.validation.schema import find_violations


def check_splits(splits: dict[str, dict], examples, cross_validated: bool):
    """Yields anomalies that stop the run where there is no split to train on or none to score on.

    Args:
        splits: statistics by split.
        examples: the artifact of example_gen, for messages.
        cross_validated: whether every pair is scored, of whatever split.
    """
    found = ", ".join(splits) or "none"
    if "train" not in splits:
        yield Anomaly(
            "stop",
            "no_train_split",
            f"There must be a split to train on. Received: {found}",
            str(examples),
            "Name a folder, or the rows of a list, 'train'.",
        )
    if not cross_validated and not {"validation", "test"} & splits.keys():
        yield Anomaly(
            "stop",
            "no_scored_split",
            f"There must be a split to score on, validation or test. Received: {found}",
            str(examples),
            "Put pairs into a split 'val'; where the source has no splits, raise example_gen.validation_share.",
        )


def check_schema(schema: dict, statistics: dict, labels: LabelMap, path):
    """Yields an anomaly that stops the run for everything that the schema does not allow.

    Args:
        schema: inferred or frozen.
        statistics: statistics.json of statistics_gen.
        labels: the classes of the data.
        path: of the schema, for messages.
    """
    for where, expected, received in find_violations(schema, statistics, labels):
        yield Anomaly(
            "stop",
            "schema_violation",
            f"Data must match the schema: {expected}. Received: {received}",
            f"{where}, {path}",
            "Correct the data, or the schema if it is outdated.",
        )


def check_labels(splits: dict[str, dict], labels: LabelMap):
    """Yields anomalies that stop the run where a split is entirely void, or train has a single class.

    Args:
        splits: statistics by split.
        labels: the classes.
    """
    for name, split in splits.items():
        if not sum(split["class_pixels"]):
            yield Anomaly(
                "stop",
                "unlabelled_split",
                f"A split must have labelled pixels. Received: {split['void_pixels']} pixels, all void",
                f"split {name}",
                "Check the masks, and whether --ignore-value is the value of a class.",
            )
    if "train" not in splits:
        return
    present = [name for name, images in zip(labels.names, splits["train"]["class_images"], strict=True) if images]
    if len(present) == 1:
        yield Anomaly(
            "stop",
            "single_class",
            f"Training needs at least two classes. Received: {present[0]!r} at every labelled pixel",
            "split train",
            "Check whether masks are missing or were emptied; the background is a class too, not void.",
        )


def check_missing_classes(splits: dict[str, dict], labels: LabelMap):
    """Yields warnings about classes without a pixel in train.

    One that occurs in a scored split is the graver: it is scored with an IoU of 0 and lowers the mean. One that occurs nowhere
    is never scored; more often than not its value in the table of classes is wrong.

    Args:
        splits: statistics by split.
        labels: the classes.
    """
    if "train" not in splits:
        return
    missing = [number for number, images in enumerate(splits["train"]["class_images"]) if not images]
    elsewhere = [number for number in missing if any(split["class_images"][number] for split in splits.values())]
    nowhere = [number for number in missing if number not in elsewhere]
    for numbers, name, place, cure in (
        (
            elsewhere,
            "class_missing_in_train",
            "only in other splits, where {} scored 0",
            "Add images of {} to train, or split the data differently.",
        ),
        (
            nowhere,
            "class_missing",
            "in no split",
            "Check the value of {} in the table of classes; remove a class that the data do not have.",
        ),
    ):
        if numbers:
            one = len(numbers) == 1
            yield anomaly_at(
                [labels.names[number] for number in numbers],
                "warn",
                name,
                f"Every class should occur in train. Received: {len(numbers)} {'class' if one else 'classes'} "
                + place.format("it is" if one else "they are"),
                cure.format("it" if one else "each"),
            )


def check_rare_classes(splits: dict[str, dict], labels: LabelMap, min_share: float):
    """Yields a warning about classes with hardly a pixel in train.

    Args:
        splits: statistics by split.
        labels: the classes.
        min_share: of the labelled pixels of train, below which a class is rare.
    """
    pixels = splits["train"]["class_pixels"] if "train" in splits else []
    rare = [
        f"{name} {100 * count / sum(pixels):.2g} %"
        for name, count in zip(labels.names, pixels, strict=False)
        if 0 < count < min_share * sum(pixels)
    ]
    if rare:
        yield anomaly_at(
            rare,
            "warn",
            "rare_classes",
            f"A class should have {100 * min_share:g} % of the labelled pixels of train. "
            f"Received: {len(rare)} with less",
            "Check that they are no slips of the brush; add images of them, merge them into another class, or weight the "
            "classes. The limit is example_validator.min_class_share.",
        )
