"""Settings of the component infra_validator. Standard library only."""

from __future__ import annotations

import dataclasses

from pipeline.settings.values import Checked, PositiveFloat, PositiveInt


@dataclasses.dataclass(frozen=True)
class InfraValidator(Checked):
    """Requests to the exported model, and limits that it must keep."""

    samples: PositiveInt = 3  # stored images to send
    max_latency: PositiveFloat | None = 30.0  # seconds per image on average, one by one on the CPU; none: no limit
    max_memory: PositiveFloat | None = 16.0  # GiB, peak of the serving process; none: no limit
