"""What a setting may be: the rules that stand in its annotation, and how its text is read. Standard library only."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import numbers
import re
import types
import typing


@dataclasses.dataclass(frozen=True)
class Number:
    """A finite number, from `least` to `most`, above `above` and below `below`."""

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    whole: bool = False

    def allows(self, value) -> bool:
        """Whether `value` is such a number."""
        return (
            isinstance(value, numbers.Integral if self.whole else numbers.Real)
            and math.isfinite(value)
            and self.least <= value <= self.most
            and self.above < value < self.below
        )

    def __str__(self):
        ends = {"of at least": self.least, "above": self.above, "of at most": self.most, "below": self.below}
        said = " and ".join(f"{word} {end:g}" for word, end in ends.items() if math.isfinite(end))
        return f"a {'whole ' if self.whole else ''}number {said}"


Count = typing.Annotated[int, Number(least=1, whole=True)]
Whole = typing.Annotated[int, Number(least=0, whole=True)]
Positive = typing.Annotated[float, Number(above=0)]
NotNegative = typing.Annotated[float, Number(least=0)]
Share = typing.Annotated[float, Number(least=0, most=1)]


class Checked:
    """Refuses what the annotations of its fields do not allow: a wrong number shall not be found out after hours."""

    def __post_init__(self):
        check(self, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower() + ".")


def check(settings, prefix: str = ""):
    """Holds the fields of a dataclass against their annotations.

    Args:
        settings: the dataclass.
        prefix: of a field's name in messages, such as "trainer.".

    Raises:
        ValueError: a field is not what its annotation allows.
    """
    for field, kind in _annotations(type(settings)).items():
        value = getattr(settings, field)
        wanted = _wanted(value, kind)
        if wanted:
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
            raise ValueError(f"`{field}` must be {wanted}. Received: {prefix}{field}={shown}.")


@functools.cache
def _annotations(owner: type) -> dict:
    return typing.get_type_hints(owner, include_extras=True)


def _wanted(value, kind) -> str:
    """What `value` should have been; nothing where it is as `kind` says."""
    if typing.get_origin(kind) is typing.Annotated:
        (rule,) = kind.__metadata__
        return "" if rule.allows(value) else str(rule)
    if typing.get_origin(kind) is typing.Literal:
        names = typing.get_args(kind)
        return "" if value in names else f"one of {', '.join(names)}"
    options = _options(kind)
    if len(options) > 1:
        return "" if value is None else _wanted(value, next(option for option in options if option is not type(None)))
    if typing.get_origin(kind) is not tuple:
        return ""
    inner = typing.get_args(kind)
    many = inner[-1] is Ellipsis
    found = [_wanted(part, inner[0]) for part in value]
    if any(found) or (not many and len(value) != len(inner)):
        rule = next(filter(None, found), "") or str(inner[0].__metadata__[0])
        return f"{'values' if many else f'{len(inner)} values'}, each {rule}"
    return ""


def read(text: str, kind, setting: str):
    """`text` as a value of the annotated type `kind`.

    Args:
        text: what was written.
        kind: of the setting.
        setting: its name, for messages.

    Raises:
        ValueError: the text is no such value.
    """
    options = _options(kind)
    if type(None) in options and text.lower() in ("none", ""):
        return None
    kind = next(option for option in options if option is not type(None))
    try:
        if setting == "transform.image_size" and "x" in text.lower():
            return image_size(text)
        if typing.get_origin(kind) is tuple:
            return tuple(typing.get_args(kind)[0](part) for part in text.strip("()[] ").split(",") if part.strip())
        if typing.get_origin(kind) is dict:
            return _object(text)
        if typing.get_origin(kind) is typing.Literal:
            return text
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (KeyError, ValueError) as error:
        if setting == "transform.image_size":
            raise
        expected = getattr(kind, "__name__", str(kind))
        raise ValueError(f"{setting} must be of type {expected}. Received: {setting}={text}.") from error


def _options(kind) -> tuple:
    """The types of a union, or the type alone."""
    return typing.get_args(kind) if typing.get_origin(kind) in (types.UnionType, typing.Union) else (kind,)


def image_size(text: str) -> tuple[int, int]:
    """Reads WIDTHxHEIGHT as people write it; returns (height, width) as arrays have it."""
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise ValueError(
            f"An image size must be WIDTHxHEIGHT in pixels. Received: {text!r}. Write for example 240x180."
        )
    return int(height), int(width)


def _object(text: str) -> dict:
    """A JSON object.

    Raises:
        ValueError: it is none.
    """
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(text)
    return value
