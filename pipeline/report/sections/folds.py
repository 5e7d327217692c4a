"""Scores of each fold of a cross-validation, their mean and spread, and which scores decide on the mean of the networks."""

from __future__ import annotations

from pipeline.report.sections.scores import MEASURES
from pipeline.report.terminal import describe_held_out


def contents(folds: dict, mean: dict | None) -> dict:
    """The variables of `folds.html.j2`.

    Args:
        folds: `scores.json` of cross_validation.
        mean: `scores.json` by which the mean of the folds is pushed or not; None: it is not exported.
    """
    measures = {name: MEASURES[name] for name in folds["spread"]}
    return {
        "scores": folds,
        "measures": measures,
        "classes": [
            {"name": name, "folds": [row["iou"][number] for row in folds["folds"]], "whole": whole}
            for number, (name, whole) in enumerate(zip(folds["classes"], folds["original_size"]["iou"], strict=True))
        ],
        "held_out": mean and describe_held_out(mean),
        "reasons": (mean or folds)["reasons"],
    }
