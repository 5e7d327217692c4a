"""The classes of a data set: names, colours, and how raw mask values become class ids. numpy only.

A mask file stores arbitrary 8-bit values: CamVid writes void as 11, ISBI 2012 writes its two classes as 0 and 255. Inside
kseg a label map holds class ids 0..K-1 and `VOID` = 255 for void. Only this module converts one into the other. It refuses values
without a class, and classes whose name means void.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import pathlib
import unicodedata
from collections.abc import Iterable

import numpy as np

from kseg._spreadsheets import read_rows

VOID = 255
"""Id of void (unlabelled) pixels in every ingested label map; Keras calls it `ignore_class`."""

VOID_NAMES = frozenset({"ignore", "ignored", "unknown", "unlabeled", "unlabelled", "void"})
"""Names, in lower case, that seldom belong to a class: pixels that nobody labelled should not be learned."""

_NOT_SHOWN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, halves of characters, and separators of lines and paragraphs."""
_DIRECTIONS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that turn the direction of what follows."""

COLUMNS = ("value", "name", "red", "green", "blue")


class UndeclaredVoidError(ValueError):
    """A table of classes has a row whose name means void, and nobody said whether it is a class.

    Attributes:
        value: raw mask value of the row.
        name: of the row.
        path: of the table.
    """

    def __init__(self, value: int, name: str, path):
        super().__init__(value, name, path)
        self.value, self.name, self.path = value, name, path

    def __str__(self):
        return (
            f"A class must not have a name that means void. Received: {self.value},{self.name} [{self.path}]. "
            f"If it is void, pass `ignore_value={self.value}`; if it is a class, rename it or pass `void_is_class=True`."
        )


@dataclasses.dataclass(frozen=True)
class LabelMap:
    """The K classes of a data set, in the order of their ids.

    Args:
        names: K class names.
        colours: K colours, each (red, green, blue) in 0..255.
        values: K raw mask values in 0..255; class id i is stored as `values[i]` in the source's mask files.
        ignore_value: raw mask value that means void, or None if every pixel has a class.
        void_colour: colour of void.
        other_values: (value, id) of further raw mask values; the id is that of a class, or 255 for void.

    Raises:
        ValueError: lengths differ, a value repeats or lies outside 0..255, an id or name is none, or there is no class.

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
    other_values: tuple[tuple[int, int], ...] = ()

    def __post_init__(self):
        if not 1 <= len(self.names) <= VOID or not len(self.names) == len(self.colours) == len(self.values):
            raise ValueError(
                f"`names`, `colours` and `values` must have one length, 1 to {VOID}. Received: lengths "
                f"{len(self.names)}, {len(self.colours)}, {len(self.values)}."
            )
        if any(not (0 <= number < len(self.names) or number == VOID) for _, number in self.other_values):
            raise ValueError(
                f"`other_values` must be pairs of a value and the id of a class, or {VOID} for void. Received: "
                f"other_values={self.other_values}."
            )
        taken = self.known_values
        if len(set(taken)) != len(taken) or not all(0 <= value <= 255 for value in taken):
            raise ValueError(
                "Mask values must lie in 0..255 and differ from each other and from `ignore_value`. "
                f"Received: values={list(self.values)}, ignore_value={self.ignore_value}."
            )
        for name, colour in zip((*self.names, "void"), (*self.colours, self.void_colour), strict=True):
            if not name or not _is_utf8(name) or len(colour) != 3 or not all(0 <= part <= 255 for part in colour):
                raise ValueError(
                    "A class must have a name and a colour of red, green and blue in 0..255. "
                    f"Received: name={name!r}, colour={colour}."
                )

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.names)

    @classmethod
    def from_rows(
        cls, rows: Iterable[tuple[int, str, tuple[int, int, int]]], void_values: Iterable[int] = ()
    ) -> LabelMap:
        """The classes of a table's rows. Rows of one name are one class of several values.

        Args:
            rows: (value, name, colour) in the order of the ids.
            void_values: raw values of void; the first is `ignore_value`. Rows of these values, and rows of the same names, are
                void; the first of them sets its colour.

        Raises:
            ValueError: rows of one name have different colours, or the classes are not valid.

        Example:
            >>> rows = [(0, "road", (9, 9, 9)), (1, "road", (9, 9, 9)), (2, "car", (0, 0, 9)), (3, "void", (0, 0, 0))]
            >>> labels = LabelMap.from_rows(rows, void_values=[3])
            >>> labels.names, labels.to_ids(np.array([[0, 1, 2, 3]], np.uint8)).tolist()
            (('road', 'car'), [[0, 0, 1, 255]])
        """
        rows, void_values = list(rows), list(dict.fromkeys(void_values))
        void_names = {name for value, name, _ in rows if value in void_values}
        by_name: dict[str, list] = {}
        for row in rows:
            by_name.setdefault(row[1], []).append(row)
        for name, same in by_name.items():
            if name not in void_names and len({colour for _, _, colour in same}) > 1:
                raise ValueError(
                    "Rows of one name are one class, and must have one colour. Received: "
                    + "; ".join(f"{value},{name},{','.join(map(str, colour))}" for value, _, colour in same)
                    + "."
                )
        classes = [same for name, same in by_name.items() if name not in void_names]
        void = [row for row in rows if row[1] in void_names]
        more = [(value, number) for number, same in enumerate(classes) for value, _, _ in same[1:]]
        more_void = [*void_values[1:], *(value for value, _, _ in void if value not in void_values)]
        return cls(
            names=tuple(same[0][1] for same in classes),
            colours=tuple(same[0][2] for same in classes),
            values=tuple(same[0][0] for same in classes),
            ignore_value=void_values[0] if void_values else None,
            void_colour=void[0][2] if void else (0, 0, 0),
            other_values=(*more, *((value, VOID) for value in more_void)),
        )

    @classmethod
    def from_csv(cls, path, ignore_value: int | None = None, *, void_is_class: bool = False) -> LabelMap:
        """Reads a table with the columns value, name, red, green, blue, in any order. Other columns are ignored.

        Rows of one name are one class of several values; a value may be a range, such as 128-255. Where the table has no colours,
        classes get those of PASCAL VOC's palette at their values.

        Args:
            path: the CSV file.
            ignore_value: raw value of void. Its row, if there is one, sets the colour of void and is not a class; neither are
                rows of the same name.
            void_is_class: whether another row may have one of the names in `VOID_NAMES`.

        Raises:
            UndeclaredVoidError: a class has a name that means void.
            ValueError: a column is missing, a cell is not a number, or rows of one name have different colours.
        """
        table = _read_table(path)
        void_values = [] if ignore_value is None else [ignore_value]
        void_names = {name for value, name, _ in table if value in void_values}
        for value, name, _ in table:
            if name.lower() in VOID_NAMES and name not in void_names and not void_is_class:
                raise UndeclaredVoidError(value, name, path)
        try:
            return cls.from_rows(table, void_values)
        except ValueError as error:
            raise ValueError(f"{str(error).removesuffix('.')} [{path}]. Correct the table.") from error

    def to_json(self) -> str:
        """Writes the classes as JSON, for `from_json` and for people."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> LabelMap:
        """Reads what `to_json` wrote."""
        fields = json.loads(text)
        fields["colours"] = tuple(tuple(colour) for colour in fields["colours"])
        fields["other_values"] = tuple(map(tuple, fields.get("other_values", ())))
        for name in ("names", "values", "void_colour"):
            fields[name] = tuple(fields[name])
        return cls(**fields)

    @classmethod
    def load(cls, directory) -> LabelMap:
        """Reads `labels.json` of a prepared data set or an exported model's assets.

        Raises:
            ValueError: the file is cut off, or holds something else.
        """
        file = pathlib.Path(directory) / "labels.json"
        try:
            return cls.from_json(file.read_text(encoding="utf-8"))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(
                f"labels.json must hold the classes as kseg wrote them. Received: {error} [{file}]. Bring it back from a copy, "
                "or prepare the data or export the model again."
            ) from None

    @property
    def known_values(self) -> tuple[int, ...]:
        """Raw values of the classes, and of void if there is one."""
        void = () if self.ignore_value is None else (self.ignore_value,)
        return (*self.values, *void, *(value for value, _ in self.other_values))

    @property
    def ids_by_value(self) -> dict[int, int]:
        """Class ids by raw value, 255 for void."""
        ids = {value: number for number, value in enumerate(self.values)} | dict(self.other_values)
        return ids if self.ignore_value is None else ids | {self.ignore_value: VOID}

    @property
    def permitted_values(self) -> str:
        """What a mask may hold, for messages.

        Example:
            >>> LabelMap.from_rows([(0, "ground", (0, 0, 0)), (5, "car", (0, 0, 9))]).permitted_values
            'those of the classes (0, 5); none is declared void'
        """
        ids = self.ids_by_value
        classes = f"those of the classes ({format_values(value for value in ids if ids[value] != VOID)})"
        void = format_values(value for value in ids if ids[value] == VOID)
        return f"{classes} or of void ({void})" if void else f"{classes}; none is declared void"

    def unknown_values(self, mask: np.ndarray) -> dict[int, int]:
        """Counts the pixels of raw values in a mask (H, W), uint8, that are neither a class nor void."""
        counts = np.bincount(mask.ravel(), minlength=256)
        counts[list(self.known_values)] = 0
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}

    def to_ids(self, mask: np.ndarray) -> np.ndarray:
        """Converts a raw mask (H, W), uint8, into class ids (H, W), uint8: 0..K-1, and 255 where void.

        Raises:
            ValueError: the mask is not uint8, or a value is neither a class nor void; the message counts its pixels.
        """
        if mask.dtype != np.uint8:
            raise ValueError(f"`mask` must be uint8. Received: mask={mask.dtype} {mask.shape}. Convert it.")
        unknown = self.unknown_values(mask)
        if unknown:
            listed = ", ".join(f"{value} ({pixels} pixels)" for value, pixels in list(unknown.items())[:8])
            raise ValueError(
                f"Mask values must be {self.permitted_values}. "
                f"Received: {listed}{', ...' if len(unknown) > 8 else ''}. "
                "Add them to classes.csv, or pass the void value with --ignore-value."
            )
        table = np.zeros(256, np.uint8)
        table[list(self.ids_by_value)] = list(self.ids_by_value.values())
        return table[mask]

    def palette(self) -> np.ndarray:
        """Colours (256, 3), uint8, by id: the classes first, void at 255."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: self.num_classes] = self.colours
        palette[VOID] = self.void_colour
        return palette

    def colour(self, label_map: np.ndarray) -> np.ndarray:
        """Colours ids (..., H, W), integers in 0..255, as RGB (..., H, W, 3), uint8.

        Raises:
            ValueError: the ids are not integers, or lie outside 0..255.
        """
        ids = np.asarray(label_map)
        if ids.dtype.kind not in "iu" or (
            ids.dtype != np.uint8 and ids.size and not 0 <= ids.min() <= ids.max() <= 255
        ):
            received = f"{ids.min():g} to {ids.max():g}" if ids.size else "none"
            raise ValueError(
                f"`label_map` must hold integer ids in 0..255. Received: label_map={ids.dtype} {ids.shape}, ids {received}. "
                "Take the argmax of probabilities or logits first."
            )
        return self.palette()[ids]


