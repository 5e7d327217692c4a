"""Parameters of DenseCRF as people write them: `auto`, a JSON object, or a file that `pipeline.tune_crf` wrote.

Wrong ones are refused before anything is predicted or trained. Standard library only.
"""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

from kseg._suggestions import did_you_mean
from pipeline.settings.values import Number, as_text, shorten

MAX_BYTES = 2**20
"""Of a file of parameters; those of pipeline.tune_crf have a few thousand."""
Parameters = dict[str, Any]
"""Parameters of DenseCRF by name, which `check_parameters` checks."""
RULES = {
    "iterations": Number(minimum=0, maximum=100, integer=True),
    "smoothness_sigma": Number(minimum=0.1, maximum=1000),
    "smoothness_weight": Number(minimum=-1000, maximum=1000),
    "appearance_position_sigma": Number(minimum=0.1, maximum=10_000),
    "appearance_colour_sigma": Number(minimum=0.1, maximum=1000),
    "appearance_weight": Number(minimum=-1000, maximum=1000),
}
"""What each may be: the time grows with the iterations, and the memory with the number of pixels that a deviation separates."""
AUTO = {
    "iterations": 5,
    "smoothness_sigma": 2.0,
    "smoothness_weight": 0.3,
    "appearance_position_sigma": 20.0,
    "appearance_colour_sigma": 8.0,
    "appearance_weight": 4.0,
}
"""Every parameter and its default in `kseg.DenseCRF`: the best of those tried on CamVid and on streets (docs/refinement.md)."""


def read_parameters(text: str) -> dict[str, float]:
    """Reads parameters of DenseCRF; those left out are as in `AUTO`.

    Args:
        text: "auto"; a JSON object such as {"appearance_weight": 4}; or the path of a file that holds one, alone or under
            "settings", as `python -m pipeline.tune_crf` writes it.

    Raises:
        ValueError: the text is none of these, or a parameter is unknown or out of range.

    Example:
        >>> read_parameters('{"iterations": 10}')["iterations"], read_parameters("auto")["iterations"]
        (10, 5)
    """
    if text == "auto":
        return dict(AUTO)
    source, origin = text, "`crf`"
    if not text.lstrip().startswith("{"):
        source, origin = _read_file(text), f"The file of `crf`, {text},"
    try:
        found = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{origin} must be a JSON object. Received: {source[:60]!r} [{error}].") from error
    parameters = found.get("settings", found) if isinstance(found, dict) else found
    if not isinstance(parameters, dict):
        raise ValueError(f"{origin} must be a JSON object. Received: {source[:60]!r}.")
    check_parameters(parameters)
    return AUTO | parameters


def _read_file(path: str) -> str:
    """The text of a file of parameters.

    Raises:
        ValueError: there is no such file, or it is too large or no text.
    """
    if not os.path.isfile(path):  # `Path.is_file` raises where the name is too long
        raise ValueError(f"`crf` must be auto, a JSON object or a file that holds one. Received: crf={shorten(path)}.")
    if (size := os.path.getsize(path)) > MAX_BYTES:
        raise ValueError(
            f"The file of `crf` must have at most {MAX_BYTES} bytes. Received: {path} with {size}. "
            "Name a file that pipeline.tune_crf wrote."
        )
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"The file of `crf`, {path}, must be UTF-8. Received: {error}. Name a file that pipeline.tune_crf wrote."
        ) from error


def check_parameters(parameters: dict[str, float]):
    """Checks parameters by name and range.

    Raises:
        ValueError: DenseCRF has no such parameter, or it cannot have that value.
    """
    for name, value in parameters.items():
        if name not in AUTO:
            cure = did_you_mean(name, AUTO, f"There are: {', '.join(AUTO)}.")
            raise ValueError(
                f"Unknown parameter of DenseCRF {shorten(name)!r}. Received: {shorten(name)}={shorten(value)} [crf].{cure}"
            )
        if not RULES[name].allows(value):
            raise ValueError(
                f"`{name}` must be {RULES[name]}. Received: {name}={shorten(value)} [crf]. `auto` has {as_text(AUTO[name])}."
            )
