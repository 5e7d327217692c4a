"""evaluator: scores the exported SavedModel, not the Keras model, and says whether it passes the gate.

What is judged is what will be served: the stored bytes of each image go through the signature `serve_bytes`, and the PNG that
comes back is counted against the mask at its original size. The transformed pairs are scored beside it at the training size,
through `serving_default`, whose confidences show whether the model is as often right as it claims. Each image becomes counts,
and counts are summed over shards and workers. A model that fails is not an error: the verdict says so, and nothing is pushed.
Beam; TensorFlow only in the workers that predict.
"""

from __future__ import annotations

import io
import json
import pathlib

import apache_beam as beam
import numpy as np
from apache_beam.utils import shared
from PIL import Image

from kseg import metrics
from kseg.datasets.image_files import decode_image
from kseg.labels import LabelMap
from pipeline import beam as shards
from pipeline import progress
from pipeline.config import Evaluator

IMAGES_A_BATCH = 4


def evaluator(
    out: pathlib.Path,
    config: Evaluator,
    *,
    model: pathlib.Path,
    examples: pathlib.Path,
    transform: pathlib.Path,
    statistics: pathlib.Path,
    beam_options: list[str] = (),
):
    """Writes `out/scores.json`: scores and matrices at both sizes, the commonest class's score, blessed and reasons.

    A score is null where it has no meaning, such as the boundary F1 of images that show one class each.

    Args:
        out: folder to write below.
        config: the split and the gate.
        model: artifact of the trainer; its `saved_model/` is scored.
        examples: artifact of example_gen, the pairs at their original size.
        transform: artifact of transform, the same pairs at the training size.
        statistics: artifact of statistics_gen, which knows the commonest class of the training split.
        beam_options: Beam's command line.

    Raises:
        ValueError: the data set has no such split, or the split has no labelled pixel.
    """
    labels = LabelMap.load(examples)
    split, images = _split(config.split, examples)
    progress.total(2 * images)
    counts = {}
    for size, directory, signature in (
        ("original_size", examples, "serve_bytes"),
        ("training_size", transform, "serving_default"),
    ):
        count = Count(model / "saved_model", signature, labels.num_classes, config.boundary_tolerance)
        counts[size] = _counted(out, shards.ReadExamples(directory, split), count, beam_options)
    matrix = counts["original_size"]["matrix"]
    if not matrix.any():
        raise ValueError(
            f"The split to be scored must have labelled pixels. Received: only void on {split!r} [{examples}]. "
            "Choose another one with evaluator.split."
        )
    scores = {size: _scores(of_size) for size, of_size in counts.items()}
    commonest = _commonest_class(statistics)
    baseline = {
        "name": labels.names[commonest],
        "mean_iou": metrics.scores(always(commonest, matrix))["mean_iou"],
    }
    reasons = verdict(config, scores["original_size"]["mean_iou"], baseline, f"{split!r} ({images} images)")
    result = {"split": split, "images": images, "classes": labels.names, "blessed": not reasons, "reasons": reasons}
    result |= {**scores, "commonest_class": baseline, "boundary_tolerance": config.boundary_tolerance}
    (out / "scores.json").write_text(json.dumps(result, indent=1, allow_nan=False))


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


def _counted(out, pairs, count, beam_options) -> dict[str, np.ndarray]:
    """What `count` counts in all pairs, summed by Beam."""
    file = out / "counts.jsonl"
    with beam.Pipeline(options=shards.pipeline_options(beam_options)) as pipeline:
        _ = (
            pipeline
            | "Read" >> pairs
            | "Batch" >> beam.BatchElements(min_batch_size=IMAGES_A_BATCH, max_batch_size=IMAGES_A_BATCH)
            | "Predict and count" >> beam.ParDo(count)
            | "Sum" >> beam.CombinePerKey(shards.SumCounts())
            | "As lists" >> beam.MapTuple(lambda name, counts: (name, counts.tolist()))
            | "Collect" >> shards.Collect(file)
        )
    return {name: np.array(counts, np.int64) for name, counts in shards.collected(file)}


