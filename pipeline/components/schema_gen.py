"""schema_gen: what a data set looks like, for people to read and for later data to match; see `pipeline.validation.schema`.

Standard library only.
"""

from __future__ import annotations

import pathlib

from kseg.labels import LabelMap
from pipeline.engine.files import read_json, write_text
from pipeline.settings.schema_gen import SchemaGen
from pipeline.validation.schema import format_schema, infer_schema, read_schema


def schema_gen(
    out: pathlib.Path,
    config: SchemaGen,
    *,
    statistics: pathlib.Path,
    examples: pathlib.Path,
    frozen: pathlib.Path | None = None,
):
    """Writes `out/schema.json`: the frozen schema if there is one, else the one inferred from the data.

    Args:
        out: folder to write to.
        config: has no fields.
        statistics: artifact of statistics_gen.
        examples: artifact of example_gen, for names and colours of the classes.
        frozen: a schema that somebody wrote or edited.

    Raises:
        ValueError: `frozen` is not a schema.
    """
    if frozen is not None:
        schema = read_schema(frozen)
    else:
        counts = read_json(statistics / "statistics.json")
        schema = infer_schema(counts, LabelMap.load(examples))
    write_text(out / "schema.json", format_schema(schema))
