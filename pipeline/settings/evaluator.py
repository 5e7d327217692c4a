"""Settings of the component evaluator. Standard library only."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from pipeline.settings import crf as crf_settings
from pipeline.settings.values import Checked, Fraction, Items, Name, Number


@dataclasses.dataclass(frozen=True)
class Evaluator(Checked):
    """Split, gate and refinements to score."""

    split: Literal["auto", "train", "validation", "test"] = "auto"  # test where there is one, else validation
    # mean IoU above that of a prediction of the commonest class everywhere
    min_gain: Annotated[float, Number(minimum=-1, maximum=1)] = 0.1
    min_mean_iou: Fraction = 0.0
    # mean IoU by which the model may lie below the pushed one, at the lower end of the interval; none: not compared
    margin: Fraction | None = 0.03
    thresholds: dict[str, Fraction] = dataclasses.field(
        default_factory=dict
    )  # by score, see pipeline/evaluation/gate.py
    # for the record, with --target: settings were chosen by scores on labels of the target; report and model card say so
    chosen_with_target_labels: bool = False
    # push a model that learned from the images by which it is scored: that no held-out score exists is only said then
    push_without_held_out: bool = False
    # pixels between predicted and true boundary that still match
    boundary_tolerance: Annotated[float, Number(minimum=0, maximum=100)] = 2.0
    # class whose connected objects, such as cells, are compared by the foreground-restricted Rand score; none: not reported
    object_class: Name | None = None
    # scored in addition to the served model, see pipeline/settings/refinements.py
    refinements: Annotated[tuple[Name, ...], Items(maximum=16, distinct=True)] = ()
    crf: crf_settings.Parameters | None = None  # parameters of the refinement crf, as in exporter.crf; none: auto

    def __post_init__(self):
        super().__post_init__()
        crf_settings.check_parameters(self.crf or {})
