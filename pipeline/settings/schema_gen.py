"""Settings of the component schema_gen. Standard library only."""

from __future__ import annotations

import dataclasses

from pipeline.settings.values import Checked


@dataclasses.dataclass(frozen=True)
class SchemaGen(Checked):
    """No settings: the schema is inferred from the statistics, or it is the user's own."""
