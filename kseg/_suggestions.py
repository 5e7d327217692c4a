"""What error messages have in common. Standard library only."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """The end of a message about an unknown name, with a space in front.

    Args:
        name: what was received.
        known: the names that exist.
        otherwise: what to say where none of them is similar.

    Example:
        >>> did_you_mean("epoch", ["epochs", "seed"])
        " Did you mean 'epochs'?"
    """
    nearest = difflib.get_close_matches(name, known, n=1)
    text = f"Did you mean {nearest[0]!r}?" if nearest else otherwise
    return text and f" {text}"
