"""Pairs listed in a CSV table: columns image, mask and optionally split. Standard library only.

A path is looked up in the table's folder, then in the data root where one is given; it may be absolute. An unusable row is a
fault of its pair alone.
"""

from __future__ import annotations

import csv
import os
import pathlib

from kseg._spreadsheets import read_rows
from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import (
    JPEG_SUFFIXES,
    Boundary,
    enforced_boundary,
    file_key,
    find_file_error,
    find_suffix_error,
)
from kseg.pairs.layouts.other_files import cure_of_file
from kseg.pairs.layouts.recognised import Recognised
from kseg.pairs.listing import IMAGE_SUFFIXES, MASK_SUFFIXES, UNKNOWN_SPLIT, Fault, Listing, Pair
from kseg.pairs.other_formats import side_of
from kseg.pairs.split_names import KNOWN, split_of_name

HEADER = (
    "A table of pairs must have a header with the columns image, mask and optionally split, and a row for each pair. "
)
COLUMNS = {
    "image": ("image", "image_path", "image_file", "img", "img_path", "filename", "file_name"),
    "mask": ("mask", "mask_path", "mask_file", "label_path", "annotation_path"),
    "split": ("split", "set", "subset", "partition"),
}
"""Columns by the names that they have in tables; the first one counts where several lie there."""
OTHER_FILES = (".json", ".npz", ".parquet")  # of other layouts
TABLE_CURE = "Write it as UTF-8 with commas; the first line is image,mask or image,mask,split."


def recognise(root: pathlib.Path) -> Recognised | None:
    """A table with the columns image, mask and optionally split; any other file that no layout reads is refused.

    Notes name the columns that are not read, since one of them may say the split.

    Raises:
        PairError: the file is not such a table.
    """
    if not root.is_file() or root.suffix.lower() in OTHER_FILES:
        return None
    rows = _rows(root)
    others = [printable(column) for column in rows[0] if column and column not in COLUMNS]
    notes = (f"Columns of the table that are not read: {', '.join(others)}.",) if others else ()
    return Recognised("table of pairs", _listing(root, rows), root, notes=notes)


def _listing(path, rows) -> Listing:
    pairs, faults, seen = [], [], set()
    for number, row in enumerate(rows, start=2):
        where = f"{printable(path)}, line {number}"
        try:
            pair = _pair(row, path.parent, where)
            if (pair.split, pair.key) in seen:
                raise PairError(
                    "listed_twice",
                    f"A split must not repeat images. Received: {printable(pair.key)} again",
                    where,
                    "Remove one of the rows, or rename one of the files.",
                )
        except PairError as error:
            split = (_split(row) or UNKNOWN_SPLIT) if "split" in row else ""
            faults.append(Fault(Pair(printable(row.get("image") or ""), split, *_paths(row, path.parent)), error))
        else:
            seen.add((pair.split, pair.key))
            pairs.append(pair)
    return Listing(pairs, faults)


def _split(row) -> str | None:
    """The split in a row of a table with such a column; None if it is unknown."""
    return split_of_name(row["split"] or "")


def _paths(row, folder):
    """Image and mask of an unusable row, for the record."""
    return tuple(side_of(folder / printable(row.get(column) or "")) for column in ("image", "mask"))


TABLES = (".tsv", ".txt", ".xlsx", ".xls", ".ods", ".feather", ".arrow", ".jsonl", ".xml", ".yaml", ".yml")


def _other_file_cure(path) -> str:
    """What to do with a file that lists no pairs, by its suffix."""
    suffix = path.suffix.lower()
    if cure := cure_of_file(path):
        return cure
    if suffix in TABLES:
        return "Save the pairs as CSV with the columns image and mask, or pass the folder of the data set."
    if suffix in (*IMAGE_SUFFIXES, ".npy"):
        return "Pass the folder that holds the images and the masks."
    return "Pass a folder of images and masks, or a file that lists them."


def _rows(path) -> list[dict]:
    """The rows as dictionaries by column; surplus cells of a row are under None."""
    if path.suffix.lower() != ".csv":
        raise PairError(
            "bad_table",
            f"A file of pairs must be a table (.csv), COCO (.json), Parquet (.parquet) or numpy's (.npz). "
            f"Received: {path.suffix or 'no suffix'}",
            printable(path),
            _other_file_cure(path),
        )
    try:
        rows = read_rows(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise PairError("bad_table", f"{HEADER}Received: {error}", printable(path), TABLE_CURE) from error
    rows = with_usual_columns(rows)
    missing = [column for column in ("image", "mask") if not rows or column not in rows[0]]
    if missing:
        found = ", ".join(map(repr, rows[0])) if rows else "no rows"
        received = f"Received: {found}, without {', '.join(missing)}"
        raise PairError("bad_table", HEADER + received, printable(path), TABLE_CURE)
    return rows


def with_usual_columns(rows: list[dict]) -> list[dict]:
    """The rows with image, mask and split as names of the columns that mean these."""
    found = {name: next((c for c in names if rows and c in rows[0]), None) for name, names in COLUMNS.items()}
    usual = {column: name for name, column in found.items() if column}
    return [{usual.get(column, column): cell for column, cell in row.items()} for row in rows]


def _pair(row, folder, where) -> Pair:
    split = _split(row) if "split" in row else ""
    cells = [row["image"], row["mask"]]
    if None in row or split is None or not all(cells) or any("\0" in cell for cell in cells):
        raise PairError(
            "bad_row",
            f"A row must name an image, a mask and, if there is such a column, a split: {KNOWN}. Received: {row}",
            where,
            "Correct the row; put a path with a comma between quotes.",
        )
    boundary = enforced_boundary() or Boundary(folder)
    image, mask = (_resolve(cell, folder, boundary, where) for cell in cells)
    for what, path, suffixes in (("image", image, IMAGE_SUFFIXES), ("mask", mask, (*MASK_SUFFIXES, *JPEG_SUFFIXES))):
        error = find_file_error(path) or find_suffix_error(path, suffixes, f"The {what} of a pair")
        if error and error.name == "missing_file" and "\\" in str(path):
            error = _backslash_error(path)
        if error:
            raise PairError(error.name, error.what, f"{error.where}, named in {where}", error.cure)
    key = file_key(boundary.folder / boundary.relative(image), boundary.folder)
    return Pair(key, split, side_of(image), side_of(mask))


def _resolve(cell, folder, boundary, where) -> pathlib.Path:
    """The path in a cell, which must not lead out of the boundary."""
    places = [pathlib.Path(os.path.normpath(base / cell)) for base in (folder, boundary.folder)]
    inside = [path for path in places if boundary.contains(path)]
    if inside:
        return next(filter(os.path.exists, inside), inside[0])
    error = boundary.find_error(places[0])
    if os.path.normpath(boundary.folder) == os.path.normpath(folder) and not error.what.startswith("Links"):
        raise PairError(
            error.name,
            f"The files of a table must lie below its folder. Received: {printable(cell)}",
            where,
            "Name the folder that holds them all with --data-root (data_root= in a script).",
        )
    raise PairError(error.name, error.what, f"{error.where}, named in {where}", error.cure)


def _backslash_error(path) -> PairError:
    return PairError(
        "missing_file",
        "Paths in a table must have / between folders. Received: a path with \\, which is part of a name here, and no such file",
        printable(path),
        "Replace each \\ by /.",
    )
