"""Settings of the component infra_validator. Standard library only."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from pipeline.settings.values import Checked, Number


@dataclasses.dataclass(frozen=True)
class InfraValidator(Checked):
    """Requests to the exported model, and limits that it must keep."""

    samples: Annotated[int, Number(minimum=1, maximum=10_000, integer=True)] = 3  # stored images to send
    # seconds per image on average, one by one on the CPU; none: no limit
    max_latency: Annotated[float, Number(minimum=1e-3, maximum=86_400)] | None = 30.0
    # GiB, peak of the serving process; none: no limit
    max_memory: Annotated[float, Number(minimum=0.1, maximum=100_000)] | None = 16.0
