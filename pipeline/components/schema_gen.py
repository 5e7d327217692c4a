"""schema_gen: what a data set looks like, inferred from its statistics, for people to read and for later data to be held against.

Standard library only.
"""

from __future__ import annotations

import json
import pathlib

from kseg.labels import LabelMap
from pipeline.config import SchemaGen


def schema_gen(out: pathlib.Path, config: SchemaGen, *, statistics: pathlib.Path, examples: pathlib.Path):
    """Writes `out/schema.json`: `classes`, `ignore_value`, `channels`, `height`, `width` and `void_share`.

    Args:
        out: folder to write below.
        config: nothing to choose.
        statistics: artifact of statistics_gen.
        examples: artifact of example_gen, which knows names and colours.
    """
    labels = LabelMap.load(examples)
    counts = json.loads((statistics / "statistics.json").read_text())["all"]
    rows = zip(labels.names, labels.colours, labels.values, strict=True)
    schema = {
        "classes": [
            {"id": number, "name": name, "colour": colour, "value": value}
            for number, (name, colour, value) in enumerate(rows)
        ],
        "ignore_value": labels.ignore_value,
        "channels": counts["channels"],
        "height": {side: counts["height"][side] for side in ("min", "max")},
        "width": {side: counts["width"][side] for side in ("min", "max")},
        "void_share": counts["void_pixels"] / counts["pixels"],
    }
    (out / "schema.json").write_text(json.dumps(schema, indent=1))
