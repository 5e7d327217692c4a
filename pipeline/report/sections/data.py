"""The data: splits, sizes, shares of the classes, and what is wrong with them, with pictures of what was quarantined."""

from __future__ import annotations

import numpy as np

from kseg.labels import LabelMap
from kseg.pairs.split_names import TARGET, UNLABELLED
from pipeline.report.quarantined import group_by_reason
from pipeline.report.run_files import Run

NAMED_CLASSES = 20  # of a split, in its alternative text


def contents(run: Run) -> dict:
    """The variables of `data.html.j2`."""
    names, colours = run.labels.names, run.labels.colours
    return {
        "place": run.ingestion.get("place"),
        "others": _without_masks(run.ingestion, run.plan),
        "splits": _splits(run.statistics, run.labels),
        "classes": [{"name": name, "colour": colour} for name, colour in zip(names, colours, strict=True)],
        "reencoded": run.ingestion["reencoded"],
        "quarantined": len(run.ingestion["quarantined"]),
        "reasons": group_by_reason(run.ingestion["quarantined"], run.artifacts["example_gen"] / "quarantine"),
        "anomalies": [row for row in run.anomalies["anomalies"] if row["severity"] != "quarantine"],
    }


def _without_masks(ingestion: dict, plan: dict) -> dict | None:
    """The images without masks: their number, of which domain, and what was left out; None where there are none."""
    if not (found := ingestion.get("unlabelled")):
        return None
    of = "of another domain, the target" if found["domain"] == TARGET else "of the same domain"
    held_out = found["images"] - plan["examples"].get(UNLABELLED, 0)
    place = found.get("place")
    return {
        "images": found["images"],
        "of": of,
        "held_out": held_out,
        "masks": len(found["unread_masks"]),
        "place": place,
    }


def _splits(statistics: dict, labels: LabelMap) -> list[dict]:
    """A row for each split: pairs, sizes by area, and the shares of the classes and of void in its pixels."""
    rows = []
    classes = list(zip(labels.names, labels.colours, strict=True))
    for name, split in statistics["splits"].items():
        pixels = max(1, sum(split["class_pixels"]) + split["void_pixels"])
        sizes = sorted(split["sizes"], key=_area)
        median = np.searchsorted(np.cumsum([split["sizes"][size] for size in sizes]), split["images"] / 2)
        shares = [
            {"name": label, "colour": colour, "share": count / pixels}
            for (label, colour), count in zip(classes, split["class_pixels"], strict=True)
        ]
        largest = sorted(shares, key=lambda row: -row["share"])[:NAMED_CLASSES]
        rows.append(
            {
                "name": name,
                "images": split["images"],
                "smallest": sizes[0],
                "median": sizes[int(median)],
                "largest": sizes[-1],
                "void": split["void_pixels"] / pixels,
                "shares": [row for row in shares if row["share"]],
                "named": [row for row in shares if row in largest],
                "others": len(shares) - len(largest),
            }
        )
    return rows


def _area(size: str) -> int:
    """Pixels of a size written as WIDTHxHEIGHT."""
    width, height = size.split("x")
    return int(width) * int(height)
