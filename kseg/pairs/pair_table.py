"""Pairs that a CSV table lists: columns image, mask and, if wanted, split; paths relative to the table.

A row that cannot be used is a fault and stops no other. Nothing outside the table's folder is opened: who writes a table need not
be who owns the disk. Links inside it may lead elsewhere. Standard library only.
"""

from __future__ import annotations

import csv
import os
import pathlib

from kseg.pairs.decoding import PairError, printable
from kseg.pairs.folder_files import file_key, find_file_error
from kseg.pairs.listing import IMAGE_SUFFIXES, MASK_SUFFIXES, SPLITS, Fault, Listing, Pair

HEADER = (
    "A table of pairs must have a header with the columns image, mask and, if wanted, split, and a row for each pair. "
)
TABLE_CURE = "Write it as UTF-8 with commas, the first line being image,mask or image,mask,split."


def read_table(path: pathlib.Path) -> Listing:
    """The pairs of a CSV file; those without a split have "" for it.

    Raises:
        PairError: the file is no such table.
    """
    pairs, faults, seen = [], [], set()
    for number, row in enumerate(_rows(path), start=2):
        where = f"{printable(path)}, line {number}"
        try:
            pair = _pair(row, path.parent, where)
            if (pair.split, pair.key) in seen:
                raise PairError(
                    "listed_twice",
                    f"An image must stand once in a split. Received: {printable(pair.key)} again",
                    where,
                    "Take one of the rows out, or rename one of the files.",
                )
        except PairError as error:
            pair = Pair(printable(row.get("image") or ""), SPLITS.get(row.get("split"), ""), *_named(row, path.parent))
            faults.append(Fault(pair, error))
        else:
            seen.add((pair.split, pair.key))
            pairs.append(pair)
    return Listing(pairs, faults)


def _named(row, folder):
    """Image and mask of a row that is not read, for the record."""
    return tuple(folder / printable(row.get(column) or "") for column in ("image", "mask"))


def _rows(path) -> list[dict]:
    """The rows by column; of a row with more cells than the header the rest stands under None."""
    if path.suffix.lower() != ".csv":
        raise PairError(
            "bad_table",
            "A file of pairs must be a table that ends in .csv. Received: another file",
            printable(path),
            "Give the folder of pairs, or a table of them; unpack an archive first.",
        )
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise PairError("bad_table", f"{HEADER}Received: {error}", printable(path), TABLE_CURE) from error
    missing = [column for column in ("image", "mask") if not rows or column not in rows[0]]
    if missing:
        found = ", ".join(map(repr, rows[0])) if rows else "no rows"
        received = f"Received: {found}, without {', '.join(missing)}"
        raise PairError("bad_table", HEADER + received, printable(path), TABLE_CURE)
    return rows


def _pair(row, folder, where) -> Pair:
    split = SPLITS.get((row["split"] or "").strip()) if "split" in row else ""
    cells = [row["image"], row["mask"]]
    if None in row or split is None or not all(cells) or any("\0" in cell for cell in cells):
        raise PairError(
            "bad_row",
            f"A row must name an image, a mask and, where there is such a column, a split among {', '.join(SPLITS)}. "
            f"Received: {row}",
            where,
            "Correct the row; a path with a comma stands between quotes.",
        )
    image, mask = (_inside(folder, cell, where) for cell in cells)
    for what, path, suffixes in (("image", image, IMAGE_SUFFIXES), ("mask", mask, MASK_SUFFIXES)):
        error = find_file_error(path) or _wrong_suffix(what, path, suffixes)
        if error:
            raise PairError(error.name, error.what, f"{error.where}, named in {where}", error.cure)
    return Pair(file_key(image, folder), split, image, mask)


def _inside(folder, cell, where) -> pathlib.Path:
    """The path of a cell, which must lie below `folder`."""
    path = pathlib.Path(os.path.normpath(folder / cell))
    if not path.is_relative_to(os.path.normpath(folder)):
        raise PairError(
            "outside_folder",
            f"The files of a table must lie below its folder. Received: {printable(cell)}",
            where,
            "Put the table into a folder that holds them all, or a link to them beside it.",
        )
    return path


def _wrong_suffix(what, path, suffixes) -> PairError | None:
    if path.suffix.lower() in suffixes:
        return None
    return PairError(
        "unsupported_format",
        f"The {what} of a pair must end in {', '.join(suffixes)}. Received: {path.suffix or 'no suffix'}",
        printable(path),
        "Convert it to PNG; of a mask that is JPEG export it anew, since its values are wrong already.",
    )
