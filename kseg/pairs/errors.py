"""The error of an unusable pair of files, and paths in messages. Standard library only."""

from __future__ import annotations

import os
import shlex

LOSSY_CURE = (
    "Export the mask again as PNG; converting the JPEG would keep its wrong values. A grey JPEG of few levels can be read with "
    "ranges: --classes 'background=0-127,object=128-255'."
)
"""Of a JPEG mask."""


class PairError(ValueError):
    """A pair of files that cannot be used.

    Attributes:
        name: of the fault, as listed in docs/data_validation.md.
        what: the requirement, and what was received.
        where: path or paths.
        cure: what to do.
    """

    def __init__(self, name: str, what: str, where: str, cure: str):
        super().__init__(name, what, where, cure)
        self.name, self.what, self.where, self.cure = name, what, where, cure

    def __str__(self):
        return f"{self.what} [{self.where}]. {self.cure}"


class SeveralReadingsError(ValueError):
    """A source that can be read in several ways, among which the user has to choose.

    Attributes:
        root: of the source.
        readings: a list of `Recognised`; the options of each select it.
    """

    def __init__(self, root, readings: list):
        super().__init__(root, readings)
        self.root, self.readings = root, readings

    @property
    def requirement(self) -> str:
        """What must hold, and what was received."""
        if any(reading.guessed for reading in self.readings):
            return "Names must say which files are images and which are masks. Received: files that may be both"
        return f"A source must have one reading. Received: {len(self.readings)}"

    def __str__(self):
        rows = "".join(
            f"\n  {printable(reading.root)} {shlex.join(reading.options)}: {reading.name}, {len(reading.listing.pairs)} pairs"
            for reading in self.readings
        )
        return f"{self.requirement} [{printable(self.root)}]. Choose:{rows}"


def printable(path) -> str:
    """A path as printable text; bytes that are not UTF-8 and control characters are escaped, a newline as `\\n`."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
