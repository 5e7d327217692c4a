"""evaluator: scores the exported SavedModel, not the Keras model, and decides whether it passes the gate.

It judges what will be served: the stored bytes of each image go to the signature `serve_bytes`, and the PNG that returns is
compared with the mask at its original size. The transformed pairs are scored as well, at the training size, through
`serving_default`, whose confidences measure calibration. The counts of each image are kept, so that slices are scored too and the
pushed model is compared image by image. Optionally, refinements are scored on the same images; with superpixels also two oracles,
which show how much regions leave to gain, and how much of that needed labels. A model that fails is not an error: the verdict
(`pipeline/evaluation/gate.py`) gives the reasons, and nothing is pushed. Beam.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib

import numpy as np

from kseg import metrics
from kseg.labels import LabelMap
from kseg.pairs.channels import PixelKind
from kseg.pairs.split_names import TARGET, UNLABELLED
from kseg.serving.manifest import has_seen, read_manifest
from kseg.serving.statuses import TILE
from pipeline.engine import progress
from pipeline.engine.files import read_json, write_json
from pipeline.evaluation import gate
from pipeline.evaluation.constant_prediction import constant_prediction
from pipeline.evaluation.image_scores import ScoredImages
from pipeline.evaluation.pair_counts import CountPairs, OracleCounts, PairCounts, count_pairs
from pipeline.evaluation.ranked_images import rank_images, save_ranked_images
from pipeline.examples import prepared
from pipeline.settings import refinements as refinement_settings
from pipeline.settings.evaluator import Evaluator
from pipeline.settings.prediction import PredictionOptions

WITH_INTERVAL = ("mean_iou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou")

ORACLES = {"superpixels": False, "merged_by_colour": True}
"""Regions whose best labels are scored: whether neighbouring superpixels of similar colour are merged."""


def evaluator(
    out: pathlib.Path,
    config: Evaluator,
    *,
    export: pathlib.Path,
    examples: pathlib.Path,
    transform: pathlib.Path,
    statistics: pathlib.Path,
    baseline: pathlib.Path | None = None,
    beam_options: list[str] = (),
):
    """Writes `out/scores.json`: scores and matrices at both sizes, slices, the score of the most common class, the verdict.

    "intervals" holds the 95 % intervals of scores at the original size. "refinements" and "unlabelled", the scores of the
    oracles, are empty unless `config.refinements` requests them. A score is null where it is undefined, such as the boundary F1
    of images that show one class each. `images.npz` holds the table of `ScoredImages` at original size, but the
    confidences at the training size; `ranked_images/` the worst, median and best images with their predictions.

    "held_out" is false where the network learned from the images of the split: none of its scores is of images that it does not
    know, and no version is compared with it, nor is one that knows them.

    "target" is the number of images without masks of another domain that training saw, if there are any: no score is of them.

    Args:
        out: folder to write below.
        config: the split and the gate.
        export: artifact of the exporter; its `saved_model/` is scored.
        examples: artifact of example_gen, the pairs at their original size.
        transform: artifact of transform, the same pairs at their working size.
        statistics: artifact of statistics_gen, which knows the most common class of the training split.
        baseline: the pushed version to compare with on the same images, a SavedModel; None: there is none.
        beam_options: Beam's command line.

    Raises:
        ValueError: the data set has no such split, the split has no labelled pixel, a class, threshold or refinement does not
            exist, the model already refines its predictions by the DenseCRF that is to be scored, or the baseline does not load.
    """
    # Check the settings against the data and the models, before anything is predicted.
    labels, saved_model, plan = LabelMap.load(examples), export / "saved_model", read_json(transform / "plan.json")
    gate.check_thresholds(config.thresholds, labels.names, object_class=config.object_class)
    objects = gate.object_id(config.object_class, labels.names)
    refinements = _refinements(config, export, plan)
    split, num_images = _choose_split(config.split, examples)
    held_out = not has_seen(read_manifest(saved_model), split)
    incomparable = baseline and (
        _why_incomparable(baseline, labels.names, plan) or _why_unfair(held_out, baseline, split)
    )
    oracles = ORACLES if "superpixels" in refinements else {}
    passes = 2 + len(refinements) + bool(baseline and not incomparable) + len(oracles)
    progress.set_total(passes * num_images)

    # Count every pair: as served, at the training size, by the baseline, refined, by the oracles.
    size = (labels.num_classes, config.boundary_tolerance)
    reads = [examples, transform, saved_model, *([baseline] if baseline and not incomparable else [])]
    elsewhere = {"beam_options": beam_options, "reads": reads}
    count = functools.partial(count_pairs, out, examples, split, **elsewhere)
    original = count(CountPairs(saved_model, "serve_bytes", *size, object_class=objects))
    # An export fits a pair into the size in which it is already. One that multiplies the sides of images would do so twice, so it
    # gets the original images, and its label maps are reduced as the masks were.
    factor = plan.get("image_scale")
    at_working_size = CountPairs(saved_model, "serving_default", *size, working_scale=factor)
    fitted = count_pairs(out, examples if factor else transform, split, at_working_size, **elsewhere)
    _check_labelled(original.matrix, split, examples)
    ranked = rank_images(original.images)
    save_ranked_images(out, ranked, saved_model, examples, split, **elsewhere)  # before another model is loaded
    theirs = None if incomparable or not baseline else count(CountPairs(baseline, "serve_bytes", *size))
    refined = {
        name: refinement_scores(count(CountPairs(saved_model, "serve_bytes", *size, settings)), original, settings)
        for name, settings in refinements.items()
    }
    unlabelled = {
        name: oracle_scores(count(OracleCounts(*size, refinements["superpixels"].superpixels, merged)))
        for name, merged in oracles.items()
    }
    images = dataclasses.replace(original.images, counts=fitted.images.counts | original.images.counts)
    images.save(out / "images.npz")

    # Score all images and the slices, against the most common class and against the baseline.
    slices = images.slice_scores()
    scores = {"original_size": _all_scores(original), "training_size": _all_scores(fitted)}
    constant = constant_prediction(_most_common_class(statistics), original.matrix, labels.names)
    comparison = _comparison(baseline, incomparable, original, theirs)

    # Decide, and write everything.
    thresholds = gate.apply_thresholds(config.thresholds, images.scores(), slices, labels.names, num_images)
    target = _target_images(plan)
    mean_iou, where = scores["original_size"]["mean_iou"], gate.describe_split(split, num_images, target)
    reasons = gate.failures(config, mean_iou, constant, thresholds, comparison, where, held_out=held_out)
    result = {"split": split, "images": num_images, "classes": labels.names, "blessed": not reasons, "reasons": reasons}
    result |= {"held_out": held_out}
    result |= {"refinements": refined, "unlabelled": unlabelled, "baseline": comparison}
    result |= {"gate": dataclasses.asdict(config), "thresholds": thresholds, **scores}
    result |= {
        "intervals": score_intervals(original.images),
        "commonest_class": constant,
        "slices": slices,
        "boundary_tolerance": config.boundary_tolerance,
    }
    result |= {"target": target} if target else {}
    result |= {"ranked_images": [dataclasses.asdict(image) for image in ranked]}
    write_json(out / "scores.json", result, allow_nan=False)


def score_intervals(images: ScoredImages) -> dict:
    """The 95 % intervals of scores over images: {"low", "high"} by name, a list of them by class for "iou".

    Args:
        images: with the counts of each image. An end is None where the score is undefined.
    """

    def chosen(counts):
        found = metrics.scores_of_counts(counts)
        return [*(found[name] for name in WITH_INTERVAL), *(np.nan if iou is None else iou for iou in found["iou"])]

    ends = zip(*metrics.score_interval(images.counts["classes"], chosen), strict=True)
    intervals = [
        {name: None if np.isnan(end) else float(end) for name, end in zip(("low", "high"), pair, strict=True)}
        for pair in ends
    ]
    return dict(zip(WITH_INTERVAL, intervals, strict=False)) | {"iou": intervals[len(WITH_INTERVAL) :]}


def _refinements(config: Evaluator, export: pathlib.Path, plan: dict) -> dict[str, PredictionOptions]:
    """The refinements to score, as settings of `pipeline.predict`."""
    if not config.refinements:
        return {}
    size = plan["image_size"] or TILE
    refinements = {name: refinement_settings.prediction_options(name, size, config.crf) for name in config.refinements}
    if "crf" in refinements:
        refinement_settings.check_unrefined(export / "saved_model", "Remove crf from evaluator.refinements.")
    return refinements


def _choose_split(setting: str, examples: pathlib.Path) -> tuple[str, int]:
    """The split to score and its number of pairs."""
    available = {name: number for name, number in prepared.split_sizes(examples).items() if name != UNLABELLED}
    split = setting
    if setting == "auto":
        split = "test" if available.get("test") else "validation"
    if not available.get(split):
        raise ValueError(
            f"`split` must be one of {', '.join(available)}, or auto (test if there is one, else validation). "
            f"Received: evaluator.split={setting} [{examples}]."
        )
    return split, available[split]


def _target_images(plan: dict) -> int:
    """The number of images without masks of another domain that training saw."""
    return plan["examples"][UNLABELLED] if plan.get("unlabelled_domain") == TARGET else 0


def _why_incomparable(baseline: pathlib.Path, names: tuple[str, ...], plan: dict) -> str | None:
    """Why the pushed version cannot be compared on these data; None if it can.

    Raises:
        ValueError: it does not load. To pass it over would let any model pass.
    """
    if not (baseline / "assets" / "labels.json").is_file():
        return f"Its classes are unknown: {baseline} has no assets/labels.json."
    try:
        theirs = LabelMap.load(baseline / "assets").names
    except ValueError:
        return f"Its classes are unknown: {baseline / 'assets' / 'labels.json'} is damaged."
    if theirs != names:
        return f"Its classes are {', '.join(theirs)}; the data have {', '.join(names)}."
    signatures = _load(baseline).signatures
    if "serving_default" not in signatures or not {"serve_bytes", "probabilities"} & set(signatures):
        return f"It has no signature serve_bytes: {baseline} was not exported by kseg."
    kind = PixelKind.recorded(plan)
    theirs = PixelKind.of(signatures["serving_default"].structured_input_signature[1]["image"])
    if theirs != kind and not (theirs.is_plain and kind.is_plain):  # encoded grey and RGB become each other
        return f"Its images have {theirs}; the data have {kind}."
    return None


def _why_unfair(held_out: bool, baseline: pathlib.Path, split: str) -> str | None:
    """Why the scores of two models that can be compared do not say which is better; None if they do."""
    if held_out and not has_seen(read_manifest(baseline), split):
        return None
    learned = "It" if held_out else "The new model"
    return f"{learned} learned from the images of the split {split!r}, by which both would be judged."


def _load(baseline: pathlib.Path):
    """The pushed version, as the workers will load it."""
    import tensorflow as tf

    try:
        return tf.saved_model.load(str(baseline))
    except (OSError, ValueError, LookupError, RuntimeError, tf.errors.OpError) as error:
        first = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise ValueError(
            f"The newest pushed version must load, to be compared with. Received: {first[0][:200]} [{baseline}]. Remove it, or "
            "move it elsewhere: then the version before it is compared with. With evaluator.margin=none there is no comparison."
        ) from None


def _check_labelled(matrix: np.ndarray, split: str, examples: pathlib.Path):
    if not matrix.any():
        raise ValueError(
            f"The split to score must have labelled pixels. Received: only void on {split!r} [{examples}]. "
            "Choose another one with evaluator.split."
        )


def _comparison(baseline, incomparable, ours: PairCounts, theirs: PairCounts | None) -> dict | None:
    """The "baseline" of scores.json; None if there is none."""
    if not baseline:
        return None
    if incomparable:
        return {"version": baseline.name, "compared": False, "why": incomparable}
    return {"version": baseline.name, "compared": True} | compare_images(ours.images, theirs.images)


def compare_images(ours: ScoredImages, theirs: ScoredImages) -> dict:
    """Compares two models on the same images.

    Returns:
        "mean_iou" and "iou" (K) of theirs, the "difference" of our mean IoU from it, and "low" and "high", the ends of the
        difference's 95 % interval.
    """

    def mean_iou(counts):
        return metrics.scores_of_counts(counts)["mean_iou"]

    interval = metrics.paired_difference(ours.counts["classes"], theirs.counts["classes"], mean_iou)
    scores = theirs.scores()
    result = {"mean_iou": scores["mean_iou"], "iou": scores["iou"]}
    return result | {"difference": interval.value, "low": interval.low, "high": interval.high}


def refinement_scores(refined: PairCounts, original: PairCounts, settings: PredictionOptions) -> dict:
    """Scores with a refinement, the difference it makes to mean IoU with its 95 % interval, and DenseCRF's parameters."""
    comparison = compare_images(refined.images, original.images)
    scores = _main_scores(refined) | {name: comparison[name] for name in ("difference", "low", "high")}
    return scores | ({"settings": settings.crf} if settings.crf else {})


def oracle_scores(oracle: PairCounts) -> dict:
    """Scores of the best labels that regions could have, and the mean number of regions per image."""
    return _main_scores(oracle) | {"regions": float(oracle.images.counts["regions"].mean())}


def _main_scores(counts: PairCounts) -> dict:
    scores = counts.images.scores()
    return {name: scores[name] for name in ("mean_iou", "boundary_f1", "iou")}


def _all_scores(counts: PairCounts) -> dict:
    """Every score, None where it is undefined, and the matrix."""
    return counts.images.scores() | {"matrix": counts.matrix.tolist()}


def _most_common_class(statistics: pathlib.Path) -> int:
    """Id of the class with most pixels in the training split."""
    counts = read_json(statistics / "statistics.json")["splits"]["train"]["class_pixels"]
    return int(np.argmax(counts))