def _is_utf8(name: str) -> bool:
    """Whether files can hold a name: half of a surrogate pair alone cannot be written."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def display_name(name: str, length: int = 40) -> str:
    """A class's name as a picture or a terminal shows it: on one line, shortened in the middle, without marks of direction.

    Args:
        name: any text.
        length: characters to keep.

    Example:
        >>> display_name("traffic\\nlight"), display_name("a very long name of a class", 12)
        ('traffic light', 'a very …lass')
    """
    kept = "".join(" " if unicodedata.category(sign) in _NOT_SHOWN or sign in _DIRECTIONS else sign for sign in name)
    line = " ".join(kept.split()) or name.encode("unicode_escape").decode()
    head = 2 * (length - 1) // 3
    return line if len(line) <= length else f"{line[:head]}…{line[head + 1 - length :]}"


def voc_colour(index: int) -> tuple[int, int, int]:
    """The colour of PASCAL VOC's palette at `index`, 0 to 255: all differ, and 255 is (224, 224, 192).

    Bits 0, 3, 6 of the index become the highest bits of red, bits 1, 4, 7 of green, bits 2 and 5 of blue.
    """
    return tuple(sum((index >> (3 * place + channel) & 1) << (7 - place) for place in range(3)) for channel in range(3))


def _read_table(path) -> list[tuple[int, str, tuple[int, ...]]]:
    """Rows (value, name, colour) of a table of classes."""
    if pathlib.Path(path).exists() and not pathlib.Path(path).is_file():  # reading a pipe would wait for its writer
        raise ValueError(
            f"A table of classes must be a file. Received: a folder, pipe or device [{path}]. Name a CSV file."
        )
    try:
        rows = read_rows(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"A table of classes must be UTF-8 text with commas. Received: {path} [{error}]. Save it as such."
        ) from error
    missing = [column for column in COLUMNS if not rows or column not in rows[0]]
    uncoloured = missing == [*COLUMNS[2:]]
    if missing and not uncoloured:
        raise ValueError(
            f"A table of classes must have a header with the columns {', '.join(COLUMNS)}, and a row for each class; the colour "
            f"may be left out as a whole. Received: {path} without {', '.join(missing)}. Add them."
        )
    try:
        first = {row["name"]: parse_values(row["value"])[0] & 255 for row in reversed(rows)}
        return [
            (
                value,
                row["name"] or "",
                voc_colour(first[row["name"]]) if uncoloured else tuple(int(row[column]) for column in COLUMNS[2:]),
            )
            for row in rows
            for value in parse_values(row["value"])
        ]
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"value, red, green and blue must be whole numbers. Received: {path} [{error}]. Correct the table."
        ) from error


def format_values(values: Iterable[int]) -> str:
    """Whole numbers in ascending order, those that follow each other as ranges, as `parse_values` reads them.

    Example:
        >>> format_values([255, 7, 3, 4, 5, 8])
        '3-5, 7, 8, 255'
    """
    runs = itertools.groupby(enumerate(sorted(values)), lambda item: item[1] - item[0])
    texts = []
    for _, run in runs:
        found = [value for _, value in run]
        texts += [f"{found[0]}-{found[-1]}"] if len(found) > 2 else map(str, found)
    return ", ".join(texts)


def parse_values(text: str) -> range:
    """The values of a cell: a whole number, or a range such as 128-255, both ends included.

    Raises:
        ValueError: it is neither.
    """
    first, dash, last = text.strip().partition("-")
    if not dash or not first:
        return range(int(text), int(text) + 1)
    values = range(int(first), int(last) + 1)
    if not values or values[-1] > 255:
        raise ValueError(f"a range must go up, within 0-255: {text.strip()}")
    return values
