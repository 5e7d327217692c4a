"""exporter: writes the trained network as the SavedModel that is scored, checked and pushed.

Reads the trainer's artifact, or that of fold_mean, and the plan by which it was trained. Leaves `saved_model/`, with warm-up
requests for TensorFlow Serving. What concerns
serving alone is set here, so that another view, refinement or limit trains nothing again. TensorFlow.
"""

from __future__ import annotations

import pathlib

import keras

import kseg.layers  # noqa: F401  (`model.keras` is made of them, so their code belongs to the recipe)
from kseg.labels import LabelMap
from kseg.serving import exporting as serving
from pipeline.engine import progress
from pipeline.engine.files import read_json
from pipeline.exporting import warm_up
from pipeline.settings.exporter import Exporter


def exporter(out: pathlib.Path, config: Exporter, *, model: pathlib.Path, transform: pathlib.Path):
    """Writes `out/saved_model/`.

    Args:
        out: folder to write below.
        config: views, refinement, signatures and limits.
        model: artifact of the trainer, with `model.keras`.
        transform: artifact of transform, by whose plan the network was trained.

    Raises:
        ValueError: the limits are too small for the working size.
    """
    progress.print_message("building the graphs of the signatures, which takes seconds")
    plan = read_json(transform / "plan.json")
    serving.export(
        keras.saving.load_model(model / "model.keras", compile=False),
        out / "saved_model",
        labels=LabelMap.load(transform),
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
        pretrained=read_json(model / "training.json", {}).get("pretrained"),
    )
    warm_up.write_requests(out / "saved_model", transform)
