"""Settings of the component transform. Standard library only."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from pipeline.settings.values import Checked, Number, Side, as_text


@dataclasses.dataclass(frozen=True)
class Transform(Checked):
    """Size at which images are shown to the network, and weights of the classes."""

    # height, width that images are fitted into, in training, evaluation and service; None: the median size, its longer side at
    # most 240. trainer.crop_size lets training see parts of them.
    image_size: tuple[Side, Side] | None = None
    # instead: a factor on the sides of each image, for images of unlike sizes; training sees crops
    image_scale: Annotated[float, Number(minimum=0.01, maximum=1)] | None = None
    class_weights: Literal["none", "inverse_square_root", "median_frequency"] = "inverse_square_root"

    def __post_init__(self):
        super().__post_init__()
        if self.image_size is not None and self.image_scale is not None:
            size = as_text(self.image_size, "transform.image_size")
            raise ValueError(
                "`image_size` and `image_scale` exclude each other: images are fitted into one size, or keep their own, times a "
                f"factor. Received: transform.image_size={size}, transform.image_scale={self.image_scale:g}. Set one of them to "
                "none."
            )
