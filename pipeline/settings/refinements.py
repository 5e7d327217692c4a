"""What may refine a model's answers, by the names that settings use; what does not go together is refused before anything runs.

`evaluator.refinements` names ways that are scored beside the model as it is served; those of `trainer` are put into the export
itself. Refined twice is refined wrongly. Standard library only.
"""

from __future__ import annotations

import pathlib

from kseg.serving.manifest import read_manifest
from pipeline.engine.messages import did_you_mean
from pipeline.settings import crf as crf_settings
from pipeline.settings.config import Config
from pipeline.settings.prediction import Settings

SCORED = {  # what evaluator.refinements may name, as settings of `pipeline.predict`; a tile has the size of training
    "flips": {"flips": ("horizontal",)},
    "turns": {"flips": ("horizontal",), "rotations": (0, 90, 180, 270)},
    "tiles": {"tile": True},
    "scales": {"tile": True, "scales": (0.75, 1.0, 1.25)},
    "superpixels": {"superpixels": 1000},
    "crf": {"crf": crf_settings.AUTO},
}

VIEWS = {"flips": ("horizontal", "vertical"), "rotations": (0, 90, 180, 270)}
"""What trainer.flips and trainer.rotations may name."""


def named(name: str, image_size: tuple[int, int], crf: dict[str, float] | None = None) -> Settings:
    """The settings of a refinement that evaluator scores.

    Args:
        name: of `SCORED`.
        image_size: (height, width) that the model was trained at, pixels.
        crf: settings of DenseCRF for the refinement of that name; None: `crf_settings.AUTO`.

    Raises:
        ValueError: there is no such refinement.
    """
    _check_name(name)
    settings = dict(SCORED[name])
    if settings.pop("tile", False):
        settings |= {"tile": tuple(image_size), "overlap": min(image_size) // 4}
    if name == "crf" and crf is not None:
        settings["crf"] = crf
    return Settings(**settings)


def check(config: Config):
    """Refuses refinements that are not known, that nothing uses, or that would come twice.

    Raises:
        ValueError: these settings do not go together.
    """
    for name, known in VIEWS.items():
        if not set(given := getattr(config.trainer, name)) <= set(known):
            raise ValueError(
                f"`{name}` must be of {', '.join(map(str, known))}. Received: trainer.{name}={','.join(map(str, given))}."
            )
    if not config.trainer.rotations:
        raise ValueError("`rotations` must name one at least. Received: trainer.rotations=. 0 is the image as it is.")
    chosen = config.evaluator.refinements
    for name in chosen:
        _check_name(name)
    for crf in (config.trainer.crf, config.evaluator.crf):
        crf_settings.checked(crf or {})
    if config.evaluator.crf is not None and "crf" not in chosen:
        raise ValueError(
            "`evaluator.crf` must be given with evaluator.refinements=crf, which it is for. "
            f"Received: evaluator.refinements={','.join(chosen) or 'none'}. To put it into what is served, set trainer.crf."
        )
    if config.trainer.crf is not None and "crf" in chosen:
        raise ValueError(
            "A model must not be refined twice. Received: trainer.crf, and crf in evaluator.refinements. Leave one away: with "
            "trainer.crf, what is served and scored is refined already."
        )


def check_unrefined(model: pathlib.Path, cure: str):
    """Refuses a SavedModel that refines its answers by DenseCRF itself.

    Args:
        model: folder of the SavedModel.
        cure: what to do instead, for the message.

    Raises:
        ValueError: it does.
    """
    crf = read_manifest(model)["crf"]
    if crf is not None:
        raise ValueError(
            f"A model must not be refined twice. Received: {model}, which was exported with crf={crf} and refines itself. {cure}"
        )


def _check_name(name: str):
    if name not in SCORED:
        raise ValueError(
            f"`refinements` must be of {', '.join(SCORED)}. Received: evaluator.refinements={name}."
            f"{did_you_mean(name, SCORED)}"
        )
