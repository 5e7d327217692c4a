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

from kseg._suggestions import did_you_mean

SIZES = ("transform.image_size", "trainer.crop_size")
"""Settings that are written WIDTHxHEIGHT, or height,width."""
SHOWN = 80
"""Characters of a wrong value that a message repeats."""
MAX_BYTES_OF_A_FILE_NAME = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


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
            and not isinstance(value, bool)
            and self.minimum <= value <= self.maximum
            and self.above < value < self.below  # also refuses infinity, since the bounds are infinite by default
        )

    def __str__(self):
        number = "a whole number" if self.integer else "a number"
        if math.isfinite(self.minimum) and math.isfinite(self.maximum):
            return f"{number} from {_bound(self.minimum)} to {_bound(self.maximum)}"
        bounds = {"of at least": self.minimum, "above": self.above, "of at most": self.maximum, "below": self.below}
        return f"{number} {' and '.join(f'{word} {_bound(value)}' for word, value in bounds.items() if math.isfinite(value))}"


@dataclasses.dataclass(frozen=True)
class Text:
    """Text of at most `maximum` bytes in UTF-8, without control characters, that matches `pattern`; `words` say so."""

    words: str
    maximum: int
    pattern: str = ".+"

    def allows(self, value) -> bool:
        """Whether `value` is such text."""
        return isinstance(value, str) and not _CONTROL.search(value) and bool(self._fits(value))

    def _fits(self, value: str):
        size = len(value.encode(errors="surrogateescape"))  # names of files that are not UTF-8
        return size <= self.maximum and re.fullmatch(self.pattern, value, re.DOTALL)

    def __str__(self):
        return f"{self.words}, at most {self.maximum} bytes long"


@dataclasses.dataclass(frozen=True)
class Place(Text):
    """A path that a file system can hold."""

    words: str = "a path without control characters"
    maximum: int = 4000

    def allows(self, value) -> bool:
        """Whether `value` is such a path."""
        return super().allows(value) and all(
            len(part.encode(errors="surrogateescape")) <= MAX_BYTES_OF_A_FILE_NAME for part in value.split("/")
        )

    def __str__(self):
        return f"{super().__str__()}, each name in it at most {MAX_BYTES_OF_A_FILE_NAME}"


@dataclasses.dataclass(frozen=True)
class Items:
    """How many values a tuple has, and whether they differ."""

    minimum: int = 0
    maximum: int = 16
    distinct: bool = False

    def allows(self, value: tuple) -> bool:
        """Whether a tuple has so many values."""
        return self.minimum <= len(value) <= self.maximum and not (self.distinct and len(set(value)) < len(value))

    def __str__(self):
        number = f"{self.minimum} to {self.maximum}" if self.minimum else f"at most {self.maximum}"
        return f"{number} {'different ' if self.distinct else ''}values"


def _bound(value: float) -> str:
    """A bound as people write it: 50,000,000 and 1e-10."""
    return f"{value:,}" if value == int(value) else f"{value:g}"


PositiveInt = typing.Annotated[int, Number(minimum=1, maximum=1_000_000, integer=True)]
Count = typing.Annotated[int, Number(minimum=0, maximum=1_000_000, integer=True)]
Steps = typing.Annotated[int, Number(minimum=0, maximum=1_000_000_000, integer=True)]
"""Training steps."""
Seed = typing.Annotated[int, Number(minimum=0, maximum=2**32 - 1, integer=True)]
"""numpy, which Keras seeds as well, takes 32 bits."""
Rate = typing.Annotated[float, Number(minimum=1e-10, maximum=10)]
"""A learning rate; smaller ones round to no change in float32."""
Weight = typing.Annotated[float, Number(minimum=0, maximum=1000)]
Pixels = typing.Annotated[int, Number(minimum=1, maximum=1_000_000_000, integer=True)]
"""Of one image."""
Side = typing.Annotated[int, Number(minimum=1, maximum=16_384, integer=True)]
"""Height or width of an image in pixels."""
Fraction = typing.Annotated[float, Number(minimum=0, maximum=1)]
Name = typing.Annotated[str, Text("text without control characters", 200)]


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
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    for field, annotation in annotations(type(config)).items():
        value = getattr(config, field)
        if expected := _violated(value, annotation):
            default = defaults[field]
            cure = "" if default is dataclasses.MISSING or default == value else f" The default is {as_text(default)}."
            names = [str(name) for option in _options(annotation) for name in choices(option)]
            nearest = did_you_mean(shorten(value), names) if names and value else ""
            raise ValueError(
                f"`{field}` must be {expected}. Received: {prefix}{field}={shorten(value)}.{nearest or cure}"
            )


