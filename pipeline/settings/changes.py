"""Settings by name: all of them as a table, and one of them replaced. Standard library only."""

from __future__ import annotations

import dataclasses
import typing

from kseg._suggestions import did_you_mean
from pipeline.settings import values

FILLED_IN = {"filled_in": True}
"""Metadata of a field that nobody sets by name: the line fills it in."""

_EXPORTERS = ("crf", "flips", "max_pixels", "rotations", "score_memory", "strict", "tiles")
MOVED = {f"trainer.{name}": f"exporter.{name}" for name in _EXPORTERS}
"""Where settings are now that were another component's."""


def replace_setting(config, setting: str, value):
    """Returns `config` with one setting replaced.

    Args:
        config: a dataclass, with a dataclass for each component.
        setting: "component.field", or the name of a field of `config` itself.
        value: a value of the field's type, or text to read as one.

    Raises:
        ValueError: the setting is unknown, in which case the message suggests the nearest one, or the value is not allowed.
    """
    component, _, field = setting.rpartition(".")
    owner = getattr(config, component, None) if component else config
    names = flatten(config)
    if setting not in names:
        cure = did_you_mean(setting, names, f"There are: {', '.join(names)}.")
        cure = f" It is {MOVED[setting]!r} now." if setting in MOVED else cure
        shown = values.shorten(setting)
        raise ValueError(f"Unknown setting {shown!r}. Received: --set {shown}={values.shorten(value)}.{cure}")
    if isinstance(value, str):
        value = values.read(value, typing.get_type_hints(type(owner))[field], setting)
    owner = dataclasses.replace(owner, **{field: value})
    return dataclasses.replace(config, **{component: owner}) if component else owner


def flatten(config) -> dict[str, object]:
    """Returns every setting and its value, under the names that `replace_setting` takes."""
    result = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            fields = [inner.name for inner in dataclasses.fields(value) if inner.metadata != FILLED_IN]
            result |= {f"{field.name}.{name}": getattr(value, name) for name in fields}
        else:
            result[field.name] = value
    return result
