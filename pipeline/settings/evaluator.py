"""Settings of the component evaluator. Standard library only."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from pipeline.settings.values import Checked, Fraction, NonNegativeFloat, Number


@dataclasses.dataclass(frozen=True)
class Evaluator(Checked):
    """The gate."""

    split: Literal["auto", "train", "validation", "test"] = "auto"  # test where there is one, else validation
    # mean IoU above the label map that always says the commonest class
    min_gain: Annotated[float, Number(minimum=-1, maximum=1)] = 0.1
    min_mean_iou: Fraction = 0.0
    # mean IoU by which the model may lie below the pushed one, surely; none: not compared
    margin: NonNegativeFloat | None = 0.03
    thresholds: dict[str, float] = dataclasses.field(default_factory=dict)  # by name, see pipeline/evaluation/gate.py
    boundary_tolerance: NonNegativeFloat = 2.0  # pixels by which a predicted outline may lie beside the true one
    refinements: tuple[str, ...] = ()  # scored beside the model as it is served, see pipeline/settings/refinements.py
    crf: dict[str, float] | None = None  # of the refinement crf, as trainer.crf; none: auto