def _scores(counts: dict[str, np.ndarray]) -> dict:
    """Every score of the counts, None where it has no meaning, and the matrix."""
    scores = metrics.scores(counts["matrix"]) | metrics.boundary_scores(counts["boundary"])
    if "calibration" in counts:
        scores["expected_calibration_error"] = metrics.expected_calibration_error(counts["calibration"])
    scores = {name: None if isinstance(score, float) and np.isnan(score) else score for name, score in scores.items()}
    return scores | {"matrix": counts["matrix"].tolist()}


class Count(beam.DoFn):
    """Batches of stored pairs to what is counted of each: (name, int64 array) as `kseg.metrics` counts it.

    The names are "matrix", "boundary" and, where the signature gives confidences, "calibration".

    Args:
        saved_model: folder of the export; loaded once a worker process, whatever its number of threads.
        signature: "serve_bytes", which is sent what is stored, or "serving_default", which is sent pixels one by one.
        num_classes: K.
        tolerance: of boundaries, in pixels.
    """

    def __init__(self, saved_model: pathlib.Path, signature: str, num_classes: int, tolerance: float):
        self._saved_model, self._handle = str(saved_model), shared.Shared()
        self._signature, self._num_classes, self._tolerance = signature, num_classes, tolerance

    def setup(self):
        self._model = self._handle.acquire(self._load, tag=self._saved_model)

    def _load(self):
        import tensorflow as tf  # only where predictions are made: a worker needs seconds to import it

        return tf.saved_model.load(self._saved_model)

    def process(self, pairs):
        answer = {"serve_bytes": self._of_bytes, "serving_default": self._of_pixels}[self._signature]
        answers = answer([image_bytes for _, image_bytes, _ in pairs])
        for (_, _, mask_bytes), (label_map, confidence) in zip(pairs, answers, strict=True):
            truth = _ids(mask_bytes)
            yield "matrix", metrics.confusion_matrix(truth, label_map, self._num_classes)
            yield "boundary", metrics.boundary_counts(truth, label_map, self._num_classes, self._tolerance)
            if confidence is not None:
                yield "calibration", metrics.calibration_counts(truth, label_map, confidence, self._num_classes)
            progress.advance()

    def _of_bytes(self, images):
        """Label map (H, W) of each image, and no confidence."""
        import tensorflow as tf

        answers = self._model.signatures["serve_bytes"](image_bytes=tf.constant(images))
        for answer in answers["label_map_bytes"].numpy():
            yield _ids(answer), None

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


def always(class_id: int, matrix: np.ndarray) -> np.ndarray:
    """The confusion matrix (K, K) of the label map that says one class everywhere, on the pixels that `matrix` counts."""
    baseline = np.zeros_like(matrix)
    baseline[:, class_id] = matrix.sum(axis=1)
    return baseline


def verdict(config: Evaluator, mean_iou: float, baseline: dict, where: str) -> list[str]:
    """What speaks against pushing a model of this score; nothing, where the gate is passed.

    Args:
        config: the gate.
        mean_iou: of the model, at original size.
        baseline: {"name", "mean_iou"} of the label map that always says one class.
        where: the split and its number of images, for the message.
    """
    required = baseline["mean_iou"] + config.min_gain
    reasons = []
    if mean_iou < config.min_mean_iou:
        reasons.append(
            f"mean_iou must reach {config.min_mean_iou:g} on {where}. Received: mean_iou={mean_iou:.3f}. "
            "Train longer or on more data, or lower evaluator.min_mean_iou."
        )
    if mean_iou < required:
        reasons.append(
            f"mean_iou must reach {required:.3f} on {where}, which is evaluator.min_gain={config.min_gain:g} above the label "
            f"map that always says {baseline['name']!r} ({baseline['mean_iou']:.3f}). Received: mean_iou={mean_iou:.3f}. "
            "Train longer or on more data, or lower evaluator.min_gain."
        )
    return reasons
