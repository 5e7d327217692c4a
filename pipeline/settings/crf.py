"""Settings of DenseCRF as people write them: `auto`, a JSON object, or a file that `pipeline.tune_crf` wrote.

What is wrong with them is said before anything is predicted or trained. Standard library only.
"""

from __future__ import annotations

import json
import math
import pathlib

from pipeline.engine.messages import did_you_mean

AUTO = {
    "iterations": 5,
    "smoothness_sigma": 2.0,
    "smoothness_weight": 0.3,
    "appearance_position_sigma": 20.0,
    "appearance_colour_sigma": 8.0,
    "appearance_weight": 4.0,
}
"""The defaults of `kseg.DenseCRF`, the best of those tried on CamVid and on streets (docs/refinement.md); its arguments
that may be chosen, too."""


def read(text: str) -> dict[str, float]:
    """The settings that `text` stands for; those that it leaves out are as in `AUTO`.

    Args:
        text: "auto"; a JSON object such as {"appearance_weight": 4}; or the path of a file that holds one, as such or under
            "settings", as what `python -m pipeline.tune_crf` writes does.

    Raises:
        ValueError: it is none of these, or a setting is not known or out of range.

    Example:
        >>> read('{"iterations": 10}')["iterations"], read("auto")["iterations"]
        (10, 5)
    """
    if text == "auto":
        return dict(AUTO)
    source, place = text, "`crf`"
    if not text.lstrip().startswith("{"):
        if not pathlib.Path(text).is_file():
            raise ValueError(f"`crf` must be auto, a JSON object or a file that holds one. Received: crf={text}.")
        source, place = pathlib.Path(text).read_text(encoding="utf-8"), f"The file of `crf`, {text},"
    try:
        found = json.loads(source)
    except ValueError as error:
        raise ValueError(f"{place} must be a JSON object. Received: {source[:60]!r} [{error}].") from error
    settings = found.get("settings", found) if isinstance(found, dict) else found
    if not isinstance(settings, dict):
        raise ValueError(f"{place} must be a JSON object. Received: {source[:60]!r}.")
    return checked(AUTO | settings)


def checked(settings: dict[str, float]) -> dict[str, float]:
    """The settings, when DenseCRF has them and they lie in their range.

    Raises:
        ValueError: one is not known, or is no such number.
    """
    for name, value in settings.items():
        if name not in AUTO:
            cure = did_you_mean(name, AUTO, f"There are: {', '.join(AUTO)}.")
            raise ValueError(f"Unknown setting of DenseCRF {name!r}. Received: {name}={value!r} [crf].{cure}")
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if name == "iterations":
            fits, range_ = number and value >= 0 and value == int(value), "a whole number, at least 0"
        elif name.endswith("_sigma"):
            fits, range_ = number and value > 0, "a number above 0"
        else:
            fits, range_ = number, "a number"
        if not fits:
            raise ValueError(f"`{name}` must be {range_}. Received: {name}={value!r} [crf].")
    return settings
