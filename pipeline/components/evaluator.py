"""evaluator: scores the exported SavedModel, not the Keras model, and says whether it passes the gate.

What is judged is what will be served: the stored bytes of each image go through the signature `serve_bytes`, and the PNG that
comes back is counted against the mask at its original size. The transformed pairs are scored beside it at the training size,
through `serving_default`, whose confidences show whether the model is as often right as it claims. Each image becomes counts,
and counts are summed over shards and workers; those that every score follows from are kept for each image, so that slices are
scored too, and the pushed model is compared image by image. A model that fails is not an error: the verdict
(`pipeline/gate.py`) says so, and nothing is pushed.
Beam; TensorFlow only in the workers that predict.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import pathlib

import apache_beam as beam
import numpy as np
from apache_beam.utils import shared
from PIL import Image

from kseg import metrics
from kseg.datasets.image_files import decode_image
from kseg.labels import VOID, LabelMap
from pipeline import beam as shards
from pipeline import gate, progress, refinements
from pipeline.config import Evaluator
from pipeline.prediction_settings import Settings
from pipeline.scored_images import ScoredImages

IMAGES_A_BATCH = 4


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
        ValueError: the data set has no such split, the split has no labelled pixel, or a threshold names nothing.
    """
    labels = LabelMap.load(examples)
    gate.check(config.thresholds, labels.names)
    size = json.loads((transform / "plan.json").read_text())["image_size"] if config.refinements else None
    refined = {name: refinements.named(name, size) for name in config.refinements}
    split, images = _split(config.split, examples)
    incomparable = _incomparable(baseline, labels.names) if baseline else None
    progress.total((len(refined) + (3 if baseline and not incomparable else 2)) * images)
    count = functools.partial(Count, num_classes=labels.num_classes, tolerance=config.boundary_tolerance)
    original = _counted(out, examples, split, count(model / "saved_model", "serve_bytes"), beam_options)
    fitted = _counted(out, transform, split, count(model / "saved_model", "serving_default"), beam_options)
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
        theirs = _counted(out, examples, split, count(baseline, "serve_bytes"), beam_options)
        comparison = {"version": baseline.name, "compared": True} | compared(original.images, theirs.images)
    beside = {}
    for name, settings in refined.items():
        theirs = _counted(
            out, examples, split, count(model / "saved_model", "serve_bytes", refined=settings), beam_options
        )
        known = {key: theirs.images.scores()[key] for key in ("mean_iou", "boundary_f1", "iou")}
        beside[name] = known | {
            key: compared(theirs.images, original.images)[key] for key in ("difference", "low", "high")
        }
    thresholds = gate.measured(config.thresholds, every.scores(), slices, labels.names, images)
    mean_iou, where = scores["original_size"]["mean_iou"], f"{split!r} ({images} images)"
    reasons = gate.verdict(config, mean_iou, always_one, thresholds, comparison, where)
    result = {"split": split, "images": images, "classes": labels.names, "blessed": not reasons, "reasons": reasons}
    result |= {
        "refinements": beside,
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
    available = shards.splits(examples)
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


@dataclasses.dataclass(frozen=True)
class Counted:
    """One model's answers on one split: the confusion matrix (K, K), int64, and the images one by one."""

    matrix: np.ndarray
    images: ScoredImages


def _counted(out, directory, split, count, beam_options) -> Counted:
    """What `count` counts in all pairs of the split; matrices are summed by Beam, the small rest is kept for each image."""
    sums, rows = out / "sums.jsonl", out / "rows.jsonl"
    with beam.Pipeline(options=shards.pipeline_options(beam_options)) as pipeline:
        counted = (
            pipeline
            | "Read" >> shards.ReadExamples(directory, split)
            | "Batch" >> beam.BatchElements(min_batch_size=IMAGES_A_BATCH, max_batch_size=IMAGES_A_BATCH)
            | "Predict and count" >> beam.ParDo(count).with_outputs("images", main="matrices")
        )
        _ = (
            counted.matrices
            | "Sum" >> beam.CombineGlobally(shards.SumCounts())
            | "As lists" >> beam.Map(np.ndarray.tolist)
            | "Collect sum" >> shards.Collect(sums)
        )
        _ = counted.images | "Collect images" >> shards.Collect(rows)
    (matrix,) = shards.collected(sums)
    return Counted(np.array(matrix, np.int64), ScoredImages.of(shards.collected(rows)))


def _scores(counted: Counted) -> dict:
    """Every score, None where it has no meaning, and the matrix."""
    return counted.images.scores() | {"matrix": counted.matrix.tolist()}


class Count(beam.DoFn):
    """Batches of stored pairs to the confusion matrix of each, and as "images" one row of `ScoredImages.of` for each.

    Args:
        saved_model: folder of the export; loaded once a worker process, whatever its number of threads.
        signature: "serve_bytes", which is sent what is stored, or "serving_default", which is sent pixels one by one.
        num_classes: K.
        tolerance: of boundaries, in pixels.
        refined: settings of `pipeline.predict`, by which the model is asked instead of by the signature; None: by that.
    """

    def __init__(
        self,
        saved_model: pathlib.Path,
        signature: str,
        num_classes: int,
        tolerance: float,
        refined: Settings | None = None,
    ):
        self._saved_model, self._handle, self._refined = str(saved_model), shared.Shared(), refined
        self._signature, self._num_classes, self._tolerance = signature, num_classes, tolerance

    def setup(self):
        self._model = self._handle.acquire(self._load, tag=f"{self._saved_model} {self._refined}")

    def _load(self):
        import tensorflow as tf  # only where predictions are made: a worker needs seconds to import it

        if self._refined:
            return refinements.labeller([pathlib.Path(self._saved_model)], self._refined)
        return tf.saved_model.load(self._saved_model)

    def process(self, pairs):
        answer = {"serve_bytes": self._of_bytes, "serving_default": self._of_pixels}[self._signature]
        answer = self._of_refined if self._refined else answer
        answers = answer([image_bytes for _, image_bytes, _ in pairs])
        for (key, image_bytes, mask_bytes), (label_map, confidence) in zip(pairs, answers, strict=True):
            truth = _ids(mask_bytes)
            matrix = metrics.confusion_matrix(truth, label_map, self._num_classes)
            counts = {
                "classes": metrics.class_counts(matrix),
                "boundary": metrics.boundary_counts(truth, label_map, self._num_classes, self._tolerance),
            }
            if confidence is not None:
                counts["calibration"] = metrics.calibration_counts(truth, label_map, confidence, self._num_classes)
            row = {"key": key, "traits": traits(decode_image(image_bytes), truth)}
            yield matrix
            yield beam.pvalue.TaggedOutput("images", row | {"counts": {n: c.tolist() for n, c in counts.items()}})
            progress.advance()

    def _of_bytes(self, images):
        """Label map (H, W) of each image, and no confidence."""
        import tensorflow as tf

        answers = self._model.signatures["serve_bytes"](image_bytes=tf.constant(images))
        for answer in answers["label_map_bytes"].numpy():
            yield _ids(answer), None

    def _of_refined(self, images):
        """Label map (H, W) of each image, and no confidence."""
        for image_bytes in images:
            yield self._model(decode_image(image_bytes)), None

    def _of_pixels(self, images):
        """Label map and confidence (H, W) of each image; one by one, since their sizes differ."""
        import tensorflow as tf

        for image_bytes in images:
            image = tf.constant(decode_image(image_bytes)[np.newaxis])
            answer = self._model.signatures["serving_default"](image=image)
            yield answer["label_map"][0].numpy(), answer["confidence"][0].numpy()


def _ids(png: bytes) -> np.ndarray:
    """A label map (H, W), uint8, from its PNG."""
    return np.asarray(Image.open(io.BytesIO(png)))


def traits(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """What slices go by, of one image (H, W, C), uint8, and its mask (H, W)."""
    grey = np.asarray(Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).convert("L"))
    classes = np.unique(truth[truth != VOID])
    return {"size": truth.size, "brightness": float(grey.mean()), "classes": len(classes)}


def always(class_id: int, matrix: np.ndarray) -> np.ndarray:
    """The confusion matrix (K, K) of the label map that says one class everywhere, on the pixels that `matrix` counts."""
    baseline = np.zeros_like(matrix)
    baseline[:, class_id] = matrix.sum(axis=1)
    return baseline
