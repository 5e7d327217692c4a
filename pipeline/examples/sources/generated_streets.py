"""The generated streets of `kseg.streets`, drawn by the workers."""

from __future__ import annotations

import math
import pathlib

import apache_beam as beam

from kseg import streets
from kseg.pairs.image_files import encode_png
from pipeline.engine import progress
from pipeline.examples.sources.source import Elements, Source
from pipeline.settings.example_gen import ExampleGen


def open_streets(config: ExampleGen, classes: pathlib.Path | None) -> Source:
    """The source of the generated streets.

    Args:
        config: images of each split, their size and seed.
        classes: must be None.

    Raises:
        ValueError: classes or a void value are given, though the streets have their own.
    """
    classes = classes or config.classes
    if classes is not None or config.ignore_value is not None:
        raise ValueError(
            "The generated streets have their own classes and void. Received: "
            f"--classes {classes}, ignore_value={config.ignore_value}. Leave both out, or give --data."
        )
    counts = {split: getattr(config, f"streets_{split}") for split in streets.SPLITS}
    numbers = [(split, index) for split, count in counts.items() for index in range(count)]
    return Source(
        labels=streets.LABELS,
        channels=3,
        counts={split: count for split, count in counts.items() if count},
        sizes={split: 4 * count * math.prod(config.streets_size) for split, count in counts.items()},
        elements=Elements(numbers, _name),
        reader=_DrawStreet(config.streets_size, config.streets_seed),
        classes_from="kseg.streets",
    )


def _name(element: tuple[str, int]) -> tuple[str, str]:
    split, index = element
    return split, f"{split}_{index:06d}"


class _DrawStreet(beam.DoFn):
    """Draws (split, index); such a pair is always usable."""

    def __init__(self, size, seed):
        self._size, self._seed = size, seed

    def process(self, element):
        split, index = element
        image, label_map = streets.draw(index, split=split, size=self._size, seed=self._seed)
        progress.advance()
        yield *_name(element), encode_png(image), encode_png(label_map)
