"""Checks of the arguments of constructors: layers, encoders, networks. Standard library only.

Each refuses by a ValueError in the form "requirement. Received: name=value. Cure." Booleans are not numbers here.
"""

from __future__ import annotations

import difflib
import math
import numbers


def check_arguments(**arguments) -> None:
    """Checks arguments whose requirement follows from their name, see `_RULES`.

    Example:
        >>> check_arguments(num_classes=21, width=0.5)
        >>> check_arguments(filters=16)
        Traceback (most recent call last):
        ValueError: `filters` must be a tuple of integers of at least 1. Received: filters=16. Write filters=(16,) for one stage.
    """
    for name, value in arguments.items():
        _RULES[name](name, value)


def check_integer(name: str, value, minimum: int = 1) -> None:
    """Refuses what is not an integer of at least `minimum`."""
    if not _is_integer(value) or value < minimum:
        raise ValueError(f"`{name}` must be an integer of at least {minimum}. Received: {name}={value!r}.")


def check_number(
    name: str,
    value,
    *,
    above: float = -math.inf,
    minimum: float = -math.inf,
    below: float = math.inf,
    maximum: float = math.inf,
    cure: str = "",
):
    """Refuses what is not a finite number in the range; `cure` ends the message."""
    if not _is_number(value) or not (above < value < below and minimum <= value <= maximum):
        limits = {"above": above, "of at least": minimum, "below": below, "at most": maximum}
        bounds = " and".join(f" {word} {limit}" for word, limit in limits.items() if math.isfinite(limit))
        raise ValueError(f"`{name}` must be a number{bounds}. Received: {name}={value!r}.{cure and ' ' + cure}")


def check_choice(name: str, value, choices) -> None:
    """Refuses what is none of `choices`, and names the most similar one."""
    choices = list(choices)
    chosen = int(value) if _is_integer(value) else value
    if not any(type(chosen) is type(choice) and chosen == choice for choice in choices):
        written = [_quoted(choice) for choice in choices]
        listed = f"one of {', '.join(written)}" if len(written) > 3 else _or(written)
        raise ValueError(f"`{name}` must be {listed}. Received: {name}={value!r}.{_did_you_mean(value, choices)}")


def check_integers(name: str, value, *, length: int | None = None, minimum: int = 1) -> None:
    """Refuses what is not a tuple (or list) of `length` integers of at least `minimum`; None: of one or more."""
    count = "" if length is None else f"{length} "
    if not _are_integers(value, length, minimum):
        cure = f" Write {name}=({value},) for one stage." if _is_integer(value) and length is None else ""
        raise ValueError(
            f"`{name}` must be a tuple of {count}integers of at least {minimum}. Received: {name}={value!r}.{cure}"
        )


def _are_integers(value, length: int | None, minimum: int) -> bool:
    """Whether a value is a tuple or list of `length` integers of at least `minimum`; None: of one or more."""
    fits = isinstance(value, tuple | list) and (len(value) == length if length else value)
    return bool(fits) and all(_is_integer(number) and number >= minimum for number in value)


def check_pair(name: str, value, minimum: int = 1, otherwise: str = "") -> tuple[int, int]:
    """(rows, columns) of an argument that is one integer for both, or two; `otherwise` is what else it may be.

    Example:
        >>> check_pair("pool_size", 2)
        (2, 2)
    """
    pair = (value, value) if _is_integer(value) else value
    if not _are_integers(pair, 2, minimum):
        raise ValueError(
            f"`{name}` must be {otherwise}one or two integers of at least {minimum}. Received: {name}={value!r}."
        )
    return tuple(pair)


def check_size(name: str, value) -> tuple[int, int]:
    """(height, width) of an argument, in pixels, each at least 1."""
    if not _are_integers(value, 2, 1):
        raise ValueError(f"`{name}` must be (height, width), each at least 1. Received: {name}={value!r}.")
    return tuple(value)


def check_input_shape(name: str, value) -> None:
    """Refuses what is not (height, width, channels), where a height or width may be None."""
    if (
        not isinstance(value, tuple | list)
        or len(value) != 3
        or not all(size is None or (_is_integer(size) and size >= 1) for size in value)
        or value[2] is None
    ):
        raise ValueError(
            f"`{name}` must be (height, width, channels). Received: {name}={value!r}. Write (None, None, 3) for RGB images of "
            "any size."
        )


def check_logits(name: str, network) -> None:
    """Refuses a Keras model that ends with probabilities, where logits are wanted. What is no such model passes."""
    last = network
    while inside := getattr(last, "operations", None) or getattr(last, "layers", None):
        last = inside[-1]
    activation = getattr(last, "activation", None) or type(last)
    ending = activation if isinstance(activation, str) else getattr(activation, "__name__", "")
    if ending.lower() in ("softmax", "sigmoid"):
        raise ValueError(
            f"`{name}` must give logits. Received: {network.name}, which ends with probabilities (layer {last.name}). Build it "
            "with activation=None."
        )


def check_boolean(name: str, value) -> None:
    """Refuses what is neither True nor False."""
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}.")


def _check_seed(name, value):
    if not _is_integer(value):
        raise ValueError(f"`{name}` must be an integer. Received: {name}={value!r}.")


def _check_ignore_class(name, value):
    if value is not None and not _is_integer(value):
        raise ValueError(f"`{name}` must be an integer id or None. Received: {name}={value!r}.")


def _check_multiplier(name, value):
    check_number(name, value, above=0)


def _check_share(name, value):
    check_number(name, value, minimum=0, below=1)


def _check_activation(name, value):
    check_choice(name, value, (None, "softmax"))


_RULES = {
    "activation": _check_activation,
    "base_filters": check_integer,
    "batch_normalization": check_boolean,
    "channels": check_integer,
    "dense_units": check_integers,
    "depth": check_integer,
    "dropout": _check_share,
    "fc_filters": check_integer,
    "filters": check_integers,
    "ignore_class": _check_ignore_class,
    "input_shape": check_input_shape,
    "kernel_sizes": check_integers,
    "light": check_boolean,
    "logits": check_integer,
    "num_classes": check_integer,
    "seed": _check_seed,
    "spectral_normalization": check_boolean,
    "trainable": check_boolean,
    "upsampling_trainable": check_boolean,
    "width": _check_multiplier,
}


def _is_integer(value) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _or(words: list[str]) -> str:
    """ "a, b or c"."""
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _quoted(value) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _did_you_mean(value, choices) -> str:
    words = [choice for choice in choices if isinstance(choice, str)]
    similar = difflib.get_close_matches(value, words, n=1) if isinstance(value, str) else []
    return f' Did you mean "{similar[0]}"?' if similar else ""
