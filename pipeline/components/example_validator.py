"""example_validator: says what is wrong with a data set, and stops the run where training on it would be wrong.

Severities: "stop" ends the run, "quarantine" names a pair that was set aside, "warn" is for people to judge. Quarantined pairs
stop the run when they are more than `max_quarantined` of all. What is looked for, and why, stands in docs/data_validation.md.
numpy and scipy, for the distances alone.
"""

from __future__ import annotations

import pathlib

from kseg.labels import LabelMap
from pipeline.engine.files import read_json, write_json
from pipeline.settings.example_validator import ExampleValidator
from pipeline.validation import schema as schemas
from pipeline.validation.anomalies import Anomaly, distances, drifted, repeated, skewed, some

SHOWN = 20  # quarantined pairs in a message
DARK = "the upper 4 unused"
"""Ends the reason of 16-bit images that become nearly black."""


def example_validator(
    out: pathlib.Path,
    config: ExampleValidator,
    *,
    examples: pathlib.Path,
    statistics: pathlib.Path,
    schema: pathlib.Path,
    previous: pathlib.Path | None = None,
):
    """Writes `out/anomalies.json`: {"anomalies": [{"severity", "name", "what", "where", "cure"}], "distances": [...]}.

    A distance is {"of", "against", "classes", "brightness"}: each split against train, and train against the `previous` one.

    Args:
        out: folder to write below.
        config: how much is too much.
        examples: artifact of example_gen.
        statistics: artifact of statistics_gen.
        schema: artifact of schema_gen.
        previous: artifact of statistics_gen for the data of the last pushed model, where there is one.

    Raises:
        ValueError: an anomaly stops the run; the message names all that do, and the quarantined pairs with their paths.
    """
    labels = LabelMap.load(examples)
    ingestion = read_json(examples / "ingestion.json")
    counted = read_json(statistics / "statistics.json")
    before = read_json(previous / "statistics.json") if previous else None
    expected = read_json(schema / "schema.json")
    anomalies = [
        *_quarantined(ingestion, config.max_quarantined),
        *_missing_splits(counted["splits"], examples),
        *_unlike_schema(expected, counted, labels, schema),
        *_labels(counted["splits"], labels),
        *_pictures(counted, ingestion),
        *repeated(counted, config.max_leaked),
        *skewed(counted, config.max_skew),
        *drifted(counted, before, config.max_drift),
        *_other_files(ingestion),
    ]
    stops = [str(anomaly) for anomaly in anomalies if anomaly.severity == "stop"]
    if stops:
        raise ValueError("\n".join([*stops, *_listed(anomalies, examples)]))
    result = {"anomalies": [vars(anomaly) for anomaly in anomalies], "distances": distances(counted, before)}
    write_json(out / "anomalies.json", result)


