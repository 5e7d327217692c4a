"""Settings of the component evaluator. Standard library only."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from pipeline.settings.values import Checked, Fraction, NonNegativeFloat, Number


@dataclasses.dataclass(frozen=True)
class Evaluator(Checked):
    """Split, gate and refinements to score."""

    split: Literal["auto", "train", "validation", "test"] = "auto"  # test where there is one, else validation
    # mean IoU above that of a prediction of the commonest class everywhere
    min_gain: Annotated[float, Number(minimum=-1, maximum=1)] = 0.1
    min_mean_iou: Fraction = 0.0
    # mean IoU by which the model may lie below the pushed one, at the lower end of the interval; none: not compared
    margin: NonNegativeFloat | None = 0.03
    thresholds: dict[str, float] = dataclasses.field(default_factory=dict)  # by score, see pipeline/evaluation/gate.py
    boundary_tolerance: NonNegativeFloat = 2.0  # pixels between predicted and true boundary that still match
    refinements: tuple[str, ...] = ()  # scored in addition to the served model, see pipeline/settings/refinements.py
    crf: dict[str, float] | None = None  # parameters of the refinement crf, as in trainer.crf; none: auto
