"""Data sets of Hugging Face: folders of images with metadata.jsonl or metadata.csv, and Parquet files, read by pyarrow.

    train/metadata.jsonl with file_name and mask_file_name            paths relative to it
    data/train-00000-of-00001.parquet with an image and a mask        encoded pictures; id2label.json names the classes

Of a Parquet file, one row group of one column is in memory at a time.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
import os
import pathlib
import re

from kseg._extras import extra
from kseg.pairs.decoding import MAX_PIXELS
from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import check_file, find_file_error
from kseg.pairs.layouts.class_files import find_classes
from kseg.pairs.layouts.matching import file_in, read_lines, subfolders
from kseg.pairs.layouts.recognised import Recognised
from kseg.pairs.layouts.words import role_of
from kseg.pairs.listing import IMAGE_SUFFIXES, Fault, Listing, Pair
from kseg.pairs.other_formats import reads_colour, side_of
from kseg.pairs.split_names import split_of_name

SHARD = re.compile(r"[-_]\d+(-of-\d+)?$")

DAMAGED = (OSError, ValueError, IndexError, KeyError)
"""What pyarrow raises for damaged files, beside exceptions of its own: text that is not UTF-8, rows that are not there."""


@dataclasses.dataclass(frozen=True)
class ParquetCell:
    """One encoded picture in a Parquet file; see `kseg.pairs.sides.Side`.

    Args:
        path: of the file.
        column: its column.
        group: number of the row group from 0.
        row: number of the row in the group from 0.
    """

    path: pathlib.Path
    column: str
    group: int
    row: int

    kind = None
    own_file = None

    @property
    def name(self) -> str:
        return f"{printable(self.path)}, {printable(self.column)}, row group {self.group + 1}, row {self.row + 1}"

    @property
    def files(self) -> tuple[pathlib.Path, ...]:
        return (self.path,)

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        column = _read_group(self.path, os.stat(self.path).st_mtime_ns, self.group, self.column)
        try:
            cell = column[self.row].as_py()
        except DAMAGED as error:
            raise _damaged(self.path, error) from error
        cell = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(cell, bytes):
            raise PairError(
                "empty_file",
                "A cell must hold an encoded picture. Received: none, or a path",
                self.name,
                "Write the file again with the pictures in it.",
            )
        return cell

    def has_colour(self) -> bool:
        return reads_colour(self)


@functools.lru_cache(maxsize=2)
def _read_group(path, changed, group, column):
    with extra("formats"):
        from pyarrow import ArrowException, parquet

    try:
        return parquet.ParquetFile(path).read_row_group(group, columns=[column]).column(column)
    except (*DAMAGED, ArrowException) as error:
        raise _damaged(path, error) from error


def _damaged(path, error) -> PairError:
    return PairError(
        "damaged_file",
        f"Parquet files must be whole and have the same columns. Received: {error}",
        printable(path),
        "Copy it again.",
    )


def recognise_parquet(root: pathlib.Path) -> Recognised | None:
    """A Parquet file, or a folder of some, with a column of images and one of masks.

    Raises:
        PairError: a file cannot be read, or the columns are not clear.
    """
    paths = [root] if root.is_file() and root.suffix.lower() == ".parquet" else []
    if root.is_dir():
        below = subfolders(root)
        folders = [root, *(folder for name, folder in below.items() if name == "data" or split_of_name(name))]
        folders += [*subfolders(below["data"]).values()] if "data" in below else []
        paths = sorted(p for folder in folders for p in folder.iterdir() if p.suffix.lower() == ".parquet")
    if not paths:
        return None
    pairs = []
    columns = _columns(paths[0])
    for path in paths:
        sizes = _group_sizes(path, columns)
        split = _split_of_file(path)
        width = len(str(max(sum(sizes) - 1, 0)))
        number = 0
        for group, size in enumerate(sizes):
            for row in range(size):
                key = f"{path.stem}/{number:0{width}}"
                pairs.append(Pair(key, split, *(ParquetCell(path, column, group, row) for column in columns)))
                number += 1
    classes = find_classes(root if root.is_dir() else root.parent)
    return Recognised(f"Parquet, columns {columns[0]} and {columns[1]}", Listing(pairs, []), root, classes)


def _split_of_file(path) -> str:
    return split_of_name(SHARD.sub("", path.stem)) or split_of_name(path.parent.name) or ""


def _columns(path) -> tuple[str, str]:
    """The columns of the images and of the masks."""
    with extra("formats"):
        from pyarrow import ArrowException, parquet, types

    check_file(path)
    try:
        schema = parquet.read_schema(path)
        pictures = [
            field.name
            for field in schema
            if types.is_binary(field.type)
            or types.is_large_binary(field.type)
            or (types.is_struct(field.type) and "bytes" in {inner.name for inner in field.type})
        ]
        names = schema.names
    except (*DAMAGED, ArrowException) as error:
        raise _damaged(path, error) from error
    masks = [name for name in pictures if role_of(name) == "mask"]
    images = [name for name in pictures if role_of(name) == "image" or name == "pixel_values"]
    images = images or [name for name in pictures if name not in masks]
    if len(images) != 1 or len(masks) != 1:
        raise PairError(
            "unclear_columns",
            "A Parquet file must have one column of encoded images and one of masks, called image and label or mask. "
            f"Received: {', '.join(names)}; with pictures: {', '.join(pictures) or 'none'}",
            printable(path),
            "Rename the columns, or drop the others.",
        )
    return images[0], masks[0]


def _group_sizes(path, columns) -> list[int]:
    from pyarrow import ArrowException, parquet

    check_file(path)
    try:
        file = parquet.ParquetFile(path)
        missing = set(columns) - set(file.schema_arrow.names)
        if missing:
            raise OSError(f"no column {', '.join(sorted(missing))}")
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        if min(sizes, default=0) < 0 or sum(sizes) > path.stat().st_size:  # a row is a byte at least
            raise OSError(f"{sum(sizes)} rows in {path.stat().st_size} bytes")
        return sizes
    except (*DAMAGED, ArrowException) as error:
        raise _damaged(path, error) from error


def recognise_folder(root: pathlib.Path) -> Recognised | None:
    """A folder, or folders of splits, with metadata.jsonl or metadata.csv that names image and mask of each pair.

    Raises:
        PairError: a table cannot be read.
    """
    if not root.is_dir():
        return None
    folders = {folder: split_of_name(folder.name) or "" for folder in subfolders(root).values()}
    tables = [
        (file_in(folder, "metadata.jsonl", "metadata.csv"), split) for folder, split in {root: "", **folders}.items()
    ]
    pairs, faults = [], []
    for path, split in tables:
        rows = _read_rows(path) if path else []
        column = rows and _mask_column(rows[0])
        for row in rows if column else ():
            pair = _pair(path.parent, row.get("file_name"), row.get(column), split)
            error = _row_error(pair, row, column, path)
            if error:
                faults.append(Fault(pair, error))
            else:
                pairs.append(pair)
    if not pairs:
        return None
    return Recognised("Hugging Face image folder", Listing(pairs, faults), root, find_classes(root))


def _read_rows(path) -> list[dict]:
    lines = read_lines(path)
    if path.suffix.lower() == ".csv":
        return list(csv.DictReader(lines, skipinitialspace=True))
    try:
        return [row for row in map(json.loads, lines) if isinstance(row, dict)]
    except (ValueError, RecursionError) as error:
        raise PairError(
            "bad_json", f"Every line must be a JSON object. Received: {error}", printable(path), "Write it again."
        ) from error


def _mask_column(row) -> str | None:
    """The column of a row that names the mask."""
    named = [key for key, value in row.items() if isinstance(value, str) and key not in (None, "file_name")]
    masks = [
        key for key in named if role_of(key) == "mask" and pathlib.PurePath(row[key]).suffix.lower() in IMAGE_SUFFIXES
    ]
    return masks[0] if len(masks) == 1 and "file_name" in row else None


def _pair(folder, image, mask, split) -> Pair:
    image, mask = (pathlib.PurePosixPath(str(name or "").replace("\\", "/")) for name in (image, mask))
    key = image.with_suffix("").as_posix() if image.name else ""
    return Pair(key, split, side_of(folder / image), side_of(folder / mask))


def _row_error(pair, row, column, path) -> PairError | None:
    if not row.get("file_name") or not row.get(column):
        return PairError(
            "bad_row",
            f"A row must name an image and a mask. Received: {row}",
            printable(path),
            "Complete the row, or remove it.",
        )
    error = find_file_error(pair.image.path) or find_file_error(pair.mask.path)
    return error and PairError(error.name, error.what, f"{error.where}, named in {printable(path)}", error.cure)
