"""schema_gen: what a data set looks like, for people to read and for data to be held against; see `pipeline.validation.schema`.

Standard library only.
"""

from __future__ import annotations

import pathlib

from kseg.labels import LabelMap
from pipeline.engine.files import read_json
from pipeline.settings.schema_gen import SchemaGen
from pipeline.validation import schema


def schema_gen(
    out: pathlib.Path,
    config: SchemaGen,
    *,
    statistics: pathlib.Path,
    examples: pathlib.Path,
    frozen: pathlib.Path | None = None,
):
    """Writes `out/schema.json`: the user's own where there is one, else the one that the data meet.

    Args:
        out: folder to write below.
        config: nothing to choose.
        statistics: artifact of statistics_gen.
        examples: artifact of example_gen, which knows names and colours.
        frozen: a schema that somebody has written or edited.

    Raises:
        ValueError: `frozen` is no schema.
    """
    if frozen is not None:
        found = schema.read(frozen)
    else:
        counts = read_json(statistics / "statistics.json")
        found = schema.infer(counts, LabelMap.load(examples))
    (out / "schema.json").write_text(schema.text(found), encoding="utf-8")
