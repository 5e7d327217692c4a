"""The classes of a data set: names, colours, and how raw mask values become class ids.

A mask file stores arbitrary 8-bit values (CamVid writes void as 11, ISBI 2012 writes its two classes as 0 and 255). Inside
kseg a label map holds class ids 0..K-1 and `VOID` = 255 for void. This module is the only place where one becomes the other;
it refuses values that nobody named. Pure Python and numpy.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import pathlib

import numpy as np

VOID = 255
"""Id of void (unlabelled) pixels in every ingested label map; Keras calls it `ignore_class`."""

COLUMNS = ("value", "name", "red", "green", "blue")


@dataclasses.dataclass(frozen=True)
class LabelMap:
    """The K classes of a data set, in the order of their ids.

    Args:
        names: K class names.
        colours: K colours, each (red, green, blue) in 0..255.
        values: K raw mask values in 0..255; class id i is stored as `values[i]` in the source's mask files.
        ignore_value: raw mask value that means void, or None where every pixel has a class.
        void_colour: colour in which void is drawn.

    Raises:
        ValueError: lengths differ, values repeat or leave 0..255, or there is no class.

    Example:
        >>> labels = LabelMap(("membrane", "cell"), ((0, 0, 0), (255, 255, 255)), (0, 255))
        >>> labels.to_ids(np.array([[0, 255]], np.uint8)).tolist()
        [[0, 1]]
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    values: tuple[int, ...]
    ignore_value: int | None = None
    void_colour: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self):
        if not 1 <= len(self.names) <= VOID or not len(self.names) == len(self.colours) == len(self.values):
            raise ValueError(
                f"`names`, `colours` and `values` must be of one length, 1 to {VOID}. Received: lengths "
                f"{len(self.names)}, {len(self.colours)}, {len(self.values)}."
            )
        taken = [*self.values, *([] if self.ignore_value is None else [self.ignore_value])]
        if len(set(taken)) != len(taken) or not all(0 <= value <= 255 for value in taken):
            raise ValueError(
                "Mask values must lie in 0..255 and differ from each other and from `ignore_value`. "
                f"Received: values={list(self.values)}, ignore_value={self.ignore_value}."
            )
        for name, colour in zip((*self.names, "void"), (*self.colours, self.void_colour), strict=True):
            if not name or len(colour) != 3 or not all(0 <= part <= 255 for part in colour):
                raise ValueError(
                    "A class must have a name and a colour of red, green and blue in 0..255. "
                    f"Received: name={name!r}, colour={colour}."
                )

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.names)

    @classmethod
    def from_csv(cls, path, ignore_value: int | None = None) -> LabelMap:
        """Reads a table with the columns value, name, red, green, blue.

        Args:
            path: the CSV file.
            ignore_value: raw value of void. Its row, where there is one, gives void's colour and is no class.

        Raises:
            ValueError: a column is missing or a cell is no number.
        """
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                rows = list(csv.DictReader(file))
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(
                f"A table of classes must be UTF-8 text with commas. Received: {path} [{error}]. Write it anew."
            ) from error
        missing = [column for column in COLUMNS if not rows or column not in rows[0]]
        if missing:
            raise ValueError(
                f"A table of classes must have a header with the columns {', '.join(COLUMNS)}, and a row for each class. "
                f"Received: {path} without {', '.join(missing)}. Add them."
            )
        try:
            table = [(int(r["value"]), (r["name"] or "").strip(), tuple(int(r[c]) for c in COLUMNS[2:])) for r in rows]
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"value, red, green and blue must be whole numbers. Received: {path} [{error}]. Correct the table."
            ) from error
        classes = [row for row in table if row[0] != ignore_value]
        void = [row[2] for row in table if row[0] == ignore_value]
        try:
            return cls(
                names=tuple(name for _, name, _ in classes),
                colours=tuple(colour for _, _, colour in classes),
                values=tuple(value for value, _, _ in classes),
                ignore_value=ignore_value,
                void_colour=void[0] if void else (0, 0, 0),
            )
        except ValueError as error:
            raise ValueError(f"{str(error).removesuffix('.')} [{path}]. Correct the table.") from error

    def to_json(self) -> str:
        """The table as JSON, readable by `from_json` and by people."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> LabelMap:
        """The inverse of `to_json`."""
        fields = json.loads(text)
        fields["colours"] = tuple(tuple(colour) for colour in fields["colours"])
        for name in ("names", "values", "void_colour"):
            fields[name] = tuple(fields[name])
        return cls(**fields)

    @classmethod
    def load(cls, directory) -> LabelMap:
        """Reads `labels.json` of a prepared data set or an exported model's assets."""
        return cls.from_json((pathlib.Path(directory) / "labels.json").read_text(encoding="utf-8"))

    @property
    def named(self) -> tuple[int, ...]:
        """The raw values that mean something: those of the classes, and of void where there is one."""
        return self.values if self.ignore_value is None else (*self.values, self.ignore_value)

    def unknown(self, mask: np.ndarray) -> dict[int, int]:
        """Raw values of a mask (H, W), uint8, that are neither a class nor void, with their pixels."""
        counts = np.bincount(mask.ravel(), minlength=256)
        counts[list(self.named)] = 0
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}

    def to_ids(self, mask: np.ndarray) -> np.ndarray:
        """Turns a raw mask (H, W), uint8, into class ids (H, W), uint8: 0..K-1, and 255 where void.

        Raises:
            ValueError: a value is neither a class nor void; the message counts its pixels.
        """
        unknown = self.unknown(mask)
        if unknown:
            shown = ", ".join(f"{value} ({pixels} pixels)" for value, pixels in list(unknown.items())[:8])
            raise ValueError(
                f"Mask values must be among the classes {sorted(self.values)} or be the value of void "
                f"({self.ignore_value}). Received: {shown}{', ...' if len(unknown) > 8 else ''}. "
                "Name them in classes.csv, or say with --ignore-value which value is void."
            )
        table = np.zeros(256, np.uint8)
        table[list(self.values)] = np.arange(self.num_classes)
        if self.ignore_value is not None:
            table[self.ignore_value] = VOID
        return table[mask]

    def palette(self) -> np.ndarray:
        """Colours (256, 3), uint8, by id: classes first, void's at 255."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: self.num_classes] = self.colours
        palette[VOID] = self.void_colour
        return palette

    def colour(self, label_map: np.ndarray) -> np.ndarray:
        """Paints ids (..., H, W) as RGB (..., H, W, 3), uint8."""
        return self.palette()[label_map]
