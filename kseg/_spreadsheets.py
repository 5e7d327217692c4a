"""Tables as text editors and spreadsheets write them. Standard library only."""

from __future__ import annotations

import csv
import io
import pathlib

DELIMITERS = ",;\t"
BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")  # of UTF-16


def read_rows(path) -> list[dict]:
    """The rows of a CSV file as dictionaries by column; surplus cells of a row are under None.

    UTF-8 and UTF-16 are told apart by their first bytes. The header shows whether cells end at a comma, a semicolon or a tab.
    Spaces around cells and upper case in the header are dropped.

    Raises:
        UnicodeDecodeError: the file is neither UTF-8 nor UTF-16 with a mark.
        csv.Error: it is no table.
        OSError: it cannot be read.
    """
    data = pathlib.Path(path).read_bytes()
    text = data.decode("utf-16" if data.startswith(BYTE_ORDER_MARKS) else "utf-8-sig")
    header = next(iter(text.splitlines()), "")
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    cells = [[cell.strip() for cell in row] for row in reader if row]
    columns = [column.casefold() for column in cells[0]] if cells else []
    return [_by_column(columns, row) for row in cells[1:]]


def _by_column(columns, row) -> dict:
    surplus = {None: row[len(columns) :]} if len(row) > len(columns) else {}
    return dict.fromkeys(columns) | dict(zip(columns, row, strict=False)) | surplus
