"""Tables of classes and colours whose form nobody fixed: lines or CSV with or without a header, and JSON. Standard library only.

    0,0,0,background        background 0 0 0        1: cat = #ff0000        name,hex
    {"cat": [255, 0, 0]}    [{"name": "cat", "color": [255, 0, 0], "id": 1}]    {"classes": ["background", "cat"]}

Values are those of the table, or else the numbers of its rows from 0.
"""

from __future__ import annotations

import csv
import pathlib
import re

from kseg._spreadsheets import read_rows
from kseg.labels import voc_colour
from kseg.pairs.folder_files import check_file
from kseg.pairs.layouts.matching import read_lines

Colour = tuple[int, int, int]
Row = tuple[int, str, Colour]

BACKGROUND = frozenset(
    {"background", "_background_", "bg", "__background__", "__ignore__", "void", "unlabeled", "unlabelled"}
)
"""First names of a list without values: one that begins with an object may count it from 1."""

COLUMNS = {
    "name": ("name", "class", "label", "class_name", "label_name", "category"),
    "value": ("value", "id", "index", "class_id", "label_id", "pixel", "pixel_value"),
    "red": ("r", "red"),
    "green": ("g", "green"),
    "blue": ("b", "blue"),
    "colour": ("color", "colour", "rgb", "hex", "hex_color", "hex_colour"),
}
KEYS = ("classes", "labels", "categories", "colors", "colours", "palette", "colormap", "legend", "names", "items")
"""Of a JSON object that holds the table."""

_GAP = r"[\s,;]+"
_COLOUR = (
    rf"(?:#(?P<hex>[0-9a-fA-F]{{6}})|[\[(]?\s*(?P<r>\d{{1,3}}){_GAP}(?P<g>\d{{1,3}}){_GAP}(?P<b>\d{{1,3}})\s*[\])]?)"
)
_VALUE = r"(?:(?P<value>\d{1,3})[\s,;:]+)?"
_NAME = r"[\"']?(?P<name>[^\d\s\"'#][^\"']*?)[\"']?"
LINES = (
    re.compile(rf"{_VALUE}{_COLOUR}[\s,;:]+{_NAME}[,;:]*"),
    re.compile(rf"{_VALUE}{_NAME}\s*[\s,;:=]\s*{_COLOUR}[,;:]*"),
)


def read_colour_lines(path: pathlib.Path) -> list[Row]:
    """The rows of a text or CSV with a name and a colour in each line, and perhaps a value before them.

    Raises:
        ValueError: it is no such table, or a UnicodeDecodeError.
        OSError: it cannot be read.
    """
    if rows := _rows_by_column(path):
        return rows
    lines = [
        line for line in read_lines(path) if not line.startswith("//") and not re.match(r"#(?![0-9a-fA-F]{6})", line)
    ]
    found = [next(filter(None, (form.fullmatch(line) for form in LINES)), None) for line in lines]
    if found and found[0] is None and not re.search(r"\d", lines[0]):  # a header
        lines, found = lines[1:], found[1:]
    if not found or None in found:
        wrong = lines[found.index(None)] if found else "nothing"
        raise ValueError(f"a line without a name and a colour: {wrong[:80]}")
    return _with_values([(row["value"], row["name"].strip(), _colour_of_line(row)) for row in found])


def _colour_of_line(found) -> Colour:
    return _colour(f"#{found['hex']}" if found["hex"] else [int(found[part]) for part in "rgb"])


def _rows_by_column(path) -> list[Row]:
    """The rows of a CSV whose header names what a cell holds; none where it does not."""
    check_file(path)
    try:
        table = read_rows(path)
    except csv.Error as error:
        raise ValueError(str(error)) from error
    header = {
        column: next((name for name in names if table and name in table[0]), None) for column, names in COLUMNS.items()
    }
    if not header["name"] or not (header["colour"] or all(header[part] for part in ("red", "green", "blue"))):
        return []
    rows = []
    for cells in table:
        parts = [cells[header[part]] for part in ("red", "green", "blue")] if header["red"] else cells[header["colour"]]
        rows.append((cells.get(header["value"]), cells[header["name"]] or "", _colour(parts)))
    return _with_values(rows)


