"""Searches parameters of DenseCRF for a pushed model on one part of a split, and measures the gain on the rest.

The model predicts each image once; every trial refines the same probabilities. TensorFlow, since DenseCRF needs it.
"""

from __future__ import annotations

import io
import itertools
import pathlib
import random
import typing

import numpy as np
import tensorflow as tf
from PIL import Image

from kseg import metrics
from kseg.inference import SavedModel
from kseg.pairs.image_files import decode_image
from kseg.postprocess.densecrf import DenseCRF
from pipeline.engine import progress
from pipeline.engine.console import native_output_dropped
from pipeline.examples import prepared

GRID = {  # at least two values of each; sigmas in pixels and grey levels of the image at its original size
    "smoothness_sigma": (1.0, 2.0, 3.0),
    "smoothness_weight": (0.3, 1.0, 3.0),
    "appearance_position_sigma": (20.0, 40.0, 67.0),
    "appearance_colour_sigma": (3.0, 5.0, 8.0, 13.0),
    "appearance_weight": (0.5, 1.0, 2.0, 4.0),
}
KNOWN = ((1.0, 3.0, 67.0, 3.0, 4.0), (3.0, 3.0, 80.0, 13.0, 10.0))
"""In the order of GRID: those of DeepLabv2, and the default of most programs."""


class Prediction(typing.NamedTuple):
    """What the model predicts for a pair."""

    probabilities: np.ndarray  # (H, W, K), float16
    image: np.ndarray  # (H, W, C), uint8
    truth: np.ndarray  # (H, W), uint8


def read_pairs(data: pathlib.Path, split: str) -> list[tuple[str, bytes, bytes]]:
    """Key, encoded image and encoded label map of every pair of a split, in the order of the keys.

    Raises:
        ValueError: there is no prepared data set or no such split.
    """
    files = prepared.shard_paths(data).get(split) if data.is_dir() else None
    if not files:
        raise ValueError(
            f"`--data` must be a prepared data set with a split {split!r}. Received: --data {data}. "
            "`python -m pipeline.run` leaves one in runs/example_gen/."
        )
    records = tf.data.TFRecordDataset([str(file) for file in files])
    return sorted(prepared.from_record(record.numpy()) for record in records)


def candidates(trials: int, seed: int) -> list[dict[str, float]]:
    """The parameters to try: `KNOWN`, then draws from `GRID` without repetition."""
    grid = list(itertools.product(*GRID.values()))
    drawn = random.Random(seed).sample(grid, min(trials, len(grid)))
    return [dict(zip(GRID, values, strict=True)) for values in (*KNOWN, *drawn)][:trials]


def search(
    model: pathlib.Path, pairs, *, num_searched: int, num_classes: int, trials: int, iterations: int, seed: int
) -> dict:
    """Finds the candidate with the best mean IoU on the first pairs, and measures its gain on the others.

    Args:
        model: folder of the SavedModel.
        pairs: as `read_pairs` returns them.
        num_searched: number of pairs to search on, less than there are.
        num_classes: K.
        trials: number of candidates.
        iterations: of mean-field inference.
        seed: of the draw of candidates.

    Returns:
        "images" (how many were searched and reported on), "settings" (the best parameters), "search" (mean IoU without and with
        them), "report" (`measure_gains` on the other pairs) and "trials" (parameters and mean IoU of each).
    """
    with native_output_dropped():
        saved_model = SavedModel(model)
    with progress.component("predictions"):
        predictions = _predict(saved_model, pairs)
    searched, others = predictions[:num_searched], predictions[num_searched:]
    results = []
    with progress.component("trials"):
        progress.set_total(trials)
        for candidate in candidates(trials, seed):
            parameters = {"iterations": iterations, **candidate}
            results.append({"settings": parameters, "mean_iou": _mean_iou_of(searched, parameters, num_classes)})
            progress.advance()
    best = max(results, key=lambda result: result["mean_iou"])
    return {
        "model": str(model),
        "images": {"search": len(searched), "report": len(others)},
        "settings": best["settings"],
        "search": {"without": _mean_iou_of(searched, None, num_classes), "with": best["mean_iou"]},
        "report": measure_gains(others, best["settings"], num_classes),
        "trials": results,
    }


def measure_gains(predictions: list[Prediction], parameters: dict, num_classes: int) -> dict[str, dict[str, float]]:
    """Mean IoU and boundary F1 without and with DenseCRF, their difference and its 95 % interval over images."""

    def boundary_f1(counts):
        return metrics.boundary_scores(counts)["boundary_f1"]

    label_maps = {
        "without": list(_label_maps(predictions, None)),
        "with": list(_label_maps(predictions, parameters)),
    }
    gains = {}
    for name, count, score in (
        ("mean_iou", _class_counts, _mean_iou),
        ("boundary_f1", metrics.boundary_counts, boundary_f1),
    ):
        counts = {which: [count(truth, ids, num_classes) for ids, truth in maps] for which, maps in label_maps.items()}
        gain = metrics.paired_difference(counts["with"], counts["without"], score)
        gains[name] = {which: score(sum(per_image)) for which, per_image in counts.items()}
        gains[name] |= {"difference": gain.value, "low": gain.low, "high": gain.high}
    return gains


def _predict(model: SavedModel, pairs) -> list[Prediction]:
    progress.set_total(len(pairs))
    predictions = []
    for _, image_bytes, mask_bytes in pairs:
        image = decode_image(image_bytes)
        probabilities = np.exp(model(image[None])[0]).astype(np.float16)
        predictions.append(Prediction(probabilities, image, np.asarray(Image.open(io.BytesIO(mask_bytes)))))
        progress.advance()
    return predictions


def _label_maps(predictions: list[Prediction], parameters: dict | None):
    """Label map and truth (H, W) of each image, refined by DenseCRF unless `parameters` is None."""
    if parameters:
        specs = [tf.TensorSpec((1, None, None, array.shape[-1])) for array in predictions[0][:2]]
        refine = tf.function(
            DenseCRF(**parameters, from_logits=False), input_signature=[specs]
        )  # one trace for all sizes
    for probabilities, image, truth in predictions:
        if parameters:
            inputs = [tf.constant(array[None], tf.float32) for array in (probabilities, image)]
            probabilities = refine(inputs)[0].numpy()
        yield probabilities.argmax(axis=-1), truth


def _class_counts(truth, label_map, num_classes: int):
    return metrics.class_counts(metrics.confusion_matrix(truth, label_map, num_classes))


def _mean_iou(counts) -> float:
    return metrics.scores_of_counts(counts)["mean_iou"]


def _mean_iou_of(predictions: list[Prediction], parameters: dict | None, num_classes: int) -> float:
    """Mean IoU over all images, refined by DenseCRF unless `parameters` is None."""
    return _mean_iou(sum(_class_counts(truth, ids, num_classes) for ids, truth in _label_maps(predictions, parameters)))
