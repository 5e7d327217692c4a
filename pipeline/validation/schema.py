"""The schema of a data set: a JSON file that people read, edit and freeze, and that later data must match.

    {"classes": [{"id": 0, "name": "road", "colour": [128, 64, 128], "value": 0}, ...],
     "ignore_value": 255, "channels": 3, "dtype": "uint8", "image_range": null, "formats": ["JPEG", "PNG"],
     "splits": ["train", "validation"],
     "height": {"min": 360, "max": 360}, "width": {"min": 480, "max": 480}, "void_share": {"max": 0.1}}

`image_range` is the sample of 16-bit images that becomes 255; null where there are none, or where that is 65535. `value` is the
value in mask files; only the values of classes and `ignore_value` are allowed. Keys that a frozen schema omits are not checked.
Standard library only.
"""

from __future__ import annotations

import json
import math
import pathlib

from kseg._suggestions import did_you_mean
from kseg.labels import LabelMap
from kseg.pairs.channels import PixelKind
from pipeline.engine.files import read_json

KEYS = (
    "classes", "ignore_value", "channels", "dtype", "image_range", "formats", "splits", "height", "width", "void_share",
)  # fmt: skip
VOID_STEP = 0.05
"""The inferred limit is the next multiple: a round number, with room for the next batch of masks."""


def infer_schema(statistics: dict, labels: LabelMap) -> dict:
    """The tightest schema that data with these statistics match.

    Args:
        statistics: statistics.json of statistics_gen.
        labels: the classes.
    """
    total = statistics["all"]
    void = max(split["void_pixels"] / split["pixels"] for split in statistics["splits"].values())
    return {
        "classes": class_rows(labels),
        "ignore_value": labels.ignore_value,
        "channels": total["channels"],
        "dtype": PixelKind.recorded(total).dtype,
        "image_range": statistics.get("image_range"),
        "formats": list(total["formats"]),
        "splits": list(statistics["splits"]),
        "height": {side: total["height"][side] for side in ("min", "max")},
        "width": {side: total["width"][side] for side in ("min", "max")},
        "void_share": {"max": round(VOID_STEP * math.ceil(void / VOID_STEP), 2)},
    }


def class_rows(labels: LabelMap) -> list[dict]:
    """The classes in the form of a schema."""
    rows = zip(labels.names, labels.colours, labels.values, strict=True)
    others = {}
    for value, class_id in labels.other_values:
        others.setdefault(class_id, {"other_values": []})["other_values"].append(value)
    return [
        {"id": number, "name": name, "colour": list(colour), "value": value} | others.get(number, {})
        for number, (name, colour, value) in enumerate(rows)
    ]


def format_schema(schema: dict) -> str:
    """A schema as JSON, with one line per key and per class."""
    lines = [f" {json.dumps(key)}: {_format_value(key, value)}" for key, value in schema.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _format_value(key, value) -> str:
    if key != "classes":
        return json.dumps(value, ensure_ascii=False)
    return "[\n" + ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in value) + "\n ]"


def read_schema(path: pathlib.Path) -> dict:
    """Reads a frozen schema.

    Raises:
        ValueError: it is not a JSON object, has an unknown key, or a value of the wrong kind.
    """
    schema = read_json(path, cure="Start from runs/schema_gen/*/schema.json.")
    for key, value in schema.items():
        if key not in KEYS:
            cure = did_you_mean(key, KEYS, f"Its keys are: {', '.join(KEYS)}.")
            raise ValueError(f"Unknown key of a schema. Received: {key!r} [{path}].{cure}")
        if not _is_valid(key, value):
            raise ValueError(
                f"`{key}` of a schema must have the form that schema_gen writes. Received: {json.dumps(value)} [{path}]. "
                "Compare with runs/schema_gen/*/schema.json, or omit the key."
            )
    return schema


def _is_valid(key, value) -> bool:
    """Whether a value has the form that `key` requires."""
    if key in ("height", "width", "void_share"):
        return isinstance(value, dict) and value.keys() <= {"min", "max"} and all(map(_is_number, value.values()))
    if key == "classes":
        return isinstance(value, list) and all(
            isinstance(row, dict) and {"name", "value"} <= row.keys() for row in value
        )
    if key in ("formats", "splits"):
        return isinstance(value, list) and all(isinstance(name, str) for name in value)
    if key == "dtype":
        return isinstance(value, str)
    return _is_number(value) or (key in ("ignore_value", "image_range") and value is None)


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def find_violations(schema: dict, statistics: dict, labels: LabelMap) -> list[tuple[str, str, str]]:
    """Everything in a data set that the schema does not allow.

    Args:
        schema: inferred or frozen.
        statistics: statistics.json of statistics_gen.
        labels: the classes of the data.

    Returns:
        (where, expected, received) for each violation, as text.
    """
    found = [*_class_violations(schema, labels)]
    if "splits" in schema and not set(schema["splits"]) <= statistics["splits"].keys():
        found.append(("splits", f"`splits` {schema['splits']}", f"{list(statistics['splits'])}"))
    if "image_range" in schema and schema["image_range"] != statistics.get("image_range"):
        expected = (
            f"`image_range` {schema['image_range']} (--set example_gen.image_range={schema['image_range'] or 65535})"
        )
        found.append(("16-bit images", expected, f"{statistics.get('image_range')}"))
    for name, split in statistics["splits"].items():
        found += [(f"split {name}", *row) for row in _split_violations(schema, split)]
    return found


def _class_violations(schema, labels):
    if "ignore_value" in schema and schema["ignore_value"] != labels.ignore_value:
        yield "classes", f"`ignore_value` {schema['ignore_value']}", f"{labels.ignore_value}"
    if "classes" not in schema:
        return
    expected = [
        {key: row[key] for key in ("name", "colour", "value", "other_values") if key in row}
        for row in schema["classes"]
    ]
    received = class_rows(labels)
    if len(expected) != len(received):
        yield "classes", f"{len(expected)} classes", f"{len(received)}: {', '.join(labels.names)}"
        return
    for number, (row, own) in enumerate(zip(expected, received, strict=True)):
        if different := [key for key in row if row[key] != own.get(key)]:
            yield f"class {number}", *(_join({key: values.get(key) for key in different}) for values in (row, own))


def _split_violations(schema, split):
    if "channels" in schema and split["channels"] != schema["channels"]:
        yield f"`channels` {schema['channels']}", f"{split['channels']}"
    dtype = PixelKind.recorded(split).dtype
    if "dtype" in schema and dtype != schema["dtype"]:
        yield f"`dtype` {schema['dtype']}", dtype
    if "formats" in schema and not split["formats"].keys() <= set(schema["formats"]):
        yield f"`formats` {', '.join(schema['formats'])}", _join(split["formats"])
    for side in ("height", "width"):
        allowed, seen = schema.get(side, {}), split[side]
        if not allowed.get("min", 0) <= seen["min"] <= seen["max"] <= allowed.get("max", math.inf):
            yield f"`{side}` {_join(allowed)}", f"min {seen['min']}, max {seen['max']}"
    share, limits = split["void_pixels"] / split["pixels"], schema.get("void_share", {})
    if not limits.get("min", 0) <= share <= limits.get("max", 1):
        yield f"`void_share` {_join(limits)}", f"{share:.4f}"


def _join(values: dict) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())
