"""Settings of the component statistics_gen. Standard library only."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from pipeline.settings.values import Checked, Count, Number


@dataclasses.dataclass(frozen=True)
class StatisticsGen(Checked):
    """When an image counts as a near duplicate, and when as tiny."""

    # by which the perceptual hashes of near duplicates differ at most
    near_duplicate_bits: Annotated[int, Number(minimum=0, maximum=128, integer=True)] = 10
    tiny_side: Count = 16  # pixels; images with a shorter side are listed
