"""Refinements of a model's predictions by name; settings that contradict each other are refused before anything runs.

`evaluator.refinements` lists refinements to score in addition to the model as served; those of `trainer` become part of the
export. Refining twice is refused. Standard library only.
"""

from __future__ import annotations

import pathlib

from kseg.serving.manifest import read_manifest
from pipeline.engine.messages import did_you_mean
from pipeline.settings import crf as crf_settings
from pipeline.settings.config import Config
from pipeline.settings.prediction import PredictionOptions

SCORED = {  # name in evaluator.refinements: options of `pipeline.predict`; tiles have the size of training
    "flips": {"flips": ("horizontal",)},
    "turns": {"flips": ("horizontal",), "rotations": (0, 90, 180, 270)},
    "tiles": {"tile": True},
    "scales": {"tile": True, "scales": (0.75, 1.0, 1.25)},
    "superpixels": {"superpixels": 1000},
    "crf": {"crf": crf_settings.AUTO},
}

VIEWS = {"flips": ("horizontal", "vertical"), "rotations": (0, 90, 180, 270)}
"""Values of trainer.flips and trainer.rotations."""


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
    _check_name(name)
    options = dict(SCORED[name])
    if options.pop("tile", False):
        options |= {"tile": tuple(image_size), "overlap": min(image_size) // 4}
    if name == "crf" and crf is not None:
        options["crf"] = crf
    return PredictionOptions(**options)


def check_refinements(config: Config):
    """Refuses refinements that are unknown, unused or applied twice.

    Raises:
        ValueError: the settings contradict each other.
    """
    for name, known in VIEWS.items():
        if not set(given := getattr(config.trainer, name)) <= set(known):
            raise ValueError(
                f"`{name}` must be among {', '.join(map(str, known))}. Received: trainer.{name}={','.join(map(str, given))}."
            )
    if not config.trainer.rotations:
        raise ValueError(
            "`rotations` must have at least one angle. Received: trainer.rotations=. 0 is the image unrotated."
        )
    chosen = config.evaluator.refinements
    for name in chosen:
        _check_name(name)
    for crf in (config.trainer.crf, config.evaluator.crf):
        crf_settings.check_parameters(crf or {})
    if config.evaluator.crf is not None and "crf" not in chosen:
        raise ValueError(
            "`evaluator.crf` requires evaluator.refinements=crf. "
            f"Received: evaluator.refinements={','.join(chosen) or 'none'}. To refine what is served, set trainer.crf."
        )
    if config.trainer.crf is not None and "crf" in chosen:
        raise ValueError(
            "A model must not be refined twice. Received: trainer.crf, and crf in evaluator.refinements. Remove one: with "
            "trainer.crf, the served model is already refined."
        )


def check_unrefined(model: pathlib.Path, cure: str):
    """Refuses a SavedModel that contains DenseCRF.

    Args:
        model: folder of the SavedModel.
        cure: what to do instead, for the message.

    Raises:
        ValueError: the model contains DenseCRF.
    """
    crf = read_manifest(model)["crf"]
    if crf is not None:
        raise ValueError(
            f"A model must not be refined twice. Received: {model}, which was exported with crf={crf}. {cure}"
        )


def _check_name(name: str):
    if name not in SCORED:
        raise ValueError(
            f"`refinements` must be among {', '.join(SCORED)}. Received: evaluator.refinements={name}."
            f"{did_you_mean(name, SCORED)}"
        )
