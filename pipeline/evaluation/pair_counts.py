"""What a label map of each stored pair counts against its mask: a model's as it is served or refined, or the best of regions.

Counts add up over images, so Beam sums matrices over shards and every score follows from the small rest, which is kept for each
image (`pipeline/evaluation/image_scores.py`). Beam; TensorFlow only in the workers that predict.
"""

from __future__ import annotations

import dataclasses
import io
import pathlib

import apache_beam as beam
import numpy as np
from apache_beam.utils import shared
from PIL import Image

from kseg import metrics
from kseg.labels import VOID
from kseg.pairs.image_files import decode_image
from kseg.postprocess.superpixels import merge_by_colour, oracle_labels, slic
from pipeline.engine import progress
from pipeline.evaluation.image_scores import ScoredImages
from pipeline.examples.collecting import Collect, SumCounts, read_collected
from pipeline.examples.records import ReadExamples
from pipeline.examples.runner_options import pipeline_options
from pipeline.prediction import refinements
from pipeline.settings.prediction import Settings

IMAGES_A_BATCH = 4
MERGED_BELOW = 20.0
"""Grey levels between mean colours of neighbouring regions, below which they are one: of 1000 superpixels 100 to 300 stay."""


@dataclasses.dataclass(frozen=True)
class Counted:
    """One model's answers on one split: the confusion matrix (K, K), int64, and the images one by one."""

    matrix: np.ndarray
    images: ScoredImages


def counted(out: pathlib.Path, directory: pathlib.Path, split: str, count: beam.DoFn, beam_options) -> Counted:
    """What `count` counts in all pairs of a split.

    Args:
        out: folder for what is collected.
        directory: prepared data set.
        split: of it.
        count: `Count` or `CountBest`.
        beam_options: Beam's command line.
    """
    sums, rows = out / "sums.jsonl", out / "rows.jsonl"
    with beam.Pipeline(options=pipeline_options(beam_options)) as pipeline:
        found = (
            pipeline
            | "Read" >> ReadExamples(directory, split)
            | "Batch" >> beam.BatchElements(min_batch_size=IMAGES_A_BATCH, max_batch_size=IMAGES_A_BATCH)
            | "Count" >> beam.ParDo(count).with_outputs("images", main="matrices")
        )
        _ = (
            found.matrices
            | "Sum" >> beam.CombineGlobally(SumCounts())
            | "As lists" >> beam.Map(np.ndarray.tolist)
            | "Collect sum" >> Collect(sums)
        )
        _ = found.images | "Collect images" >> Collect(rows)
    (matrix,) = read_collected(sums)
    return Counted(np.array(matrix, np.int64), ScoredImages.of(read_collected(rows)))


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
        for pair, (label_map, confidence) in zip(pairs, answers, strict=True):
            truth, more = _ids(pair[2]), {}
            if confidence is not None:
                more["calibration"] = metrics.calibration_counts(truth, label_map, confidence, self._num_classes)
            yield from _outputs(pair, truth, label_map, self._num_classes, self._tolerance, more)

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


class CountBest(beam.DoFn):
    """As `Count`, of the best labels that regions found without any label could be given; "regions" (1,) says how many.

    Args:
        num_classes: K.
        tolerance: of boundaries, in pixels.
        superpixels: of each image, about.
        merged: whether neighbouring superpixels of like colour are one region.
    """

    def __init__(self, num_classes: int, tolerance: float, superpixels: int, merged: bool):
        self._num_classes, self._tolerance = num_classes, tolerance
        self._superpixels, self._merged = superpixels, merged

    def process(self, pairs):
        for pair in pairs:
            image = decode_image(pair[1])
            ids = slic(image, num_superpixels=self._superpixels)
            if self._merged:
                ids = merge_by_colour(image, ids, threshold=MERGED_BELOW)
            truth, more = _ids(pair[2]), {"regions": np.array([ids.max() + 1])}
            yield from _outputs(pair, truth, oracle_labels(ids, truth), self._num_classes, self._tolerance, more)


def _outputs(pair, truth, label_map, num_classes, tolerance, more):
    """The matrix of one pair, and its row with the counts `more`."""
    key, image_bytes, _ = pair
    matrix = metrics.confusion_matrix(truth, label_map, num_classes)
    counts = {
        "classes": metrics.class_counts(matrix),
        "boundary": metrics.boundary_counts(truth, label_map, num_classes, tolerance),
        **more,
    }
    row = {"key": key, "traits": traits(decode_image(image_bytes), truth)}
    yield matrix
    yield beam.pvalue.TaggedOutput("images", row | {"counts": {n: c.tolist() for n, c in counts.items()}})
    progress.advance()


def _ids(png: bytes) -> np.ndarray:
    """A label map (H, W), uint8, from its PNG."""
    return np.asarray(Image.open(io.BytesIO(png)))


def traits(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """What slices go by, of one image (H, W, C), uint8, and its mask (H, W)."""
    grey = np.asarray(Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).convert("L"))
    classes = np.unique(truth[truth != VOID])
    return {"size": truth.size, "brightness": float(grey.mean()), "classes": len(classes)}
