"""Tables of classes as data sets and label tools write them, read into `Classes`. Standard library only."""

from __future__ import annotations

import csv
import json
import pathlib
import re

from kseg._extras import extra
from kseg._spreadsheets import read_rows
from kseg.labels import COLUMNS as VALUE_COLUMNS
from kseg.labels import voc_colour
from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import check_file, may_list
from kseg.pairs.layouts.colour_tables import list_names, read_colour_lines, read_json_rows
from kseg.pairs.layouts.matching import file_in, read_lines
from kseg.pairs.layouts.recognised import Classes

NAMED_AFTER_CLASSES = re.compile(
    r"(semantic|seg|index|id)*(class(es)?|labels?|colou?rs?|palette|legend|names)"
    r"(dict|table|list|map(ping)?|s|to|colou?rs?|codes?|names?|labels?|class(es)?|id|index|rgb|legend|palette|info|def)*"
)
"""Names of files that may hold a table of classes, without separators: colormap, class_colours, labels, palette, ..."""

SUFFIXES = (".csv", ".json", ".tsv", ".txt")


def find_classes(root: pathlib.Path) -> Classes | None:
    """The table that lies in a folder under one of the names that data sets and label tools use, or None.

    Names that other programs use, too, and names of no fixed form such as colormap.csv count where the file holds a table.

    Raises:
        PairError: a file of a fixed name holds another thing, or two files of other names hold different tables.
    """
    for name in READERS:
        if path := file_in(root, name):
            table = _table_or_none(path) if name in COMMON else read_known_file(path)
            if table:
                return table
    if not (root.is_dir() and may_list(root)):
        return None
    tables = [table for path in _other_tables(root) if (table := _table_or_none(path))]
    if len({_meaning(table) for table in tables}) > 1:
        raise PairError(
            "two_tables",
            f"A folder must have one table of classes. Received: {' and '.join(table.source for table in tables)}",
            printable(root),
            "Choose one with --classes FILE.",
        )
    return tables[0] if tables else None


def _other_tables(root) -> list[pathlib.Path]:
    """The files in a folder that are named after classes, and its YAML if it has one."""
    paths = sorted(path for path in root.iterdir() if path.is_file() and not path.name.startswith("."))
    named = [path for path in paths if _is_named_after_classes(path) and path.name.lower() not in READERS]
    yaml = [path for path in paths if path.suffix.lower() in (".yaml", ".yml")]
    return named + (yaml if len(yaml) == 1 else [])


def _is_named_after_classes(path) -> bool:
    stem, suffix = re.sub(r"[\W_]", "", path.stem.lower()), path.suffix.lower()
    return suffix in SUFFIXES and stem + suffix != "classes.csv" and bool(NAMED_AFTER_CLASSES.fullmatch(stem))


def _table_or_none(path) -> Classes | None:
    try:
        return read_known_file(path)
    except PairError:
        return None


def _meaning(table: Classes) -> tuple:
    """What two tables must have in common to be one: names, and values."""
    return tuple((value, name) for value, name, _ in table.rows)


def possible_tables(folder: pathlib.Path) -> list[pathlib.Path]:
    """Every file in a folder, there or not, that `find_classes` would read."""
    others = _other_tables(folder) if folder.is_dir() and may_list(folder) else []
    return [*(folder / name for name in READERS), *others]


def read_known_file(path: pathlib.Path) -> Classes | None:
    """The table of a file, by its name or else by its suffix; None for a CSV that is not of these forms, as classes.csv.

    Raises:
        PairError: the content is another.
    """
    name, suffix = path.name.lower(), path.suffix.lower()
    if name in READERS:
        return READERS[name](path)
    if name.startswith("config") and suffix == ".json":
        return read_vistas(path)
    if suffix in (".yaml", ".yml"):
        return read_yaml(path)
    if suffix == ".json":
        return read_json_table(path)
    return read_text_table(path) if suffix in SUFFIXES else None


def read_text_table(path: pathlib.Path) -> Classes | None:
    """A name and a colour in each line, with or without a value and a header; or names from the background on.

    None for a CSV of another form, which `LabelMap.from_csv` reads or refuses.

    Raises:
        PairError: the file is a text of another form.
    """
    try:
        check_file(path)
        if path.suffix.lower() == ".csv" and set(VALUE_COLUMNS) <= set(next(iter(read_rows(path)), {})):
            return None
        return _classes(read_colour_lines(path), path)
    except (OSError, ValueError, csv.Error) as error:  # a PairError, too
        if path.suffix.lower() == ".csv":
            return None
        try:
            return _classes(list_names(read_lines(path)), path)
        except ValueError:
            raise _bad_line(path, "a name and a colour in each line", str(error)) from error


