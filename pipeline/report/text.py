"""Numbers as people read them, and what scores do not say. Standard library only."""

from __future__ import annotations

import datetime

PREFIXES = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"))


def count(number: float) -> str:
    """A large number with three digits and a prefix.

    Example:
        >>> count(1_944_049), count(3.96e9), count(112)
        ('1.94 M', '3.96 G', '112')
    """
    for factor, prefix in PREFIXES:
        if number >= factor:
            return f"{number / factor:.3g}{prefix}"
    return f"{number:g}"


def duration(seconds: float) -> str:
    """A duration in the two units that matter.

    Example:
        >>> duration(0.0421), duration(7.2), duration(95), duration(4000)
        ('42 ms', '7.2 s', '1 min 35 s', '1 h 07 min')
    """
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min"


def date(iso: str) -> str:
    """A date and time in UTC.

    Example:
        >>> date("2026-11-27T04:15:30+00:00")
        '2026-11-27 04:15 UTC'
    """
    return datetime.datetime.fromisoformat(iso).astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def percent(share: float) -> str:
    """A share as a percentage.

    Example:
        >>> percent(0.1234)
        '12.3 %'
    """
    return f"{100 * share:.1f} %"


def describe_seen(scores: dict) -> str:
    """That no held-out score exists; empty where there is one.

    Args:
        scores: `scores.json`, with "held_out", whether training did not see the images of the "split".
    """
    if scores.get("held_out", True):
        return ""
    return (
        f"No held-out score exists: the network learned from the images of the split {scores['split']}, on which it is scored. "
        "How well it labels other images was not measured."
    )


def describe_game(discriminator: dict) -> str:
    """What is played with a discriminator, and its weight, to be appended; empty of earlier trainings, which do not say.

    Args:
        discriminator: of `training.json`.
    """
    if "game" not in discriminator:
        return ""
    return f"; game {discriminator['game']}, weight {discriminator['weight']:g}"


def describe_target(scores: dict) -> str:
    """What the scores do not say about the images for which the network was trained; empty where these are the labelled ones.

    Args:
        scores: `scores.json`, with "target", the number of images without labels of another domain, and "gate", the settings.
    """
    if not (images := scores.get("target")):
        return ""
    chosen = " Its settings were chosen with labels of that domain." * scores["gate"].get(
        "chosen_with_target_labels", False
    )
    return (
        "These scores, by which the gate judges, are of the labelled source. The network was trained for another domain as well, "
        f"with {images} images that have no labels: how well it labels that domain was not measured.{chosen}"
    )
