"""Parameters of DenseCRF as people write them: `auto`, a JSON object, or a file that `pipeline.tune_crf` wrote.

Wrong ones are refused before anything is predicted or trained. Standard library only.
"""

from __future__ import annotations

import json
import math
import pathlib

from kseg._suggestions import did_you_mean

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
        if not pathlib.Path(text).is_file():
            raise ValueError(f"`crf` must be auto, a JSON object or a file that holds one. Received: crf={text}.")
        source, origin = pathlib.Path(text).read_text(encoding="utf-8"), f"The file of `crf`, {text},"
    try:
        found = json.loads(source)
    except ValueError as error:
        raise ValueError(f"{origin} must be a JSON object. Received: {source[:60]!r} [{error}].") from error
    parameters = found.get("settings", found) if isinstance(found, dict) else found
    if not isinstance(parameters, dict):
        raise ValueError(f"{origin} must be a JSON object. Received: {source[:60]!r}.")
    check_parameters(parameters)
    return AUTO | parameters


def check_parameters(parameters: dict[str, float]):
    """Checks parameters by name and range.

    Raises:
        ValueError: DenseCRF has no such parameter, or it cannot have that value.
    """
    for name, value in parameters.items():
        if name not in AUTO:
            cure = did_you_mean(name, AUTO, f"There are: {', '.join(AUTO)}.")
            raise ValueError(f"Unknown parameter of DenseCRF {name!r}. Received: {name}={value!r} [crf].{cure}")
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if name == "iterations":
            fits, expected = is_number and value >= 0 and value == int(value), "a whole number, at least 0"
        elif name.endswith("_sigma"):
            fits, expected = is_number and value > 0, "a number above 0"
        else:
            fits, expected = is_number, "a number"
        if not fits:
            raise ValueError(f"`{name}` must be {expected}. Received: {name}={value!r} [crf].")
