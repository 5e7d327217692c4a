"""Settings of the component planner. Standard library only."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from pipeline.settings.changes import FILLED_IN
from pipeline.settings.values import Checked, Items, Name, Number

MINUTES = 30.0
"""Of training, where none are given."""
PLANNED = (
    "transform.image_size",
    "transform.image_scale",
    "transform.class_weights",
    "trainer.model",
    "trainer.width",
    "trainer.encoder",
    "trainer.weights",
    "trainer.crop_size",
    "trainer.batch_size",
    "trainer.steps_per_epoch",
    "trainer.epochs",
    "trainer.validation_pairs",
    "trainer.learning_rate",
    "trainer.scale",
    "trainer.precision",
)
"""Settings that a plan chooses where they are not given."""
WITHOUT_INFLUENCE = (
    "trainer.seed",
    "trainer.checkpoint_seconds",
    "trainer.on_nonfinite",
)
"""Settings of transform and trainer on which neither the time of a step nor a choice depends."""


@dataclasses.dataclass(frozen=True)
class Planner(Checked):
    """The budget, and what is not to be chosen."""

    # of training; none: 30 with --model auto
    minutes: Annotated[float, Number(minimum=0.1, maximum=100_000)] | None = None
    # settings that are given, as "name=value"
    given: Annotated[tuple[Name, ...], Items(maximum=200)] = dataclasses.field(default=(), metadata=FILLED_IN)
