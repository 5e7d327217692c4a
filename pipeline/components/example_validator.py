"""example_validator: says what is wrong with a data set, and stops the run where training on it would be wrong.

Severities: "stop" ends the run, "quarantine" names a pair that was set aside, "warn" is for people to judge. Quarantined pairs
stop the run when they are more than `max_quarantined` of all. Standard library only.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib

from pipeline.config import ExampleValidator


@dataclasses.dataclass(frozen=True)
class Anomaly:
    """What is wrong, where, and what helps; `severity` is stop, quarantine or warn."""

    severity: str
    what: str
    where: str
    cure: str

    def __str__(self):
        return " ".join(part for part in (self.what, f"[{self.where}].", self.cure) if part)


def example_validator(
    out: pathlib.Path,
    config: ExampleValidator,
    *,
    examples: pathlib.Path,
    statistics: pathlib.Path,
    schema: pathlib.Path,
):
    """Writes `out/anomalies.json`: {"anomalies": [{"severity", "what", "where", "cure"}]}.

    Args:
        out: folder to write below.
        config: which share of quarantined pairs is too much.
        examples: artifact of example_gen.
        statistics: artifact of statistics_gen.
        schema: artifact of schema_gen.

    Raises:
        ValueError: an anomaly stops the run; the message names all that do, and every quarantined pair with its paths.
    """
    ingestion = json.loads((examples / "ingestion.json").read_text(encoding="utf-8"))
    counted = json.loads((statistics / "statistics.json").read_text())
    expected = json.loads((schema / "schema.json").read_text())
    anomalies = [
        *_quarantined(ingestion, config.max_quarantined),
        *_missing_splits(counted["splits"], examples),
        *_unlike_schema(counted["splits"], expected),
        *_labels(counted["splits"], expected),
        *_unused_masks(ingestion),
    ]
    stops = [str(anomaly) for anomaly in anomalies if anomaly.severity == "stop"]
    if stops:
        listed = [f"  {anomaly}" for anomaly in anomalies if anomaly.severity == "quarantine"]
        raise ValueError("\n".join([*stops, *(["Quarantined:", *listed] if listed else [])]))
    rows = [dataclasses.asdict(anomaly) for anomaly in anomalies]
    (out / "anomalies.json").write_text(json.dumps({"anomalies": rows}, indent=1, ensure_ascii=False), encoding="utf-8")


def _quarantined(ingestion, max_quarantined):
    """Each pair that was set aside; and that they are too many, where they are."""
    rows = ingestion["quarantined"]
    pairs = len(rows) + sum(ingestion["pairs"].values())
    if len(rows) > max_quarantined * pairs:
        yield Anomaly(
            "stop",
            f"Pairs that cannot be used must be at most {max_quarantined:.1%} of all. "
            f"Received: {len(rows)} of {pairs} ({len(rows) / pairs:.1%})",
            "example_validator.max_quarantined",
            "Mend the pairs below, take them out, or go on without them by a higher example_validator.max_quarantined.",
        )
    for row in rows:
        yield Anomaly("quarantine", row["reason"], f"{row['split']} {row['key']}: {row['image']}, {row['mask']}", "")


def _missing_splits(splits, examples):
    """A run needs a split to train on and one to score on."""
    found = ", ".join(splits) or "none"
    if "train" not in splits:
        yield Anomaly(
            "stop",
            f"There must be a split to train on. Received: {found}",
            str(examples),
            "Name a folder or the rows of a list 'train'.",
        )
    if not {"validation", "test"} & splits.keys():
        yield Anomaly(
            "stop",
            f"There must be a split to score on, validation or test. Received: {found}",
            str(examples),
            "Set pairs aside as 'val'; of a source without splits, raise example_gen.validation_share.",
        )


def _unlike_schema(splits, schema):
    """Channels, sizes and number of classes that the schema does not allow."""
    for name, split in splits.items():
        found = {"channels": split["channels"], "classes": len(split["class_pixels"])}
        allowed = {"channels": schema["channels"], "classes": len(schema["classes"])}
        outside = [what for what in found if found[what] != allowed[what]]
        for side in ("height", "width"):
            found[side], allowed[side] = split[side], schema[side]
            if split[side]["min"] < schema[side]["min"] or split[side]["max"] > schema[side]["max"]:
                outside.append(side)
        for what in outside:
            yield Anomaly(
                "stop",
                f"`{what}` must be as the schema says, {allowed[what]}. Received: {found[what]}",
                f"split {name}",
                "Mend the data, or the schema if it is the one that is wrong.",
            )


def _labels(splits, schema):
    """Splits in which every pixel is void, and classes that training never sees."""
    for name, split in splits.items():
        if not sum(split["class_pixels"]):
            yield Anomaly(
                "stop",
                f"A split must have labelled pixels. Received: {split['void_pixels']} pixels, all void",
                f"split {name}",
                "Look at the masks, and at --ignore-value, which may name the value of a class.",
            )
    if "train" not in splits:
        return
    for number, (row, images) in enumerate(zip(schema["classes"], splits["train"]["class_images"], strict=True)):
        if not images:
            elsewhere = [name for name, split in splits.items() if split["class_images"][number]]
            yield Anomaly(
                "warn",
                f"Class {row['name']!r} does not occur in train"
                + (
                    f", but in {' and '.join(elsewhere)}, where it will be missed"
                    if elsewhere
                    else " nor anywhere else"
                ),
                f"class {number}, mask value {row['value']}",
                "Add images of it to train, or take it out of the table of classes.",
            )


def _unused_masks(ingestion):
    """Masks without an image."""
    if ingestion["unused_masks"]:
        shown, number = ingestion["unused_masks"][:5], len(ingestion["unused_masks"])
        yield Anomaly(
            "warn",
            f"{number} {'mask belongs' if number == 1 else 'masks belong'} to no image",
            ", ".join(shown) + (", ..." if number > len(shown) else ""),
            "Look whether images got lost.",
        )
