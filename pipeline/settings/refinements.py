"""Refinements of a model's predictions by name; settings that contradict each other are refused before anything runs.

`evaluator.refinements` lists refinements to score in addition to the model as served; those of `exporter` become part of the
export. Refining twice is refused. Standard library only.
"""

from __future__ import annotations

import pathlib

from kseg._suggestions import did_you_mean
from kseg.serving.manifest import read_manifest
from pipeline.settings import crf as crf_settings
from pipeline.settings.prediction import PredictionOptions

SCORED = {  # name in evaluator.refinements: options of `pipeline.predict`; tiles have the size of training
    "flips": {"flips": ("horizontal",)},
    "turns": {"flips": ("horizontal",), "rotations": (0, 90, 180, 270)},
    "tiles": {"tile": True},
    "scales": {"tile": True, "scales": (0.75, 1.0, 1.25)},
    "superpixels": {"superpixels": 1000},
    "crf": {"crf": crf_settings.AUTO},
}


def prediction_options(
    name: str, image_size: tuple[int, int], crf: dict[str, float] | None = None
) -> PredictionOptions:
    """The options of a refinement that evaluator scores.

    Args:
        name: of `SCORED`.
        image_size: (height, width) in pixels that the model was trained at.
        crf: parameters of DenseCRF for the refinement "crf"; None: `crf_settings.AUTO`.

    Raises:
        ValueError: there is no such refinement.
    """
    check_name(name)
    options = dict(SCORED[name])
    if options.pop("tile", False):
        options |= {"tile": tuple(image_size), "overlap": min(image_size) // 4}
    if name == "crf" and crf is not None:
        options["crf"] = crf
    return PredictionOptions(**options)


def check_name(name: str):
    """Refuses a name that `SCORED` does not have."""
    if name not in SCORED:
        raise ValueError(
            f"`refinements` must be among {', '.join(SCORED)}. Received: evaluator.refinements={name}."
            f"{did_you_mean(name, SCORED)}"
        )


def check_unrefined(model: pathlib.Path, cure: str):
    """Refuses a SavedModel that contains DenseCRF, or whose images have no colours that DenseCRF outside of it could compare.

    Args:
        model: folder of the SavedModel.
        cure: what to do instead, for the message.

    Raises:
        ValueError: the model contains DenseCRF, or takes numbers that are not uint8.
    """
    manifest = read_manifest(model)
    if manifest["dtype"] != "uint8":
        raise ValueError(
            f"DenseCRF compares levels of 8 bits. Received: {model}, which takes images of {manifest['dtype']}. {cure} Export it "
            "with DenseCRF inside, by exporter.crf, where images are normalised."
        )
    crf = manifest["crf"]
    if crf is not None:
        raise ValueError(
            f"A model must not be refined twice. Received: {model}, which was exported with crf={crf}. {cure}"
        )
