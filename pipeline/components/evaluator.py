"""evaluator: scores the exported SavedModel, not the Keras model, and says whether it passes the gate.

What is judged is what will be served: the stored bytes of each image go through the signature `serve_bytes`, and the PNG that
comes back is counted against the mask at its original size; the transformed pairs are scored beside it at the training size.
Each image becomes a (K, K) matrix of counts, and matrices are summed over shards and workers. A model that fails is not an
error: the verdict says so, and nothing is pushed. Beam; TensorFlow only in the workers that predict.
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
    matrices = {}
    for size, directory in (("original_size", examples), ("training_size", transform)):
        matrices[size] = _counted(out, model / "saved_model", directory, split, labels.num_classes, beam_options)
    if not matrices["original_size"].any():
        raise ValueError(
            f"The split to be scored must have labelled pixels. Received: only void on {split!r} [{examples}]. "
            "Choose another one with evaluator.split."
        )
    scores = {size: metrics.scores(matrix) | {"matrix": matrix.tolist()} for size, matrix in matrices.items()}
    commonest = _commonest_class(statistics)
    baseline = {
        "name": labels.names[commonest],
        "mean_iou": metrics.scores(always(commonest, matrices["original_size"]))["mean_iou"],
    }
    reasons = verdict(config, scores["original_size"]["mean_iou"], baseline, f"{split!r} ({images} images)")
    result = {"split": split, "images": images, "classes": labels.names, "blessed": not reasons, "reasons": reasons}
    result |= {**scores, "commonest_class": baseline}
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


def _counted(out, saved_model, directory, split, num_classes, beam_options) -> np.ndarray:
    """The confusion matrix (K, K), int64, of all pairs of a split, summed by Beam."""
    file = out / "matrix.json"
    with beam.Pipeline(options=shards.pipeline_options(beam_options)) as pipeline:
        _ = (
            pipeline
            | "Read" >> shards.ReadExamples(directory, split)
            | "Batch" >> beam.BatchElements(min_batch_size=IMAGES_A_BATCH, max_batch_size=IMAGES_A_BATCH)
            | "Predict and count" >> beam.ParDo(Confusion(saved_model, num_classes))
            | "Sum" >> beam.CombineGlobally(shards.SumMatrices(num_classes))
            | "As JSON" >> beam.Map(lambda matrix: json.dumps(matrix.tolist()))
            | "Write" >> beam.io.WriteToText(str(file), shard_name_template="")
        )
    matrix = np.array(json.loads(file.read_text()), np.int64)
    file.unlink()
    return matrix


class Confusion(beam.DoFn):
    """Batches of stored pairs to the confusion matrix (K, K), int64, of each.

    Args:
        saved_model: folder of the export; loaded once a worker process, whatever its number of threads.
        num_classes: K.
    """

    def __init__(self, saved_model: pathlib.Path, num_classes: int):
        self._saved_model, self._num_classes, self._handle = str(saved_model), num_classes, shared.Shared()

    def setup(self):
        self._model = self._handle.acquire(self._load, tag=self._saved_model)

    def _load(self):
        import tensorflow as tf  # only where predictions are made: a worker needs seconds to import it

        return tf.saved_model.load(self._saved_model)

    def process(self, pairs):
        import tensorflow as tf

        images = tf.constant([image_bytes for _, image_bytes, _ in pairs])
        answers = self._model.signatures["serve_bytes"](image_bytes=images)["label_map_bytes"].numpy()
        for (_, _, mask_bytes), answer in zip(pairs, answers, strict=True):
            yield metrics.confusion_matrix(_ids(mask_bytes), _ids(answer), self._num_classes)
            progress.advance()


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
