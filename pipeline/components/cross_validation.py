"""cross_validation: scores of each fold, their mean and spread, and the verdict on the pairs of all folds together.

Each pair is scored once, by the network that did not see it. numpy only.
"""

from __future__ import annotations

import dataclasses
import pathlib
import statistics

import numpy as np

from pipeline.engine.files import read_json, write_json
from pipeline.evaluation import gate
from pipeline.evaluation.constant_prediction import constant_prediction
from pipeline.evaluation.image_scores import ScoredImages
from pipeline.settings.evaluator import Evaluator

OUT_OF_FOLD = "out of fold"
"""Name of the split that is scored."""
MEASURES = (
    "mean_iou",
    "pixel_accuracy",
    "mean_accuracy",
    "frequency_weighted_iou",
    "boundary_f1",
    *gate.OBJECT_SCORES,
)


def cross_validation(out: pathlib.Path, config: Evaluator, **evaluations: pathlib.Path):
    """Writes `out/scores.json`: "folds", "spread" of each measure, the scores of all pairs together, and the verdict.

    A row of "folds" has the number of images, the measures and the IoU of each class; "spread" has mean, standard deviation
    between folds (n - 1 in the denominator), lowest and highest. The folds' training pairs overlap, so the deviation is no
    measure of the error of the mean (Bengio and Grandvalet 2004). The gate is that of a single model, without a comparison.

    Args:
        out: folder to write below.
        config: the gate.
        **evaluations: artifacts of the evaluator, one for each fold.
    """
    folders = [folder for _, folder in sorted(evaluations.items())]
    scores = [read_json(folder / "scores.json") for folder in folders]
    classes = scores[0]["classes"]
    found = [row["original_size"] for row in scores]
    images = ScoredImages.load(*(folder / "images.npz" for folder in folders))
    whole = images.scores()
    measures = [name for name in MEASURES if name in whole]
    matrix = np.sum([row["matrix"] for row in found], axis=0)
    slices, number = images.slice_scores(), len(images.keys)
    constant = constant_prediction(int(matrix.sum(axis=1).argmax()), matrix, classes)
    thresholds = gate.apply_thresholds(config.thresholds, whole, slices, classes, number)
    where = f"the {number} pairs of {len(folders)} folds"
    reasons = gate.failures(config, whole["mean_iou"], constant, thresholds, None, where)
    result = {"split": OUT_OF_FOLD, "images": number, "classes": classes, "blessed": not reasons, "reasons": reasons}
    result["folds"] = [
        {"images": row["images"], **{name: scored[name] for name in (*measures, "iou")}}
        for row, scored in zip(scores, found, strict=True)
    ]
    result["spread"] = {name: describe_spread([row[name] for row in result["folds"]]) for name in measures}
    result |= {"original_size": whole | {"matrix": matrix.tolist()}, "slices": slices, "thresholds": thresholds}
    result |= {"commonest_class": constant, "baseline": None}
    result["gate"] = dataclasses.asdict(dataclasses.replace(config, margin=None))
    write_json(out / "scores.json", result, allow_nan=False)


def describe_spread(values: list[float | None]) -> dict | None:
    """Mean, standard deviation, lowest and highest of a score over folds; None where no fold defines it.

    Example:
        >>> describe_spread([0.5, 0.7, None])["mean"]
        0.6
    """
    values = [value for value in values if value is not None]
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "deviation": deviation, "low": min(values), "high": max(values)}
