"""exporter: writes the trained network as the SavedModel that is scored, checked and pushed.

Reads the trainer's artifact, or that of fold_mean, and the plan by which it was trained. Leaves `saved_model/`, with warm-up
requests for TensorFlow Serving. What concerns serving alone is set here, so that another view, refinement or limit trains
nothing again. TensorFlow.
"""

from __future__ import annotations

import functools
import pathlib

import keras

import kseg.layers  # noqa: F401  (`model.keras` is made of them, so their code belongs to the recipe)
from kseg.labels import LabelMap
from kseg.serving import exporting as serving
from kseg.serving.manifest import TRAIN
from pipeline.engine import progress
from pipeline.engine.console import native_output_dropped
from pipeline.engine.files import read_json
from pipeline.exporting import runtimes, warm_up
from pipeline.settings.exporter import Exporter


def exporter(
    out: pathlib.Path,
    config: Exporter,
    *,
    model: pathlib.Path,
    transform: pathlib.Path,
    examples: pathlib.Path | None = None,
):
    """Writes `out/saved_model/`.

    Args:
        out: folder to write below.
        config: views, refinement, signatures and limits.
        model: artifact of the trainer, with `model.keras`.
        transform: artifact of transform, by whose plan the network was trained.
        examples: artifact of example_gen, of whose images those for `config.formats` are; None where there are none.

    Raises:
        ValueError: the limits are too small for the working size, the network cannot be converted, or label maps of a format
            agree on too few pixels.
    """
    progress.print_message("building the graphs of the signatures, which takes seconds")
    record = read_json(model / "training.json", {})
    plan, network = read_json(transform / "plan.json"), keras.saving.load_model(model / "model.keras", compile=False)
    export = functools.partial(
        serving.export,
        network,
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
        pretrained=record.get("pretrained"),
        trained_on=record.get("trained_on", TRAIN),
    )
    if config.formats:
        _export_with_formats(export, out / "saved_model", config.formats, examples, plan)
    else:
        export()
    warm_up.write_requests(out / "saved_model", transform)


def _export_with_formats(export, saved_model: pathlib.Path, formats, examples: pathlib.Path, plan: dict):
    """Exports for other runtimes as well, and says what they agree on and lose."""
    split = runtimes.compared_split(examples)
    calibration = [image for image, _ in runtimes.read_pairs(examples, "train", runtimes.CALIBRATION, plan)]
    compared = runtimes.read_pairs(examples, split, runtimes.VALIDATION, plan)
    with native_output_dropped():  # converters say what they do
        export(formats=formats, calibration=calibration, validation=[image for image, _ in compared])
        report = runtimes.add_scores(saved_model, compared, split)
    for name, found in report.items():
        loss = "" if found["mean_iou_loss"] is None else f", mean IoU {0 - 100 * found['mean_iou_loss']:+.2f} points"
        progress.print_message(f"{name}: the same class on {found['agreement']:.2%} of the pixels{loss}")
