"""Settings of the component example_validator. Standard library only."""

from __future__ import annotations

import dataclasses

from pipeline.settings.values import Checked, Fraction


@dataclasses.dataclass(frozen=True)
class ExampleValidator(Checked):
    """How much of what is wrong is borne; docs/data_validation.md."""

    max_quarantined: Fraction = 0.01  # share of all pairs that cannot be used; more stop the run
    max_leaked: Fraction = 0.01  # share of a split's images that are in train too; more stop the run
    max_skew: Fraction = (
        0.15  # Jensen-Shannon distance of a split's classes or brightness from train's; more is a warning
    )
    max_drift: Fraction = 0.15  # likewise of train's from that of the last pushed model
