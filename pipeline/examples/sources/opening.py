"""Opens the source that `--data` names; a new kind of source gets its module here and a line in `open_source`."""

from __future__ import annotations

import pathlib

from pipeline.examples.sources.files import open_files
from pipeline.examples.sources.generated_streets import open_streets
from pipeline.examples.sources.source import Source
from pipeline.examples.sources.tfds_data_set import open_tfds
from pipeline.settings.example_gen import ExampleGen, take_classes


def open_source(data: pathlib.Path | str, config: ExampleGen, classes: pathlib.Path | None) -> Source:
    """The source of `data`.

    Args:
        data: a folder or file of pairs, "tfds:<name>[:<configuration>]", or "streets".
        config: settings of example_gen.
        classes: table of classes where the user gave one, or a text that `config.classes` takes.

    Raises:
        ValueError: the source cannot be used as a whole, or its classes are unknown.
    """
    config, table = take_classes(config, str(classes) if classes else None)
    classes = pathlib.Path(table) if table else None
    if str(data) == "streets":
        return open_streets(config, classes)
    if str(data).startswith("tfds:"):
        return open_tfds(str(data).removeprefix("tfds:"), config, classes)
    return open_files(pathlib.Path(data), config, classes)
