"""evaluator: scores the exported SavedModel, not the Keras model, and says whether it passes the gate.

What is judged is what will be served: the stored bytes of each image go through the signature `serve_bytes`, and the PNG that
comes back is counted against the mask at its original size. The transformed pairs are scored beside it at the training size,
through `serving_default`, whose confidences show whether the model is as often right as it claims. Each image becomes counts,
and counts are summed over shards and workers; those that every score follows from are kept for each image, so that slices are
scored too, and the pushed model is compared image by image. Refinements are scored beside it, on request; beside the vote of
superpixels also the best that any labelling of them could score, and of larger regions that no label was needed for: so one sees
what they leave to gain, and what was learned from labels. A model that fails is not an error: the verdict
(`pipeline/evaluation/gate.py`) says so, and nothing is pushed. Beam.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib

import numpy as np

from kseg import metrics
from kseg.labels import LabelMap
from pipeline.engine import progress
from pipeline.evaluation import gate
from pipeline.evaluation.image_scores import ScoredImages
from pipeline.evaluation.pair_counts import Count, CountBest, Counted, counted
from pipeline.examples import prepared
from pipeline.settings import refinements as refinement_settings
from pipeline.settings.evaluator import Evaluator
from pipeline.settings.prediction import Settings

BOUNDS = {"superpixels": False, "merged_by_colour": True}
"""Divisions of which the best labels are scored: whether neighbouring superpixels of like colour are one region."""


def evaluator(
    out: pathlib.Path,
    config: Evaluator,
    *,
    model: pathlib.Path,
    examples: pathlib.Path,
    transform: pathlib.Path,
    statistics: pathlib.Path,
    baseline: pathlib.Path | None = None,
    beam_options: list[str] = (),
):
    """Writes `out/scores.json`: scores and matrices at both sizes, slices, the commonest class's score, blessed and reasons.

    "refinements" and "unlabelled", the bounds of regions, are empty where `config.refinements` does not ask for them.
    Beside it lies `images.npz`, the table of `ScoredImages` at original size.

    A score is null where it has no meaning, such as the boundary F1 of images that show one class each.

    Args:
        out: folder to write below.
        config: the split and the gate.
        model: artifact of the trainer; its `saved_model/` is scored.
        examples: artifact of example_gen, the pairs at their original size.
        transform: artifact of transform, the same pairs at the training size.
        statistics: artifact of statistics_gen, which knows the commonest class of the training split.
        baseline: the pushed version that the model is compared with on the same images, a SavedModel; None: there is none.
        beam_options: Beam's command line.

    Raises:
        ValueError: the data set has no such split, the split has no labelled pixel, a threshold or refinement names nothing, or
            the model refines itself by the DenseCRF that is to be scored beside it.
    """
    labels = LabelMap.load(examples)
    gate.check(config.thresholds, labels.names)
    size = json.loads((transform / "plan.json").read_text())["image_size"] if config.refinements else None
    refined = {name: refinement_settings.named(name, size, config.crf) for name in config.refinements}
    if "crf" in refined:
        refinement_settings.check_unrefined(model / "saved_model", "Leave crf out of evaluator.refinements.")
    split, images = _split(config.split, examples)
    incomparable = _incomparable(baseline, labels.names) if baseline else None
    rounds = 2 + len(refined) + bool(baseline and not incomparable) + len(BOUNDS) * ("superpixels" in refined)
    progress.total(rounds * images)
    count = functools.partial(Count, num_classes=labels.num_classes, tolerance=config.boundary_tolerance)
    ask = functools.partial(counted, out, examples, split, beam_options=beam_options)
    original = ask(count(model / "saved_model", "serve_bytes"))
    fitted = counted(out, transform, split, count(model / "saved_model", "serving_default"), beam_options)
    matrix = original.matrix
    if not matrix.any():
        raise ValueError(
            f"The split to be scored must have labelled pixels. Received: only void on {split!r} [{examples}]. "
            "Choose another one with evaluator.split."
        )
    original.images.save(out / "images.npz")
    scores = {"original_size": _scores(original), "training_size": _scores(fitted)}
    every = dataclasses.replace(original.images, counts=fitted.images.counts | original.images.counts)
    slices = {
        name: {"meaning": meaning, "images": int(chosen.sum()), **every.scores(chosen)}
        for name, (meaning, chosen) in every.slices().items()
    }
    commonest = _commonest_class(statistics)
    always_one = {
        "name": labels.names[commonest],
        "mean_iou": metrics.scores(always(commonest, matrix))["mean_iou"],
    }
    comparison = None
    if incomparable:
        comparison = {"version": baseline.name, "compared": False, "why": incomparable}
    elif baseline:
        theirs = ask(count(baseline, "serve_bytes"))
        comparison = {"version": baseline.name, "compared": True} | compared(original.images, theirs.images)
    beside = {
        name: _beside(ask(count(model / "saved_model", "serve_bytes", refined=settings)), original, settings)
        for name, settings in refined.items()
    }
    unlabelled = {}
    if "superpixels" in refined:
        number, settings = refined["superpixels"].superpixels, (labels.num_classes, config.boundary_tolerance)
        unlabelled = {name: _bound(ask(CountBest(*settings, number, merged))) for name, merged in BOUNDS.items()}
    thresholds = gate.measured(config.thresholds, every.scores(), slices, labels.names, images)
    mean_iou, where = scores["original_size"]["mean_iou"], f"{split!r} ({images} images)"
    reasons = gate.verdict(config, mean_iou, always_one, thresholds, comparison, where)
    result = {"split": split, "images": images, "classes": labels.names, "blessed": not reasons, "reasons": reasons}
    result |= {
        "refinements": beside,
        "unlabelled": unlabelled,
        "baseline": comparison,
        "gate": dataclasses.asdict(config),
        "thresholds": thresholds,
        **scores,
    }
    result |= {"commonest_class": always_one, "slices": slices, "boundary_tolerance": config.boundary_tolerance}
    (out / "scores.json").write_text(json.dumps(result, indent=1, allow_nan=False))


def _incomparable(baseline: pathlib.Path, names: tuple[str, ...]) -> str | None:
    """Why a pushed version cannot be compared on these data; None where it can."""
    if not (baseline / "assets" / "labels.json").is_file():
        return f"It does not say its classes: {baseline} has no assets/labels.json."
    theirs = LabelMap.load(baseline / "assets").names
    if theirs != names:
        return f"Its classes are {', '.join(theirs)}; those of the data are {', '.join(names)}."
    return None


def compared(ours: ScoredImages, theirs: ScoredImages) -> dict:
    """The model against the baseline on the same images.

    Returns:
        "mean_iou" and "iou" (K) of the baseline, "difference" of the model's mean IoU from it, and the ends "low" and "high" of
        its 95 % interval.
    """

    def mean_iou(counts):
        return metrics.scores_of_counts(counts)["mean_iou"]

    found = metrics.paired_difference(ours.counts["classes"], theirs.counts["classes"], mean_iou)
    scores = theirs.scores()
    known = {"mean_iou": scores["mean_iou"], "iou": scores["iou"]}
    return known | {"difference": found.value, "low": found.low, "high": found.high}


def _split(wanted: str, examples: pathlib.Path) -> tuple[str, int]:
    """The split to be scored and its number of pairs."""
    available = prepared.split_sizes(examples)
    split = wanted
    if wanted == "auto":
        split = "test" if available.get("test") else "validation"
    if not available.get(split):
        raise ValueError(
            f"`split` must be one of {', '.join(available)}, or auto (test where there is one, else validation). "
            f"Received: evaluator.split={wanted} [{examples}]."
        )
    return split, available[split]


def _commonest_class(statistics: pathlib.Path) -> int:
    """Id of the class with most pixels in the training split."""
    counts = json.loads((statistics / "statistics.json").read_text())["splits"]["train"]["class_pixels"]
    return int(np.argmax(counts))


def _beside(refined: Counted, original: Counted, settings: Settings) -> dict:
    """Scores of a refinement, the difference of its mean IoU from that without, its 95 % interval, and settings of DenseCRF."""
    difference = compared(refined.images, original.images)
    found = _shown(refined) | {key: difference[key] for key in ("difference", "low", "high")}
    return found | ({"settings": settings.crf} if settings.crf else {})


def _bound(best: Counted) -> dict:
    """Scores of the best labels of regions, and how many regions an image has on average."""
    return _shown(best) | {"regions": float(best.images.counts["regions"].mean())}


def _shown(found: Counted) -> dict:
    """The scores that the table of refinements shows."""
    scores = found.images.scores()
    return {key: scores[key] for key in ("mean_iou", "boundary_f1", "iou")}


def _scores(found: Counted) -> dict:
    """Every score, None where it has no meaning, and the matrix."""
    return found.images.scores() | {"matrix": found.matrix.tolist()}


def always(class_id: int, matrix: np.ndarray) -> np.ndarray:
    """The confusion matrix (K, K) of the label map that says one class everywhere, on the pixels that `matrix` counts."""
    baseline = np.zeros_like(matrix)
    baseline[:, class_id] = matrix.sum(axis=1)
    return baseline
