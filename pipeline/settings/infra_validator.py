"""Settings of the component infra_validator. Standard library only."""

from __future__ import annotations

import dataclasses

from pipeline.settings.values import Checked, Count, Positive


@dataclasses.dataclass(frozen=True)
class InfraValidator(Checked):
    """The exported model answers in a fresh process."""

    samples: Count = 3  # stored images that are sent
    max_latency: Positive | None = 30.0  # seconds an image, on average, one by one on the processors; none: any
    max_memory: Positive | None = 16.0  # GiB, peak of the whole process that serves; none: any
