"""Tables of classes as data sets and label tools write them, read into `Classes`. Standard library only."""

from __future__ import annotations

import csv
import json
import pathlib
import re

from kseg._extras import extra
from kseg._spreadsheets import read_rows
from kseg.labels import voc_colour
from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import check_file
from kseg.pairs.layouts.matching import file_in, read_lines
from kseg.pairs.layouts.recognised import Classes


def find_classes(root: pathlib.Path) -> Classes | None:
    """The table that lies in a folder under one of the names that data sets use, or None."""
    for name, read in READERS.items():
        if path := file_in(root, name):
            return read(path)
    tables = (
        sorted(path for path in root.iterdir() if path.suffix.lower() in (".yaml", ".yml")) if root.is_dir() else []
    )
    return read_yaml(tables[0]) if len(tables) == 1 else None


def read_yaml(path: pathlib.Path) -> Classes | None:
    """The `names` of a YAML file, as Ultralytics has them, by value; 255 is void; None if there are none."""
    names = yaml_names(path)
    return _classes([(v, n, voc_colour(v)) for v, n in names.items()], path, void=255) if names else None


def yaml_names(path: pathlib.Path) -> dict[int, str]:
    """The `names` of a YAML file by number; empty if it has none.

    Raises:
        PairError: it is no YAML, or the names are neither a list nor numbered.
    """
    with extra("formats"):
        import yaml

    check_file(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        names = content.get("names") if isinstance(content, dict) else None
        numbered = enumerate(names) if isinstance(names, list) else (names or {}).items()
        return {int(number): str(name) for number, name in numbered}
    except (yaml.YAMLError, OSError, ValueError, AttributeError) as error:
        raise _bad_line(path, "names as a list or by number", repr(error)) from error


def read_colour_list(path: pathlib.Path) -> Classes:
    """Lines of `R G B name`, as CamVid's label_colors.txt; the values are the numbers of the lines from 0.

    Raises:
        PairError: a line is another.
    """
    rows = []
    for value, line in enumerate(read_lines(path)):
        found = re.fullmatch(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\S.*)", line)
        if not found:
            raise _bad_line(path, "red, green, blue and a name", line)
        rows.append((value, found[4], tuple(map(int, found.groups()[:3]))))
    return _classes(rows, path)


def read_class_dict(path: pathlib.Path) -> Classes:
    """A CSV with the columns name, r, g, b, as class_dict.csv on Kaggle; the values are the numbers of the rows from 0.

    Raises:
        PairError: a column is missing or a cell is no number.
    """
    check_file(path)
    try:
        table = read_rows(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _bad_line(path, "the columns name, r, g, b", str(error)) from error
    rows = []
    for value, cells in enumerate(table):
        try:
            colour = tuple(int(_first(cells, *names)) for names in (("r", "red"), ("g", "green"), ("b", "blue")))
            rows.append((value, _first(cells, "name", "class", "label", "class_name").strip(), colour))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _bad_line(path, "the columns name, r, g, b", str(cells)) from error
    return _classes(rows, path)


def read_labelmap(path: pathlib.Path) -> Classes:
    """Lines of `name:r,g,b:parts:actions`, as labelmap.txt of CVAT; the values are the numbers of the lines from 0.

    Raises:
        PairError: a line is another.
    """
    rows = []
    for line in read_lines(path):
        if line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        numbers = re.fullmatch(r"(\d+),\s*(\d+),\s*(\d+)", rest.partition(":")[0].strip())
        if not numbers:
            raise _bad_line(path, "name:red,green,blue::", line)
        rows.append((len(rows), name, tuple(map(int, numbers.groups()))))
    return _classes(rows, path)


def read_class_names(path: pathlib.Path) -> Classes:
    """A name in each line, as class_names.txt of LabelMe; the values are the numbers of the lines from 0, 255 is void.

    A line __ignore__ stands for void and has no value.
    """
    names = [name for name in read_lines(path) if name != "__ignore__"]
    rows = [(value, name.strip("_") or name, voc_colour(value)) for value, name in enumerate(names)]
    return _classes(rows, path, void=255)


def read_id2label(path: pathlib.Path) -> Classes:
    """A JSON object of names by value, as id2label.json of Hugging Face.

    Raises:
        PairError: it is no such object.
    """
    found = read_json(path)
    try:
        rows = sorted((int(value), str(name), voc_colour(int(value))) for value, name in found.items())
    except (AttributeError, ValueError) as error:
        raise _bad_line(path, 'an object such as {"0": "background"}', str(found)) from error
    return _classes(rows, path)


READERS = {
    "label_colors.txt": read_colour_list,
    "class_dict.csv": read_class_dict,
    "class_dict_seg.csv": read_class_dict,
    "labelmap.txt": read_labelmap,
    "class_names.txt": read_class_names,
    "codes.txt": read_class_names,
    "id2label.json": read_id2label,
}
"""By the name of the file."""


def read_json(path: pathlib.Path):
    """The content of a JSON file.

    Raises:
        PairError: it cannot or must not be read, or is no JSON.
    """
    check_file(path)
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PairError(
            "bad_json", f"The file must be JSON. Received: {error}", printable(path), "Export it again."
        ) from error


def _classes(rows, path, void=None) -> Classes:
    values = [value for value, _, _ in rows]
    if not rows or not all(name for _, name, _ in rows) or not all(0 <= value <= 255 for value in values):
        raise _bad_line(path, "a name for each class, with values in 0..255", f"{len(rows)} rows")
    return Classes(tuple(rows), path.name, void if void not in values else None)


def _first(cells, *names):
    return next(cells[name] for name in names if name in cells) if any(name in cells for name in names) else None


def _bad_line(path, wanted, found) -> PairError:
    return PairError(
        "bad_table", f"A table of classes must hold {wanted}. Received: {found[:120]}", printable(path), "Correct it."
    )