def read_json_table(path: pathlib.Path) -> Classes:
    """Names with colours or values, as an object or a list of objects, or names from the background on.

    Raises:
        PairError: it holds something else.
    """
    content = read_json(path)
    try:
        return _classes(read_json_rows(content), path)
    except PairError:
        raise
    except (ValueError, RecursionError) as error:
        raise _bad_line(path, "names with colours or values", str(error)) from error


def read_yaml(path: pathlib.Path) -> Classes:
    """The `names` of a YAML file by number, as Ultralytics has them; 255 is void.

    Raises:
        PairError: there are none, or other numbers.
    """
    return _classes(sorted((v, n, voc_colour(v)) for v, n in yaml_names(path).items()), path, void=255)


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
    except (yaml.YAMLError, OSError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
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
    except (AttributeError, ValueError, ArithmeticError) as error:
        raise _bad_line(path, 'an object such as {"0": "background"}', str(found)) from error
    return _classes(rows, path)


def read_roboflow(path: pathlib.Path) -> Classes:
    """Values and names, as _classes.csv of Roboflow.

    Raises:
        PairError: a row is another.
    """
    rows = list(csv.reader(read_lines(path), skipinitialspace=True))
    try:
        return _classes([(int(value), name.strip(), voc_colour(int(value))) for value, name, *_ in rows[1:]], path)
    except (IndexError, ValueError) as error:
        raise _bad_line(path, "values and names", str(error)) from error


def read_dataset_json(path: pathlib.Path) -> Classes:
    """The labels of dataset.json, as nnU-Net has them: a value by name.

    Raises:
        PairError: there are none, or a label has several values.
    """
    try:
        rows = sorted(
            (int(value), str(name), voc_colour(int(value))) for name, value in read_json(path)["labels"].items()
        )
    except PairError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise _bad_line(
            path, "one value for each label; regions of several values cannot be read", str(error)
        ) from error
    return _classes(rows, path)


def read_vistas(path: pathlib.Path) -> Classes:
    """The labels of config.json of Mapillary Vistas; the values are their numbers from 0, and the label Unlabeled is void.

    Raises:
        PairError: it lists no labels.
    """
    try:
        labels = read_json(path)["labels"]
        rows = [(value, label["readable"], tuple(map(int, label["color"]))) for value, label in enumerate(labels)]
    except PairError:
        raise
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise _bad_line(path, "labels with readable and color", str(error)) from error
    return _classes(rows, path)


READERS = {
    "label_colors.txt": read_colour_list,
    "class_dict.csv": read_class_dict,
    "class_dict_seg.csv": read_class_dict,
    "labelmap.txt": read_labelmap,
    "class_names.txt": read_class_names,
    "codes.txt": read_class_names,
    "id2label.json": read_id2label,
    "_classes.csv": read_roboflow,
    "dataset.json": read_dataset_json,
    "config.json": read_vistas,
    "data.yaml": read_yaml,
}
"""By the name of the file."""

COMMON = ("dataset.json", "config.json", "data.yaml")
"""Names that other programs use, too."""


def read_json(path: pathlib.Path):
    """The content of a JSON file.

    Raises:
        PairError: it cannot or must not be read, or is no JSON.
    """
    check_file(path)
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise PairError(
            "bad_json", f"The file must be JSON. Received: {error}", printable(path), "Export it again."
        ) from error


def _classes(rows, path, void=None) -> Classes:
    values = [value for value, _, _ in rows]
    if (
        not rows
        or not all(isinstance(name, str) and name for _, name, _ in rows)
        or not all(0 <= v <= 255 for v in values)
    ):
        raise _bad_line(path, "a name for each class, with values in 0..255", f"{len(rows)} rows")
    if not all(len(colour) == 3 and min(colour) >= 0 and max(colour) <= 255 for _, _, colour in rows):
        raise _bad_line(path, "colours of red, green and blue in 0..255", "others")
    return Classes(tuple(rows), path.name, void if void not in values else None)


def _first(cells, *names):
    return next(cells[name] for name in names if name in cells) if any(name in cells for name in names) else None


def _bad_line(path, wanted, found) -> PairError:
    return PairError(
        "bad_table", f"A table of classes must hold {wanted}. Received: {found[:120]}", printable(path), "Correct it."
    )
