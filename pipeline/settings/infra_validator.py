"""Settings of the component infra_validator. Standard library only."""

from __future__ import annotations

import dataclasses

from pipeline.settings.values import Checked, PositiveFloat, PositiveInt


@dataclasses.dataclass(frozen=True)
class InfraValidator(Checked):
    """The exported model answers in a fresh process."""

    samples: PositiveInt = 3  # stored images that are sent
    max_latency: PositiveFloat | None = 30.0  # seconds an image, on average, one by one on the processors; none: any
    max_memory: PositiveFloat | None = 16.0  # GiB, peak of the whole process that serves; none: any
