"""Settings of the component statistics_gen. Standard library only."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from pipeline.settings.values import Checked, Number, Whole


@dataclasses.dataclass(frozen=True)
class StatisticsGen(Checked):
    """What counts as a near duplicate, and as tiny."""

    # by which the perceptual hashes of two images may differ
    near_duplicate_bits: Annotated[int, Number(least=0, most=128, whole=True)] = 10
    tiny_side: Whole = 16  # pixels; images with a shorter side are named