def as_text(value, setting: str = "") -> str:
    """A value as it is written on the command line; of a setting of `SIZES` as WIDTHxHEIGHT.

    Example:
        >>> as_text((360, 480)), as_text((360, 480), "transform.image_size")
        ('360,480', '480x360')
    """
    if setting in SIZES and value:
        return f"{value[1]}x{value[0]}"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "(empty)"
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)


def shorten(value) -> str:
    """A wrong value for a message: on one line, and not longer than `SHOWN` characters."""
    if isinstance(value, int) and abs(value) >= 10**SHOWN:
        return f"a number of more than {SHOWN} digits"  # Python refuses to write the longest ones
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", as_text(value))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"


@functools.cache
def annotations(owner: type) -> dict:
    """The annotations of a dataclass's fields, with their rules."""
    return typing.get_type_hints(owner, include_extras=True)


def choices(annotation) -> tuple:
    """The values that an annotation lists, beside None; empty where it does not list any."""
    listed = [option for option in _options(annotation) if typing.get_origin(option) is typing.Literal]
    return typing.get_args(listed[0]) if listed else ()


def _violated(value, annotation) -> str:
    """The rule that `value` violates, as text; empty where there is none."""
    if typing.get_origin(annotation) is typing.Annotated:
        rule, kind = annotation.__metadata__[0], annotation.__origin__
        if isinstance(rule, Items):
            return _violated_by_items(value, typing.get_args(kind)[0], rule)
        return "" if rule.allows(value) else str(rule)
    if annotation is typing.Any:
        return ""
    options = _options(annotation)
    if len(options) > 1:
        return "" if value is None else _violated(value, next(option for option in options if option is not type(None)))
    if names := choices(annotation):
        known = any(type(value) is type(name) and value == name for name in names)
        return "" if known else f"one of {', '.join(map(str, names))}"
    return _violated_by_part(value, annotation, typing.get_args(annotation))


def _violated_by_items(value, part, rule: Items) -> str:
    """As `_violated`, for a tuple of as many `part` as `rule` says."""
    fits = isinstance(value, tuple) and not any(_violated(one, part) for one in value) and rule.allows(value)
    return "" if fits else f"{rule}, each {_rule(part)}"


def _violated_by_part(value, annotation, parts: tuple) -> str:
    """As `_violated`, for a plain type, a tuple of fixed length of one kind, or a table of numbers by name."""
    kind = typing.get_origin(annotation) or annotation
    if kind is tuple:
        fits = (
            isinstance(value, tuple) and len(value) == len(parts) and not any(_violated(one, parts[0]) for one in value)
        )
        return "" if fits else f"{len(parts)} values, each {_rule(parts[0])}"
    if kind is dict:
        rule = _rule(parts[1])
        fits = isinstance(value, dict) and not any(_violated(one, parts[1]) for one in value.values())
        fits = fits and all(isinstance(name, str) for name in value)
        return "" if fits else f"numbers by name{rule and f', each {rule}'}"
    return "" if type(value) is kind else f"of type {kind.__name__}"


def _rule(annotation) -> str:
    """The rule of an annotation as text: what it says about a value that nothing allows."""
    return _violated(object(), annotation)


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
    if setting in SIZES and "," not in text:
        return image_size(text)
    try:
        return _convert(text, kind)
    except (KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"{setting} must be {_kind_in_words(kind)}. Received: {setting}={shorten(text)}.") from error


def _kind_in_words(kind) -> str:
    """A type as people write its values."""
    if typing.get_origin(kind) is tuple:
        return "values with commas between them"
    if typing.get_origin(kind) is dict:
        return 'a JSON object, such as {"mean_iou": 0.5}'
    return "true or false" if kind is bool else f"of type {kind.__name__}"


def _convert(text: str, kind):
    if typing.get_origin(kind) is tuple:
        part_kind = typing.get_args(kind)[0]
        read_part = type(choices(part_kind)[0]) if choices(part_kind) else part_kind
        return tuple(read_part(part.strip()) for part in text.strip("()[] ").split(",") if part.strip())
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
    if not all(side.isdecimal() and len(side) < 10 and int(side) for side in (width, height)):
        raise ValueError(
            f"An image size must be WIDTHxHEIGHT in pixels. Received: {shorten(text)!r}. Write for example 240x180."
        )
    return int(height), int(width)


def _read_object(text: str) -> dict:
    """Reads a JSON object.

    Raises:
        ValueError: the text is none.
    """
    value = json.loads(text)  # a text nested too deeply is a RecursionError
    if not isinstance(value, dict):
        raise ValueError(text)
    return value
