"""Tables beside folders of images and masks that name their files: pairs.csv, train.csv, splits.csv. Standard library only.

A table that only adds splits, in a column or by its own name, gives them. One that pairs other files, or fewer, or has other
splits than the folders is a second reading, among which the user has to choose. Any other table is left alone.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import pathlib
from collections.abc import Iterator

from kseg._spreadsheets import read_rows
from kseg.pairs.errors import PairError, SeveralReadingsError, printable
from kseg.pairs.folder_files import find_file_error, may_list
from kseg.pairs.layouts import csv_table
from kseg.pairs.layouts.recognised import Recognised
from kseg.pairs.layouts.split_lists import WORDS, apply_splits, by_tail, find_named
from kseg.pairs.listing import Pair
from kseg.pairs.sides import Side
from kseg.pairs.split_names import split_in_name, split_of_name

MAX_BYTES = 2**26
TABLE_WORDS = WORDS | {"pairs", "table", "data", "dataset", "df", "meta", "metadata", "masks", "csv"}
"""What the name of a table may say besides its split."""


@dataclasses.dataclass(frozen=True)
class _Row:
    """What a row of a table says of a pair: its key, the split or "", and whether the mask is the pair's."""

    key: str
    split: str
    agrees: bool


def read_tables_beside(found: Recognised, top: pathlib.Path) -> Recognised:
    """The reading of folders with the splits that tables beside them give.

    Args:
        found: pairs of folders, before any split is assigned by a hash.
        top: the folder that was given, above which nothing is looked for.

    Raises:
        SeveralReadingsError: a table pairs other files, or fewer, or has other splits.
    """
    pairs = found.listing.every_pair
    stated = {pair.key: pair.split for pair in pairs}
    places = [place for place in (found.root, *found.root.parents) if place.is_relative_to(top)]
    tables = {path: rows for place in places for path, rows in _find_tables(place, pairs)}
    if not tables or len(stated) < len(pairs):  # a name comes again in another split
        return found
    rows = [row for table in tables.values() for row in table]
    splits = {row.key: row.split for row in rows}
    if all(row.agrees for row in rows) and all(splits[row.key] == row.split for row in rows):
        if all(splits.values()) and not any(stated.values()):
            return apply_splits(found, splits, [printable(path) for path in tables], [])
        if all(splits.values()) and splits.items() <= stated.items():
            return found
        if not any(splits.values()) and {pair.key for pair in found.listing.pairs} <= splits.keys():
            return found
    readings = [reading for path in tables for reading in _as_readings(path)]
    if readings:
        raise SeveralReadingsError(found.root, [_by_folders(found), *readings])
    note = (
        f"{', '.join(map(printable, tables))}: not read, since other or fewer pairs than those of the folders are named, or no "
        "known splits, and no paths that lead to files."
    )
    return dataclasses.replace(found, notes=(*found.notes, note))


def _by_folders(found: Recognised) -> Recognised:
    """The reading with options that select it, although a table lies there."""
    return dataclasses.replace(found, options=found.options or ("--layout", found.layout))


def _as_readings(path: pathlib.Path) -> list[Recognised]:
    """The table as a source of its own, where its paths lead to files."""
    try:
        reading = csv_table.recognise(path)
    except PairError:
        return []
    return [dataclasses.replace(reading, name=f"table {printable(path.name)}")] if reading.listing.pairs else []


def _find_tables(folder: pathlib.Path, pairs: list[Pair]) -> Iterator[tuple[pathlib.Path, list[_Row]]]:
    """The tables in a folder with a row that names the image of a pair."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv") if may_list(folder) else []
    tails = functools.cache(lambda: by_tail(pairs))  # large, and asked for only where a table names images
    by_key = {pair.key: pair for pair in pairs}
    for path in paths:
        if rows := list(_read_rows(path, tails, by_key)):
            yield path, rows


def _read_rows(path, tails, by_key) -> Iterator[_Row]:
    """What the rows of a table say of the pairs; nothing where it is no table of pairs or splits."""
    if path.name.startswith(".") or find_file_error(path) or path.stat().st_size > MAX_BYTES:
        return
    try:
        rows = csv_table.with_usual_columns(read_rows(path))
    except (UnicodeDecodeError, csv.Error, OSError):
        return
    split, rest = split_in_name(path.stem) or ("", "")
    split = split if set(filter(None, rest.split("_"))) <= TABLE_WORDS else ""
    columns = rows[0].keys() if rows else ()
    if "image" not in columns or not ({"mask", "split"} & columns or split):
        return
    for row in rows:
        image, mask = row["image"] or "", row.get("mask") or ""
        if (key := find_named(image, tails())) is not None:
            of_row = split_of_name(row["split"] or "") or "" if "split" in columns else split
            names_image = _leads_to(path.parent, image, by_key[key].image, key, tails())
            agrees = names_image and (not mask or _leads_to(path.parent, mask, by_key[key].mask, key, tails()))
            yield _Row(key, of_row, agrees)


def _leads_to(folder, cell, side: Side, key: str, tails) -> bool:
    """Whether a cell names a side of the pair `key`: by a path that is there, or else by the end of one."""
    place = folder / cell.replace("\\", "/")
    if "\0" not in cell and place.is_file():
        return any(place.resolve() == file.resolve() for file in side.files)
    return find_named(cell, tails) == key