def _listed(anomalies, examples) -> list[str]:
    """The quarantined pairs, as lines of a message."""
    rows = [f"  {anomaly}" for anomaly in anomalies if anomaly.severity == "quarantine"]
    more = [f"  and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    return [f"Quarantined, see {examples / 'quarantine'}:", *rows[:SHOWN], *more] if rows else []


def _quarantined(ingestion, max_quarantined):
    """Each pair that was set aside; and that they are too many, where they are."""
    rows = ingestion["quarantined"]
    pairs = len(rows) + sum(ingestion["pairs"].values())
    if len(rows) > max_quarantined * pairs:
        yield Anomaly(
            "stop",
            "too_many_quarantined",
            f"Pairs that cannot be used must be at most {max_quarantined:.1%} of all. "
            f"Received: {len(rows)} of {pairs} ({len(rows) / pairs:.1%})",
            "example_validator.max_quarantined",
            "Mend the pairs below, take them out, or go on without them by a higher example_validator.max_quarantined.",
        )
    for row in rows:
        yield Anomaly("quarantine", row["name"], row["what"], row["where"], row["cure"])


def _missing_splits(splits, examples):
    """A run needs a split to train on and one to score on."""
    found = ", ".join(splits) or "none"
    if "train" not in splits:
        yield Anomaly(
            "stop",
            "no_train_split",
            f"There must be a split to train on. Received: {found}",
            str(examples),
            "Name a folder or the rows of a list 'train'.",
        )
    if not {"validation", "test"} & splits.keys():
        yield Anomaly(
            "stop",
            "no_scored_split",
            f"There must be a split to score on, validation or test. Received: {found}",
            str(examples),
            "Set pairs aside as 'val'; of a source without splits, raise example_gen.validation_share.",
        )


def _unlike_schema(expected, counted, labels, schema):
    """What the schema does not allow."""
    for where, said, found in schemas.unlike(expected, counted, labels):
        yield Anomaly(
            "stop",
            "unlike_schema",
            f"Data must be as the schema says: {said}. Received: {found}",
            f"{where}, {schema / 'schema.json'}",
            "Mend the data, or the schema if it is the one that is wrong.",
        )


def _labels(splits, labels):
    """Splits in which every pixel is void, data with one class, and classes that training never sees."""
    for name, split in splits.items():
        if not sum(split["class_pixels"]):
            yield Anomaly(
                "stop",
                "unlabelled_split",
                f"A split must have labelled pixels. Received: {split['void_pixels']} pixels, all void",
                f"split {name}",
                "Look at the masks, and at --ignore-value, which may name the value of a class.",
            )
    if "train" not in splits:
        return
    present = [name for name, images in zip(labels.names, splits["train"]["class_images"], strict=True) if images]
    if len(present) == 1:
        yield Anomaly(
            "stop",
            "single_class",
            f"There must be two classes to tell apart. Received: {present[0]!r} at every labelled pixel",
            "split train",
            "Look whether masks got lost or were emptied; what lies around things is a class too, no void.",
        )
    missing = [number for number, images in enumerate(splits["train"]["class_images"]) if not images]
    elsewhere = [number for number in missing if any(split["class_images"][number] for split in splits.values())]
    nowhere = [number for number in missing if number not in elsewhere]
    for numbers, name, found in (
        (elsewhere, "class_missing_in_train", "in other splits, where they will be missed"),
        (nowhere, "class_missing", "nowhere"),
    ):
        if numbers:
            yield Anomaly(
                "warn",
                name,
                f"Every class should occur in train. Received: {', '.join(labels.names[k] for k in numbers)} {found}",
                f"classes {', '.join(map(str, numbers))}",
                "Add images of them to train, or take them out of the table of classes.",
            )


def _pictures(counted, ingestion):
    """Images from which little can be learnt."""
    if counted["empty_masks"]:
        yield Anomaly(
            "warn",
            "empty_masks",
            f"A mask should have labelled pixels. Received: {len(counted['empty_masks'])} that are void everywhere",
            some(counted["empty_masks"]),
            "They teach nothing and are not scored. Label them, or take them out.",
        )
    if counted["tiny_images"]:
        yield Anomaly(
            "warn",
            "tiny_images",
            f"An image should have something to see. Received: {len(counted['tiny_images'])} of a few pixels",
            some(counted["tiny_images"]),
            "Look whether they are placeholders of images that got lost; set statistics_gen.tiny_side if they are meant.",
        )
    dark = sum(count for reason, count in ingestion["reencoded"].items() if reason.endswith(DARK))
    if dark:
        yield Anomaly(
            "warn",
            "dark_16_bit",
            f"Images of 16 bits should use them, since the upper 8 are kept. Received: {dark} with no value above 4095",
            "ingestion.json, reencoded",
            "Scale their values to 0..65535, or store them with 8 bits: now they are nearly black.",
        )


def _other_files(ingestion):
    """Masks without an image, and files that are no pictures."""
    unused, foreign = ingestion["unused_masks"], ingestion["foreign_files"]
    if unused:
        yield Anomaly(
            "warn",
            "unused_masks",
            f"A mask should belong to an image. Received: {len(unused)} that {'do' if len(unused) > 1 else 'does'} not",
            some(unused),
            "Look whether images got lost.",
        )
    if foreign:
        yield Anomaly(
            "warn",
            "foreign_files",
            f"Folders of pairs should hold pictures alone. Received: {len(foreign)} other files",
            some(foreign),
            "Look whether they should have been read; move them elsewhere.",
        )
