"""Settings of the component example_validator. Standard library only."""

from __future__ import annotations

import dataclasses

from pipeline.settings.changes import FILLED_IN
from pipeline.settings.values import Checked, Fraction


@dataclasses.dataclass(frozen=True)
class ExampleValidator(Checked):
    """Tolerated faults of the data; see docs/data_validation.md."""

    max_quarantined: Fraction = 0.01  # share of unusable pairs; more stop the run
    max_leaked: Fraction = 0.01  # share of a split's images that are in train, too; more stop the run
    # Jensen-Shannon distance between a split's classes or brightness and those of train; more is a warning
    max_skew: Fraction = 0.15
    max_drift: Fraction = 0.15  # likewise between train and the train split of the last pushed model
    min_class_share: Fraction = 0.0001  # of the labelled pixels of train; a class with less is a warning
    # whether a cross-validation scores every pair, which needs no split to score on
    cross_validated: bool = dataclasses.field(default=False, metadata=FILLED_IN)
