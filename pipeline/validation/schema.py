"""The schema of a data set: a JSON file that people read, edit and freeze, and that later data are held against.

    {"classes": [{"id": 0, "name": "road", "colour": [128, 64, 128], "value": 0}, ...],
     "ignore_value": 255, "channels": 3, "formats": ["JPEG", "PNG"], "splits": ["train", "validation"],
     "height": {"min": 360, "max": 360}, "width": {"min": 480, "max": 480}, "void_share": {"max": 0.1}}

`value` is what stands in mask files; values of classes and `ignore_value` are the only ones allowed. What a frozen schema leaves
out is not checked. Standard library only.
"""

from __future__ import annotations

import json
import math
import pathlib

from kseg.labels import LabelMap
from pipeline.engine.files import read_json
from pipeline.engine.messages import did_you_mean

KEYS = ("classes", "ignore_value", "channels", "formats", "splits", "height", "width", "void_share")
VOID_STEP = 0.05
"""Inferred is the next multiple of it: a number that people would write, with room for the next batch of masks."""


def infer(statistics: dict, labels: LabelMap) -> dict:
    """The schema that data with these statistics meet.

    Args:
        statistics: of statistics_gen.
        labels: the classes.
    """
    every = statistics["all"]
    void = max(split["void_pixels"] / split["pixels"] for split in statistics["splits"].values())
    return {
        "classes": classes_of(labels),
        "ignore_value": labels.ignore_value,
        "channels": every["channels"],
        "formats": list(every["formats"]),
        "splits": list(statistics["splits"]),
        "height": {side: every["height"][side] for side in ("min", "max")},
        "width": {side: every["width"][side] for side in ("min", "max")},
        "void_share": {"max": round(VOID_STEP * math.ceil(void / VOID_STEP), 2)},
    }


def classes_of(labels: LabelMap) -> list[dict]:
    """The classes as a schema has them."""
    rows = zip(labels.names, labels.colours, labels.values, strict=True)
    return [
        {"id": number, "name": name, "colour": list(colour), "value": value}
        for number, (name, colour, value) in enumerate(rows)
    ]


def text(schema: dict) -> str:
    """A schema as JSON with a line for each key and each class."""
    lines = [f" {json.dumps(key)}: {_text(key, value)}" for key, value in schema.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _text(key, value) -> str:
    if key != "classes":
        return json.dumps(value, ensure_ascii=False)
    return "[\n" + ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in value) + "\n ]"


def read(path: pathlib.Path) -> dict:
    """A frozen schema.

    Raises:
        ValueError: it is no JSON object, or something in it is not what a schema says there.
    """
    try:
        schema = read_json(path)
    except ValueError as error:  # of JSON and of UTF-8
        raise ValueError(
            f"A schema must be JSON. Received: {error} [{path}]. Start from runs/schema_gen/*/schema.json."
        ) from error
    if not isinstance(schema, dict):
        raise ValueError(f"A schema must be a JSON object. Received: {type(schema).__name__} [{path}].")
    for key, value in schema.items():
        if key not in KEYS:
            cure = did_you_mean(key, KEYS, f"There are: {', '.join(KEYS)}.")
            raise ValueError(f"A schema must say what is known. Received: {key!r} [{path}].{cure}")
        if not _fits(key, value):
            raise ValueError(
                f"`{key}` of a schema must be as schema_gen writes it. Received: {json.dumps(value)} [{path}]. "
                "Compare with runs/schema_gen/*/schema.json, or leave it out."
            )
    return schema


def _fits(key, value) -> bool:
    """Whether a value is of the kind that stands under `key`."""
    if key in ("height", "width", "void_share"):
        return isinstance(value, dict) and value.keys() <= {"min", "max"} and all(map(_is_number, value.values()))
    if key == "classes":
        return isinstance(value, list) and all(
            isinstance(row, dict) and {"name", "value"} <= row.keys() for row in value
        )
    if key in ("formats", "splits"):
        return isinstance(value, list) and all(isinstance(name, str) for name in value)
    return _is_number(value) or (key == "ignore_value" and value is None)


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def unlike(schema: dict, statistics: dict, labels: LabelMap) -> list[tuple[str, str, str]]:
    """What of a data set is not as the schema says.

    Args:
        schema: inferred or frozen.
        statistics: of statistics_gen.
        labels: the classes of the data.

    Returns:
        For each finding: where, what the schema says, what was found.
    """
    found = [*_unlike_classes(schema, labels)]
    if "splits" in schema and not set(schema["splits"]) <= statistics["splits"].keys():
        found.append(("splits", f"`splits` {schema['splits']}", f"{list(statistics['splits'])}"))
    for name, split in statistics["splits"].items():
        found += [(f"split {name}", *row) for row in _unlike_split(schema, split)]
    return found


def _unlike_classes(schema, labels):
    if "ignore_value" in schema and schema["ignore_value"] != labels.ignore_value:
        yield "classes", f"`ignore_value` {schema['ignore_value']}", f"{labels.ignore_value}"
    if "classes" not in schema:
        return
    wanted = [{key: row[key] for key in ("name", "colour", "value") if key in row} for row in schema["classes"]]
    given = classes_of(labels)
    if len(wanted) != len(given):
        yield "classes", f"{len(wanted)} classes", f"{len(given)}: {', '.join(labels.names)}"
        return
    for number, (row, own) in enumerate(zip(wanted, given, strict=True)):
        different = [key for key in row if row[key] != own[key]]
        if different:
            said, had = ({key: values[key] for key in different} for values in (row, own))
            yield f"class {number}", _listed(said), _listed(had)


def _unlike_split(schema, split):
    if "channels" in schema and split["channels"] != schema["channels"]:
        yield f"`channels` {schema['channels']}", f"{split['channels']}"
    if "formats" in schema and not split["formats"].keys() <= set(schema["formats"]):
        yield f"`formats` {', '.join(schema['formats'])}", _listed(split["formats"])
    for side in ("height", "width"):
        allowed, seen = schema.get(side, {}), split[side]
        if not allowed.get("min", 0) <= seen["min"] <= seen["max"] <= allowed.get("max", math.inf):
            yield f"`{side}` {_listed(allowed)}", f"min {seen['min']}, max {seen['max']}"
    share, limits = split["void_pixels"] / split["pixels"], schema.get("void_share", {})
    if not limits.get("min", 0) <= share <= limits.get("max", 1):
        yield f"`void_share` {_listed(limits)}", f"{share:.4f}"


def _listed(values: dict) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())
