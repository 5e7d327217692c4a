"""Settings of the components fold and fold_mean. Standard library only."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from pipeline.settings.values import Checked, Number

Folds = Annotated[int, Number(minimum=2, maximum=100, integer=True)]
"""Parts of a cross-validation."""


@dataclasses.dataclass(frozen=True)
class FoldMean:
    """The mean of networks; there is nothing to choose."""


@dataclasses.dataclass(frozen=True)
class Fold(Checked):
    """One fold of a cross-validation."""

    folds: Folds
    number: Annotated[int, Number(minimum=0, maximum=99, integer=True)]  # of the fold whose pairs are held out

    def __post_init__(self):
        super().__post_init__()
        if self.number >= self.folds:
            raise ValueError(f"`number` must be below `folds`. Received: number={self.number}, folds={self.folds}.")
