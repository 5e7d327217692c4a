"""Real images for other runtimes: by which 8-bit ranges are chosen, and on which label maps are compared; and what 8 bits cost.

`kseg.export` converts the network and measures on how many pixels label maps agree with the Keras model's (`formats.json`). What
that means for scores is added here: the mean IoU of each format on the same images, and the loss against the SavedModel.
TensorFlow.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from kseg import metrics
from kseg.labels import LabelMap
from kseg.pairs.image_files import decode_image
from kseg.serving.label import Labeller
from kseg.serving.statuses import NETWORK_PIXELS
from pipeline.engine.files import read_json, write_json
from pipeline.examples import prepared

RECORD = "formats.json"
"""File in a SavedModel that holds what is measured of each format."""

CALIBRATION, VALIDATION = 100, 50
"""Images at most."""

MAX_PIXELS = 2**26
"""Of all these images together: 200 MB."""


def compared_split(examples: pathlib.Path) -> str:
    """The split on which label maps are compared: validation, or, where there is none, train."""
    return "validation" if "validation" in prepared.shard_paths(examples) else "train"


def read_pairs(examples: pathlib.Path, split: str, number: int, plan: dict) -> list[tuple]:
    """Pairs of a split, evenly spread over it.

    Args:
        examples: artifact of example_gen.
        split: its name.
        number: of pairs, at most.
        plan: of transform. Where images keep their own sizes, the upper left corner is kept that a network sees at once.

    Returns:
        Images (H, W, C) and label maps (H, W), uint8.
    """
    side = None if plan["image_size"] else int(NETWORK_PIXELS**0.5 / plan["image_scale"])
    pairs, pixels = [], 0
    for image_bytes, label_map_bytes in _records(examples, split, number):
        image, label_map = (decode_image(data)[:side, :side].copy() for data in (image_bytes, label_map_bytes))
        pairs.append((image, label_map[..., 0]))
        pixels += label_map.size
        if pixels > MAX_PIXELS:
            break
    return pairs


def _records(examples: pathlib.Path, split: str, number: int) -> Iterator[tuple[bytes, bytes]]:
    """Encoded images and label maps."""
    places = [
        (path, *place) for path in prepared.shard_paths(examples)[split] for place in prepared.record_places(path)
    ]
    for index in np.unique(np.linspace(0, len(places) - 1, min(number, len(places))).round().astype(int)):
        yield prepared.from_record(prepared.read_record(*places[index]))[1:]


def add_scores(saved_model: pathlib.Path, pairs: list[tuple], split: str) -> dict:
    """Adds to `formats.json` the mean IoU of each format, and the loss against the SavedModel.

    Args:
        saved_model: folder of the export.
        pairs: as `read_pairs` returns them.
        split: that they are of.

    Returns:
        What the file holds now: for each format what `kseg.export` returns, the "split", "mean_iou" and "mean_iou_loss"; None
        where no pixel is labelled.
    """
    num_classes, report = LabelMap.load(saved_model / "assets").num_classes, read_json(saved_model / RECORD)
    served = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    reference = _mean_iou(
        lambda image: served(image=tf.constant(image[np.newaxis]))["label_map"][0], pairs, num_classes
    )
    for name, found in report.items():
        mean_iou = _mean_iou(Labeller(saved_model / name), pairs, num_classes)
        defined = not np.isnan(reference)
        found["split"] = split
        found["mean_iou"] = mean_iou if defined else None
        found["mean_iou_loss"] = reference - mean_iou if defined else None
    write_json(saved_model / RECORD, report)
    (saved_model / RECORD).chmod(0o644)
    return report


def _mean_iou(predict, pairs, num_classes: int) -> float:
    """Mean IoU of a function from an image to a label map; NaN where no pixel is labelled."""
    matrix = sum(
        metrics.confusion_matrix(label_map, np.asarray(predict(image)), num_classes) for image, label_map in pairs
    )
    return metrics.scores(matrix)["mean_iou"]
