"""What a setting may be: rules written as annotations, and how text becomes a value. Standard library only."""

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
    """A finite number from `minimum` to `maximum`, above `above` and below `below`."""

    minimum: float = -math.inf
    maximum: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    integer: bool = False

    def allows(self, value) -> bool:
        """Whether `value` is such a number."""
        return (
            isinstance(value, numbers.Integral if self.integer else numbers.Real)
            and math.isfinite(value)
            and self.minimum <= value <= self.maximum
            and self.above < value < self.below
        )

    def __str__(self):
        number = "a whole number" if self.integer else "a number"
        if math.isfinite(self.minimum) and math.isfinite(self.maximum):
            return f"{number} from {self.minimum:g} to {self.maximum:g}"
        bounds = {"of at least": self.minimum, "above": self.above, "of at most": self.maximum, "below": self.below}
        return f"{number} {' and '.join(f'{word} {bound:g}' for word, bound in bounds.items() if math.isfinite(bound))}"


PositiveInt = typing.Annotated[int, Number(minimum=1, integer=True)]
NonNegativeInt = typing.Annotated[int, Number(minimum=0, integer=True)]
PositiveFloat = typing.Annotated[float, Number(above=0)]
NonNegativeFloat = typing.Annotated[float, Number(minimum=0)]
Fraction = typing.Annotated[float, Number(minimum=0, maximum=1)]


class Checked:
    """Base of the components' settings: checks the fields when an instance is made, so that no run fails on one after hours."""

    def __post_init__(self):
        check(self, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower() + ".")


def check(config, prefix: str = ""):
    """Checks the fields of a dataclass against their annotations.

    Args:
        config: the dataclass instance.
        prefix: of the fields' names in messages, such as "trainer.".

    Raises:
        ValueError: a field is not what its annotation allows.
    """
    for field, annotation in annotations(type(config)).items():
        value = getattr(config, field)
        if expected := _violated(value, annotation):
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
            raise ValueError(f"`{field}` must be {expected}. Received: {prefix}{field}={shown}.")


@functools.cache
def annotations(owner: type) -> dict:
    """The annotations of a dataclass's fields, with their rules."""
    return typing.get_type_hints(owner, include_extras=True)


def choices(annotation) -> tuple:
    """The values that an annotation lists; empty where it does not list any."""
    return typing.get_args(annotation) if typing.get_origin(annotation) is typing.Literal else ()


def _violated(value, annotation) -> str:
    """The rule that `value` violates, as text; empty where there is none."""
    if typing.get_origin(annotation) is typing.Annotated:
        (rule,) = annotation.__metadata__
        return "" if rule.allows(value) else str(rule)
    if names := choices(annotation):
        return "" if value in names else f"one of {', '.join(names)}"
    options = _options(annotation)
    if len(options) > 1:
        return "" if value is None else _violated(value, next(option for option in options if option is not type(None)))
    if typing.get_origin(annotation) is tuple:
        return _violated_by_part(value, typing.get_args(annotation))
    return ""


def _violated_by_part(value: tuple, parts: tuple) -> str:
    """As `_violated`, for a tuple with the annotations `parts`, all alike; the last may be `...`."""
    variadic = parts[-1] is Ellipsis
    violated = [_violated(part, parts[0]) for part in value]
    if not any(violated) and (variadic or len(value) == len(parts)):
        return ""
    rule = next(filter(None, violated), "") or str(parts[0].__metadata__[0])
    return f"{'values' if variadic else f'{len(parts)} values'}, each {rule}"


def read(text: str, annotation, setting: str):
    """Reads `text` as a value of the annotated type.

    Args:
        text: what was written on the command line.
        annotation: of the setting, without its rules.
        setting: its name, for messages.

    Raises:
        ValueError: the text is no such value.
    """
    options = _options(annotation)
    if type(None) in options and text.lower() in ("none", ""):
        return None
    kind = next(option for option in options if option is not type(None))
    if setting == "transform.image_size" and "x" in text.lower():
        return image_size(text)
    try:
        return _convert(text, kind)
    except (KeyError, ValueError) as error:
        expected = getattr(kind, "__name__", str(kind))
        raise ValueError(f"{setting} must be of type {expected}. Received: {setting}={text}.") from error


def _convert(text: str, kind):
    if typing.get_origin(kind) is tuple:
        part_kind = typing.get_args(kind)[0]
        return tuple(part_kind(part) for part in text.strip("()[] ").split(",") if part.strip())
    if typing.get_origin(kind) is dict:
        return _read_object(text)
    if choices(kind):
        return text
    if kind is bool:
        return {"true": True, "false": False}[text.lower()]
    return kind(text)


def _options(annotation) -> tuple:
    """The types of a union, or the one type."""
    is_union = typing.get_origin(annotation) in (types.UnionType, typing.Union)
    return typing.get_args(annotation) if is_union else (annotation,)


def image_size(text: str) -> tuple[int, int]:
    """Reads WIDTHxHEIGHT, as people write it; returns (height, width), as arrays have it.

    Raises:
        ValueError: the text is no such size.
    """
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise ValueError(
            f"An image size must be WIDTHxHEIGHT in pixels. Received: {text!r}. Write for example 240x180."
        )
    return int(height), int(width)


def _read_object(text: str) -> dict:
    """Reads a JSON object.

    Raises:
        ValueError: the text is none.
    """
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(text)
    return value
