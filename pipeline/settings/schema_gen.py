"""Settings of the component schema_gen. Standard library only."""

from __future__ import annotations

import dataclasses

from pipeline.settings.values import Checked


@dataclasses.dataclass(frozen=True)
class SchemaGen(Checked):
    """The schema is inferred from the statistics, or the user's own; nothing to choose."""
