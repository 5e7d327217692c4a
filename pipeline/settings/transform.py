"""Settings of the component transform. Standard library only."""

from __future__ import annotations

import dataclasses
from typing import Literal

from pipeline.settings.values import Checked, PositiveInt, Side


@dataclasses.dataclass(frozen=True)
class Transform(Checked):
    """Size at which images are shown to the network, and weights of the classes."""

    # height, width that images are fitted into, in training, evaluation and service; None: the median size, its longer side at
    # most 240. trainer.crop_size lets training see parts of them.
    image_size: tuple[Side, Side] | None = None
    class_weights: Literal["none", "inverse_square_root", "median_frequency"] = "inverse_square_root"
    examples_per_shard: PositiveInt = 64
