"""Scores of each class and of all, and what refinements would change."""

from __future__ import annotations

import numpy as np

from kseg.serving.manifest import read_manifest
from pipeline.report.run_files import Run

MEASURES = {
    "mean_iou": "mean IoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "boundary_f1": "boundary F1",
    "foreground_rand": "Rand score of objects",
    "rand_split": "of them, not cut apart",
    "rand_merge": "of them, not run together",
}
"""The last three only where objects were counted."""
CLASS_SCORES = ("iou", "precision", "recall", "class_boundary_f1")


def contents(run: Run) -> dict:
    """The variables of `scores.html.j2`."""
    baseline = run.scores["baseline"]
    return {
        "scores": run.scores,
        "plan": run.plan,
        "manifest": read_manifest(run.artifacts["exporter"] / "saved_model"),
        "measures": {key: name for key, name in MEASURES.items() if key in run.scores["original_size"]},
        "classes": class_rows(run),
        "compared": bool(baseline and baseline["compared"]),
        "refinements": run.scores["refinements"],
        "unlabelled": run.scores["unlabelled"],
    }


def class_rows(run: Run) -> list[dict]:
    """A row for each class: name, colour, share of the scored pixels, scores, IoU at the training size and of the baseline."""
    scores = run.scores
    pixels = np.array(scores["original_size"]["matrix"]).sum(axis=1)
    columns = {
        "name": run.labels.names,
        "colour": run.labels.colours,
        "share": (pixels / max(1, pixels.sum())).tolist(),
        **{score: scores["original_size"][score] for score in CLASS_SCORES},
        "training_iou": scores["training_size"]["iou"],
        "baseline_iou": (scores["baseline"] or {}).get("iou", [None] * len(pixels)),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
