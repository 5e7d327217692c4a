"""Counts of the label map of each stored pair against its mask: a model's, as served or refined, or an oracle's.

Counts add up over images: Beam sums confusion matrices over shards, and the few counts that every score follows from are kept for
each image (`pipeline/evaluation/image_scores.py`). Beam; TensorFlow only in the workers that predict.
"""

from __future__ import annotations

import dataclasses
import io
import pathlib

import numpy as np
from apache_beam.utils import shared
from PIL import Image

from kseg import metrics
from kseg.labels import VOID
from kseg.pairs.channels import TENSOR
from kseg.pairs.image_files import decode_image
from kseg.pairs.resizing import working_size
from kseg.pictures import picture_of
from kseg.postprocess.superpixels import merge_by_colour, oracle_labels, slic
from pipeline.engine import progress
from pipeline.engine.contents import file_states
from pipeline.evaluation.image_scores import ScoredImages
from pipeline.examples.parts import batched, worked_on
from pipeline.examples.prepared import check_complete, from_record, read_records, shard_paths, split_sizes
from pipeline.prediction import labeller
from pipeline.settings.prediction import PredictionOptions

BATCH_SIZE = 4
_HANDLE = shared.Shared()
"""Of the loaded model, in each worker process."""

MERGE_THRESHOLD = 20.0
"""Grey levels between the mean colours of neighbouring superpixels, below which they are merged: of 1000, 100 to 300 remain."""


@dataclasses.dataclass(frozen=True)
class PairCounts:
    """Counts of one labeller on one split: the confusion matrix (K, K), int64, and the counts of each image."""

    matrix: np.ndarray
    images: ScoredImages


def count_pairs(out: pathlib.Path, directory: pathlib.Path, split: str, count, beam_options, reads=()) -> PairCounts:
    """Counts all pairs of a split.

    Args:
        out: folder for temporary files.
        directory: prepared data set.
        split: of the data set.
        count: `CountPairs` or `OracleCounts`.
        beam_options: Beam's command line.
        reads: as of `parts.worked_on`.
    """
    shards = [path.absolute() for path in shard_paths(directory)[split]]
    matrix, images = np.int64(0), []
    with worked_on(out, shards, _CountShard(count), beam_options, reads) as rows:
        for row in rows:
            if isinstance(row, dict):
                images.append(row)
            else:
                matrix = matrix + row
    check_complete("counts of pairs", len(images), split_sizes(directory)[split], out)
    images.sort(key=lambda row: row["key"])
    return PairCounts(np.array(matrix, np.int64), ScoredImages.from_rows(images))


class _CountShard:
    """Counts the pairs of a shard in batches: the work of `parts.worked_on`.

    Args:
        count: `CountPairs` or `OracleCounts`.
    """

    def __init__(self, count):
        self._count = count

    def setup(self):
        self._count.setup()

    def __call__(self, path):
        """Yields the row of each pair, then the sum of the confusion matrices."""
        matrix = np.int64(0)
        for records in batched(read_records(path), BATCH_SIZE):
            for found, row in self._count([from_record(record) for record in records]):
                matrix = matrix + found
                yield row
        yield matrix


class PredictPairs:
    """Base of what predicts batches of stored pairs (key, image_bytes, label_map_bytes).

    Args:
        saved_model: folder of the export; loaded once per worker process, whatever its number of threads, and kept for the next
            pass over the pairs until another model is asked for.
        signature: one of "serve_bytes", which receives the stored bytes, or "serving_default", which receives pixels; a model
            that takes no bytes receives pixels for both.
        refinement: settings of `pipeline.predict`, which then replace the signature; None: no refinement.
    """

    def __init__(
        self, saved_model: pathlib.Path, signature: str = "serve_bytes", refinement: PredictionOptions | None = None
    ):
        self._saved_model = str(pathlib.Path(saved_model).absolute())
        self._signature, self._refinement = signature, refinement

    def setup(self):
        tag = self._saved_model, self._refinement, file_states(pathlib.Path(self._saved_model))
        self._model = _HANDLE.acquire(self._load, tag)

    def _load(self):
        import tensorflow as tf  # only where predictions are made: a worker needs seconds to import it

        if self._refinement:
            return labeller.build_labeller([pathlib.Path(self._saved_model)], self._refinement)
        return tf.saved_model.load(self._saved_model)

    def predict(self, images: list[bytes]):
        """Yields the label map (H, W), uint8, of each encoded image, and its confidence (H, W) or None."""
        if self._refinement:
            return self._predict_refined(images)
        predict = {"serve_bytes": self._predict_bytes, "serving_default": self._predict_pixels}[self._signature]
        return predict(images)

    def _predict_bytes(self, images):
        if any(image_bytes.startswith(TENSOR) for image_bytes in images):  # no PNG holds them
            yield from ((label_map, None) for label_map, _ in self._predict_pixels(images))
            return
        for png in serve(self._model.signatures["serve_bytes"], images):
            yield decode_label_map(png), None

    def _predict_refined(self, images):
        for image_bytes in images:
            yield self._model(decode_image(image_bytes)), None

    def _predict_pixels(self, images):
        import tensorflow as tf

        for image_bytes in images:  # one at a time, since sizes differ
            image = tf.constant(decode_image(image_bytes)[np.newaxis])
            outputs = self._model.signatures["serving_default"](image=image)
            yield outputs["label_map"][0].numpy(), outputs["confidence"][0].numpy()