def read_json_rows(content) -> list[Row]:
    """The rows of a table that JSON holds: names with colours, with values, or a list that begins with the background.

    Raises:
        ValueError: it is no such table.

    Example:
        >>> read_json_rows({"background": [0, 0, 0], "cat": "#ff0000"})
        [(0, 'background', (0, 0, 0)), (1, 'cat', (255, 0, 0))]
    """
    if isinstance(content, dict):
        tables = (
            table for key, table in content.items() if str(key).lower() in KEYS and isinstance(table, dict | list)
        )
        inner = next(tables, None)
        if inner is not None:
            return read_json_rows(inner)
        rows = [_entry(key, value) for key, value in content.items()]
    elif isinstance(content, list) and content:
        if all(isinstance(name, str) for name in content):
            return list_names(content)
        rows = [_entry(None, value) for value in content]
    else:
        rows = []
    if not rows or any(row is None for row in rows):
        raise ValueError("no names with colours or values")
    return _with_values(rows)


def list_names(names: list[str]) -> list[Row]:
    """The rows of a list of names without values, which must begin with the background.

    Raises:
        ValueError: it does not.
    """
    if not names or names[0].strip().lower() not in BACKGROUND:
        raise ValueError("a list of names that does not begin with the background, which may have no row")
    return [(value, name.strip().strip("_") or name, voc_colour(value)) for value, name in enumerate(names)]


def _entry(key, value) -> tuple | None:
    """(value or None, name, colour or None) of an item of JSON; None if it is another."""
    if isinstance(value, dict):
        return _entry_of_object(key, {str(name).lower(): part for name, part in value.items()})
    if isinstance(value, list) and len(value) == 4 and isinstance(value[3], str):
        return None, value[3], _colour(value[:3])
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
        return None, value[0], _colour(value[1])
    if key is None:
        return None
    if isinstance(value, str) and str(key).isdigit():
        return key, value, None
    if isinstance(value, str) and re.fullmatch(rf"[\[(]?\s*\d+{_GAP}\d+{_GAP}\d+\s*[\])]?|#[0-9a-fA-F]{{6}}", str(key)):
        return None, value, _colour(str(key))
    if isinstance(value, int) and not isinstance(value, bool):
        return value, str(key), None
    return None, str(key), _colour(value)


def _entry_of_object(key, fields) -> tuple | None:
    """As `_entry`, of an object in a list, or under its name or value."""
    found = {
        column: next((fields[name] for name in names if name in fields), None) for column, names in COLUMNS.items()
    }
    name, number, colour = found["name"], found["value"], found["colour"]
    if name is None:
        name = fields.get("readable") or fields.get("title") or key
    elif number is None and str(key).isdigit():
        number = key
    parts = [found[part] for part in ("red", "green", "blue")]
    if colour is None and parts != [None] * 3:
        colour = parts
    return (number, name, None if colour is None else _colour(colour)) if isinstance(name, str) else None


def _colour(value) -> Colour:
    """A colour of three numbers, or of text such as "255 0 0" or "#ff0000".

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, str):
        text = value.strip()
        digits = text.removeprefix("#")
        if re.fullmatch(r"[0-9a-fA-F]{6}", digits):
            return tuple(bytes.fromhex(digits))
        value = re.findall(r"\d+", text) if re.fullmatch(rf"[\[(]?\s*\d+({_GAP}\d+){{2}}\s*[\])]?", text) else []
    whole = isinstance(value, list | tuple) and all(re.fullmatch(r"\d{1,3}", str(part).strip()) for part in value)
    colour = tuple(int(str(part)) for part in value[:3]) if whole else ()
    if len(colour) != 3 or len(value) > 4 or max(colour) > 255:
        raise ValueError(f"no colour: {str(value)[:80]}")
    return colour


def _with_values(rows) -> list[Row]:
    """The rows with values: their own where all have one, else their numbers; and colours where a row has none."""
    texts = [str(value).strip() if value is not None and not isinstance(value, bool) else "" for value, _, _ in rows]
    if not all(name for _, name, _ in rows):
        raise ValueError("a row without a name")
    if any(texts) and not all(re.fullmatch(r"\d{1,3}", text) for text in texts):
        raise ValueError("a row whose value is no number in 0..255")
    values = [int(text) for text in texts] if any(texts) else range(len(rows))
    if not any(texts) and all(colour is None for _, _, colour in rows):
        raise ValueError("neither values nor colours")
    listed = [(v, name, colour or voc_colour(v)) for v, (_, name, colour) in zip(values, rows, strict=True)]
    return sorted(listed) if any(texts) else listed
