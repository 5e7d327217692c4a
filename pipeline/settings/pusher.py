"""Settings of the component pusher. Standard library only."""

from __future__ import annotations

import dataclasses

from pipeline.settings.values import Checked, PositiveInt


@dataclasses.dataclass(frozen=True)
class Pusher(Checked):
    """Versions to keep."""

    # newest versions that stay; older ones are removed, versions that were rolled back do not count
    keep: PositiveInt = 5
