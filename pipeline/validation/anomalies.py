"""Anomalies: what is wrong with data, how severe it is, and how it is shown on a console. Standard library only.

`anomalies.json` holds {"anomalies": [...], "distances": [...]}, the anomalies as `Anomaly` has them, the most severe first. Files
of earlier versions lack `count` and `examples`, and are read all the same.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

from pipeline.engine.files import read_json

FILE = "anomalies.json"
LABELS = {"stop": "stop", "quarantine": "quarantined", "warn": "warning"}
"""Severities, the most severe first, and their words on a console."""

WARNINGS = (
    "shifted_masks",
    "mismatched_masks",
    "duplicates_across_splits",
    "class_missing_in_train",
    "class_missing",
    "conflicting_labels",
    "unlabelled_held_out",
    "narrow_at_training_size",
    "exif_orientation",
    "dark_16_bit",
    "reordered_palettes",
    "empty_masks",
    "rare_classes",
    "drift_of_channels",
    "drift_of_classes",
    "drift_of_brightness",
    "near_duplicates_across_splits",
    "skew_of_classes",
    "skew_of_brightness",
    "unused_masks",
    "tiny_images",
    "duplicates",
    "near_duplicates",
    "foreign_files",
    "unused_splits",
)
"""The most severe first: what makes scores wrong, then what training cannot learn, then what only deserves a look."""

LISTED, SHOWN = 5, 3  # examples in a file, and on a console


@dataclasses.dataclass(frozen=True)
class Anomaly:
    """One finding.

    Attributes:
        severity: one of "stop", "quarantine", "warn".
        name: as listed in docs/data_validation.md.
        what: requirement, and what was received.
        where: place, or the first few of the places, as text.
        cure: what helps.
        count: how many images, files or classes it concerns.
        examples: the first few of them.
    """

    severity: str
    name: str
    what: str
    where: str
    cure: str
    count: int = 1
    examples: tuple[str, ...] = ()

    def __str__(self):
        return f"{self.what} [{self.where}]. {self.cure}"


def anomaly_at(places: list[str], severity: str, name: str, what: str, cure: str) -> Anomaly:
    """An anomaly of several images, files or classes."""
    more = f", ... ({len(places)} in all)" if len(places) > LISTED else ""
    where = ", ".join(places[:LISTED]) + more
    return Anomaly(severity, name, what, where, cure, count=len(places), examples=tuple(places[:LISTED]))


def quarantined_pair(row: dict[str, str]) -> Anomaly:
    """The anomaly of a row of `quarantined` in ingestion.json."""
    return Anomaly("quarantine", row["name"], row["what"], row["where"], row["cure"], examples=(row["image"],))


def check_usable(number: int, quarantined: list[dict], what: str = "pair", place: str = "") -> None:
    """Refuses data of which nothing can be used.

    Args:
        number: of what can be used.
        quarantined: rows of what cannot, as in ingestion.json.
        what: "pair" or "image".
        place: text that says where, such as " of --target".

    Raises:
        ValueError: the number is 0; the message lists the reasons.
    """
    if not number:
        kinds = "\n  ".join(describe_kinds(map(quarantined_pair, quarantined)))
        raise ValueError(
            f"At least one {what}{place} must be usable. Received: {len(quarantined)} {what}s that are not:\n  {kinds}"
        )


def sort_anomalies(anomalies) -> list[Anomaly]:
    """Anomalies by severity, warnings by their order in WARNINGS."""
    return sorted(anomalies, key=_rank)


def _rank(anomaly) -> tuple[int, int]:
    warning = WARNINGS.index(anomaly.name) if anomaly.name in WARNINGS else len(WARNINGS)
    return list(LABELS).index(anomaly.severity), warning if anomaly.severity == "warn" else 0


def describe_kinds(anomalies) -> list[str]:
    """One line per kind, the most severe first, with the number of findings and three examples.

    Example:
        >>> masks = ["a.png", "b.png", "c.png", "d.png"]
        >>> found = anomaly_at(masks, "warn", "unused_masks", "Received: 4 masks without an image", "Restore the images.")
        >>> print(*describe_kinds([found]))
        warning      unused_masks (4): Received: 4 masks without an image [a.png, b.png, c.png, ...]. Restore the images.
    """
    return [_on_one_line(_describe_kind(found)) for found in _group_by_kind(anomalies)]


def list_in_full(anomalies) -> list[str]:
    """The text of each anomaly, up to SHOWN of a kind, and how many more there are."""
    lines = []
    for found in _group_by_kind(anomalies):
        lines += [_on_one_line(str(anomaly)) for anomaly in found[:SHOWN]]
        lines += [f"  {found[0].name}: {len(found) - SHOWN} more"] * (len(found) > SHOWN)
    return lines


def _on_one_line(text: str) -> str:
    """The text without line breaks and other control characters, which names of files and classes may contain."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _group_by_kind(anomalies) -> list[list[Anomaly]]:
    kinds = {}
    for anomaly in sort_anomalies(anomalies):
        kinds.setdefault((anomaly.severity, anomaly.name), []).append(anomaly)
    return list(kinds.values())


def _describe_kind(found: list[Anomaly]) -> str:
    """The anomaly of the largest count in full, the others of its kind as a number and examples."""
    first, *others = sorted(found, key=lambda anomaly: -anomaly.count)
    more = sum(anomaly.count for anomaly in others)
    number = f" ({first.count + more})" if first.count + more > 1 else ""
    received = first.what + (f"; {more} more" if more else "")
    return f"{LABELS[first.severity]:11}  {first.name}{number}: {received} [{_places([first, *others])}]. {first.cure}"


def _places(found: list[Anomaly]) -> str:
    """Where a single finding is, or SHOWN examples of several, files of the first one's folder by name."""
    if len(found) == 1 and (found[0].count == 1 or not found[0].examples):
        return found[0].where
    places = [place for anomaly in found for place in anomaly.examples or (anomaly.where,)]
    folder = f"{os.path.dirname(places[0])}/"
    names = [places[0], *(place.removeprefix(folder) for place in places[1:SHOWN])]
    return ", ".join(names) + (", ..." if sum(anomaly.count for anomaly in found) > SHOWN else "")


def read_anomalies(folder: pathlib.Path) -> list[Anomaly]:
    """The anomalies in an artifact of example_validator."""
    rows = read_json(folder / FILE)["anomalies"]
    return [Anomaly(**row | {"examples": tuple(row.get("examples", ()))}) for row in rows]


def summarize_anomalies(folder: pathlib.Path) -> str:
    """The text for a console about an artifact of example_validator; empty where nothing was found."""
    anomalies = read_anomalies(folder)
    if not anomalies:
        return ""
    quarantined = sum(anomaly.severity == "quarantine" for anomaly in anomalies)
    kinds = len({anomaly.name for anomaly in anomalies if anomaly.severity == "warn"})
    counts = [f"{quarantined} quarantined"] * (quarantined > 0)
    counts += [f"{kinds} warning{'s' * (kinds > 1)}"] * (kinds > 0)
    return "\n  ".join([f"{', '.join(counts)}, see {folder / FILE}", *describe_kinds(anomalies)])
