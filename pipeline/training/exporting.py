"""Exports a network as the plan of its data and the trainer's settings say. TensorFlow."""

from __future__ import annotations

import pathlib

import keras

from kseg.labels import LabelMap
from kseg.serving import exporting as serving
from pipeline.settings.trainer import Trainer


def export(
    network: keras.Model,
    path: pathlib.Path,
    config: Trainer,
    *,
    plan: dict,
    labels: LabelMap,
    pretrained: dict | None = None,
):
    """Writes the SavedModel of a network.

    Args:
        network: functional model from an image (B, H, W, C), levels in [0, 255], to logits (B, H, W, K).
        path: folder to write.
        config: which views, refinement, signatures and limits it has.
        plan: of transform, by which the network was trained: its sizes and its images' kind and levels.
        labels: the K classes.
        pretrained: what to record about the weights that training began with, as in `kseg.export`.

    Raises:
        ValueError: the network's channels, classes or sizes do not fit.
    """
    serving.export(
        network,
        path,
        labels=labels,
        image_size=plan["image_size"],
        image_scale=plan.get("image_scale"),
        image_range=plan.get("image_range"),
        dtype=plan.get("dtype", "uint8"),
        normalization=plan.get("normalization"),
        flips=config.flips,
        rotations=config.rotations,
        tiles=config.tiles,
        crf=config.crf,
        max_pixels=config.max_pixels,
        score_memory=config.score_memory,
        strict=config.strict,
        pretrained=pretrained,
    )
