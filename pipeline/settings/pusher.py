"""Settings of the component pusher. Standard library only."""

from __future__ import annotations

import dataclasses

from pipeline.settings.values import Checked, PositiveInt


@dataclasses.dataclass(frozen=True)
class Pusher(Checked):
    """Blessed models are pushed."""

    keep: PositiveInt = (
        5  # versions that stay at the target; older ones are removed, what was rolled back is not counted
    )