class CountPairs(PredictPairs):
    """A batch of stored pairs to (confusion matrix, row of `ScoredImages.from_rows`) of each.

    Args:
        saved_model: folder of the export.
        signature: as of `PredictPairs`; confidences are counted where the signature returns them.
        num_classes: K.
        tolerance: of boundaries, pixels.
        refinement: as of `PredictPairs`.
        object_class: id of the class whose connected objects are counted, too, as "rand" (3,); None: none are.
        working_scale: factor to which label maps, confidences and masks are reduced by nearest neighbour before they are counted;
            None: they are not.
    """

    def __init__(
        self,
        saved_model,
        signature: str,
        num_classes: int,
        tolerance: float,
        refinement=None,
        object_class: int | None = None,
        working_scale: float | None = None,
    ):
        super().__init__(saved_model, signature, refinement)
        self._num_classes, self._tolerance, self._object_class = num_classes, tolerance, object_class
        self._working_scale = working_scale

    def __call__(self, pairs):
        predictions = self.predict([image_bytes for _, image_bytes, _ in pairs])
        for pair, (label_map, confidence) in zip(pairs, predictions, strict=True):
            truth, extra_counts = decode_label_map(pair[2]), {}
            if self._working_scale:
                size = working_size(*truth.shape, self._working_scale)
                truth, label_map, confidence = (_reduce(values, size) for values in (truth, label_map, confidence))
            if confidence is not None:
                extra_counts["calibration"] = metrics.calibration_counts(
                    truth, label_map, confidence, self._num_classes
                )
            if self._object_class is not None:
                extra_counts["rand"] = metrics.rand_counts(truth, label_map, self._num_classes, self._object_class)
            yield from _count(pair, truth, label_map, self._num_classes, self._tolerance, extra_counts)


class OracleCounts:
    """As `CountPairs`, for an oracle that gives each region the class that most of its pixels have in the mask.

    No labelling of these regions, which come from colours alone, is right at more pixels. The additional counts "regions" (1,)
    are their number.

    Args:
        num_classes: K.
        tolerance: of boundaries, pixels.
        superpixels: approximate number per image.
        merged: whether neighbouring superpixels of similar colour are merged.
    """

    def __init__(self, num_classes: int, tolerance: float, superpixels: int, merged: bool):
        self._num_classes, self._tolerance = num_classes, tolerance
        self._superpixels, self._merged = superpixels, merged

    def setup(self):
        """There is no model to load."""

    def __call__(self, pairs):
        for pair in pairs:
            image = picture_of(decode_image(pair[1]))
            regions = slic(image, num_superpixels=self._superpixels)
            if self._merged:
                regions = merge_by_colour(image, regions, threshold=MERGE_THRESHOLD)
            truth, extra_counts = decode_label_map(pair[2]), {"regions": np.array([regions.max() + 1])}
            yield from _count(
                pair, truth, oracle_labels(regions, truth), self._num_classes, self._tolerance, extra_counts
            )


def _count(pair, truth, label_map, num_classes, tolerance, extra_counts):
    """Yields the confusion matrix of one pair, and its row."""
    key, image_bytes, _ = pair
    matrix = metrics.confusion_matrix(truth, label_map, num_classes)
    counts = {
        "classes": metrics.class_counts(matrix),
        "boundary": metrics.boundary_counts(truth, label_map, num_classes, tolerance),
        **extra_counts,
    }
    row = {"key": key, "traits": traits(decode_image(image_bytes), truth)}
    progress.advance()
    yield matrix, row | {"counts": {n: c.tolist() for n, c in counts.items()}}


def serve(signature, images: list[bytes]) -> list[bytes]:
    """The PNG of each image from the signature serve_bytes; images that are too many for one batch are sent one by one.

    Args:
        signature: of a loaded SavedModel, of an earlier version or a strict one too, which have no status.
        images: encoded.

    Raises:
        ValueError: the model refuses an image; the message is the model's.
    """
    import tensorflow as tf

    def answers(batch):
        outputs = {name: value.numpy() for name, value in signature(image_bytes=tf.constant(batch)).items()}
        return outputs["label_map_bytes"], outputs.get("message", [b""] * len(batch))

    try:
        pngs, messages = answers(images)
        if not any(messages):
            return list(pngs)
    except tf.errors.InvalidArgumentError:
        if len(images) == 1:
            raise
    if len(images) == 1:
        raise ValueError(f"{messages[0].decode()} [serve_bytes of the exported model]")
    return [png for image in images for png in serve(signature, [image])]


def _reduce(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Label map or confidences (H, W) at another (height, width), by nearest neighbour."""
    return np.asarray(Image.fromarray(values).resize(size[::-1], Image.Resampling.NEAREST))


def decode_label_map(png: bytes) -> np.ndarray:
    """A label map (H, W), uint8, from its PNG."""
    return np.asarray(Image.open(io.BytesIO(png)))


def traits(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The properties by which images are sliced.

    Args:
        image: (H, W, C).
        truth: (H, W), class ids, 255 where void.

    Returns:
        "size" in pixels, mean "brightness" in 0..255, and the number of "classes" in the mask. Of an image that is not
        8-bit grey or RGB, "brightness" is the mean of all its values.
    """
    if image.dtype == np.uint8 and image.shape[-1] in (1, 3):
        brightness = np.asarray(
            Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).convert("L")
        ).mean()
    else:
        brightness = image.mean(dtype=np.float64)
    classes = np.unique(truth[truth != VOID])
    return {"size": truth.size, "brightness": float(brightness), "classes": len(classes)}
