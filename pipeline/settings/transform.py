"""Settings of the component transform. Standard library only."""

from __future__ import annotations

import dataclasses
from typing import Literal

from pipeline.settings.values import Checked, PositiveInt, Side


@dataclasses.dataclass(frozen=True)
class Transform(Checked):
    """Size of the training images, and weights of the classes."""

    # height, width; None: the median size, its longer side at most 240
    image_size: tuple[Side, Side] | None = None
    class_weights: Literal["none", "inverse_square_root", "median_frequency"] = "inverse_square_root"
    examples_per_shard: PositiveInt = 64
