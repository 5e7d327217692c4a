"""What a recogniser answers: the pairs of a layout, its classes, and what a person should know. Standard library only.

A recogniser is a function `recognise(root) -> Recognised | None`. It answers None unless the folder or file is of its layout, by
names alone where they suffice, and raises a PairError where the layout is certain but cannot be used as a whole.
"""

from __future__ import annotations

import dataclasses
import pathlib

from kseg.labels import VOID_NAMES, LabelMap
from kseg.pairs.listing import Listing


@dataclasses.dataclass(frozen=True)
class Classes:
    """The table of classes that a layout brings.

    Attributes:
        rows: (value, name, colour) of each class, and of void if it has a row; colour is (red, green, blue) in 0..255.
        source: where the table is from, for the log.
        void: raw mask value that means void, or None.
    """

    rows: tuple[tuple[int, str, tuple[int, int, int]], ...]
    source: str
    void: int | None = None

    def label_map(self, ignore_value: int | None = None, *, void_is_class: bool = False) -> LabelMap:
        """The classes as `LabelMap`.

        Rows whose name means void are void without being declared, since the layout itself says so.

        Args:
            ignore_value: raw value of void, stronger than the layout's.
            void_is_class: whether a row whose name means void is a class.

        Raises:
            ValueError: two rows have one value, or one name and two colours, or a colour is none.
        """
        void = self.void if ignore_value is None else ignore_value
        named = [] if void_is_class else [value for value, name, _ in self.rows if name.lower() in VOID_NAMES]
        return LabelMap.from_rows(self.rows, [*([] if void is None else [void]), *named])


@dataclasses.dataclass(frozen=True)
class Recognised:
    """A layout that was recognised.

    Attributes:
        name: of the layout, for people, such as "CamVid as downloaded".
        listing: the pairs, and the faults found.
        root: the folder or file that is of the layout, at or below the one that was given.
        classes: the table that the layout brings, or None.
        notes: whole sentences for the log, such as which files were left out.
        layout: name of the recogniser, or "" where patterns were given or found.
        options: what selects this reading among several on the command line.
        guessed: whether the user has to confirm it by these options.
    """

    name: str
    listing: Listing
    root: pathlib.Path
    classes: Classes | None = None
    notes: tuple[str, ...] = ()
    layout: str = ""
    options: tuple[str, ...] = ()
    guessed: bool = False
