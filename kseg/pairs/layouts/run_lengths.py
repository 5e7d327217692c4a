"""Masks as run lengths in a table, as Kaggle's competitions have them: ImageId, ClassId and EncodedPixels, or likewise.

    train_images/a.jpg + train.csv with rows such as a.jpg,3,1 24 49 24        label 3 from pixel 1 and from pixel 49, 24 each

Pixels are numbered from 1, down the columns from the left. Where no row is empty, an image without a row has no label. Refused:
columns of other names, of which nobody says whether they count along rows or columns, and runs that are relative to each other.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import functools
import os
import pathlib

import numpy as np
from PIL import Image

from kseg._spreadsheets import read_rows
from kseg.labels import VOID, voc_colour
from kseg.pairs.decoding import MAX_PIXELS
from kseg.pairs.derived_masks import paint
from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import find_file_error
from kseg.pairs.layouts.matching import walk
from kseg.pairs.layouts.recognised import Classes, Recognised
from kseg.pairs.listing import IMAGE_SUFFIXES, Fault, Listing, Pair
from kseg.pairs.other_formats import encode, side_of
from kseg.pairs.polygons import picture_size
from kseg.pairs.sides import Side

RUNS = ("encodedpixels", "rle_mask", "encoding")
"""Columns of runs down the columns: of Severstal, Airbus and the clouds; of the salt; of HuBMAP."""
OTHER_RUNS = ("segmentation", "annotation", "rle", "rle_encoding", "mask_rle")
IDS = ("imageid", "image_id", "image", "img", "id", "filename", "file_name")
LABELS = ("classid", "class_id", "class", "label", "category")
JOINED = ("imageid_classid", "image_label", "id_class")
"""Columns of an image and its label in one, as a.jpg_3."""
EMPTY = ("", "nan", "none")
MAX_HEADER = 10_000  # characters


@dataclasses.dataclass(frozen=True)
class RunLengthMask:
    """The mask of one picture, drawn from the rows of a table; see `kseg.pairs.sides.Side`.

    Args:
        path: of the table.
        image_id: of the picture in the table.
        image: the picture, whose size the mask has.
        values: value of each label.
    """

    path: pathlib.Path
    image_id: str
    image: Side
    values: tuple[tuple[str, int], ...]

    kind = None
    own_file = None

    @property
    def name(self) -> str:
        return f"{printable(self.path)}, {printable(self.image_id)}"

    @property
    def files(self) -> tuple[pathlib.Path, ...]:
        return (self.path,)

    def has_colour(self) -> bool:
        return False

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        height, width = picture_size(self.image, max_pixels)
        mask, values = np.zeros(height * width, np.uint8), dict(self.values)
        for label, runs in _read_table(self.path, os.stat(self.path).st_mtime_ns).rows.get(self.image_id, ()):
            mask = paint(mask, self._inside(runs, mask.size), values[label])
        return encode(Image.fromarray(np.ascontiguousarray(mask.reshape(width, height).T)))

    def _inside(self, runs, size) -> np.ndarray:
        """The pixels (width * height,), bool, of runs down the columns."""
        inside = np.zeros(size, bool)
        try:
            numbers = np.array(runs.split(), np.int64)
            starts, lengths = numbers[::2] - 1, numbers[1::2]
            if (
                starts.size != lengths.size
                or (lengths < 1).any()
                or (starts < 0).any()
                or (starts + lengths > size).any()
            ):
                raise ValueError(
                    f"{numbers.size} numbers, pixels to {(starts[: lengths.size] + lengths).max(initial=0)} of {size}"
                )
        except (ValueError, OverflowError) as error:
            raise PairError(
                "bad_runs",
                "Run lengths must be pairs of a first pixel from 1 and a length, within the picture. "
                f"Received: {printable(str(error))}",
                self.name,
                "Check that the table belongs to pictures of this size, which were not resized.",
            ) from error
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            inside[start : start + length] = True
        return inside


@dataclasses.dataclass(frozen=True)
class _Table:
    """Labels and runs by image, and whether some row has none."""

    rows: dict[str, list[tuple[str, str]]]
    labels: tuple[str, ...]
    has_empty: bool


def recognise(root: pathlib.Path) -> Recognised | None:
    """A folder with a table of the columns ImageId and EncodedPixels, as Kaggle's competitions have it, and the images.

    Raises:
        PairError: the runs are of another kind.
    """
    if not root.is_dir():
        return None
    tables = [path for path in walk(root) if path.suffix.lower() == ".csv" and "submission" not in path.stem.lower()]
    tables = [path for path in tables if find_file_error(path) is None and _columns(_header(path))]
    if not tables:
        return None
    by_name = {}
    for path in walk(root):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            by_name[path.name] = by_name[path.stem] = path
    for path in tables:
        table = _read_table(path, os.stat(path).st_mtime_ns)
        if any(image_id in by_name for image_id in table.rows):
            return _recognised(root, path, table, by_name)
    return None


def _recognised(root, path, table: _Table, by_name) -> Recognised:
    values = tuple((label, number) for number, label in enumerate(table.labels, 1))
    pairs, faults, listed = [], [], set()
    for image_id in sorted(table.rows):
        place = by_name.get(image_id, root / image_id)
        image = side_of(place)
        pair = Pair(pathlib.PurePath(image_id).stem, "", image, RunLengthMask(path, image_id, image, values))
        listed.add(place)
        if image_id in by_name:
            pairs.append(pair)
        else:
            faults.append(Fault(pair, _no_image_error(path, image_id)))
    folders = {place.parent for place in listed}
    others = sorted({other for other in by_name.values() if other.parent in folders} - listed)
    notes = ["Runs count the pixels down the columns from 1, as in Kaggle's competitions."]
    for other in others:
        image = side_of(other)
        pair = Pair(other.stem, "", image, RunLengthMask(path, other.name, image, values))
        if table.has_empty:
            faults.append(Fault(pair, _no_row_error(path, other)))
        else:
            pairs.append(pair)
    if others and not table.has_empty:
        notes.append(f"{len(others)} images have no row in {path.name}, so nothing is in them.")
    names = [label or "object" for label in table.labels]
    names = [f"class {name}" if name.isdigit() else name for name in names]
    rows = ((0, "background", (0, 0, 0)), *((value, name, voc_colour(value)) for value, name in enumerate(names, 1)))
    classes = Classes(rows, f"the labels in {path.name}", void=VOID)
    return Recognised(f"run lengths in {path.name}", Listing(pairs, faults), root, classes, tuple(notes))


def _header(path) -> list[str]:
    """The columns of a table in lower case, from its first line."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            return [name.strip().strip('"').casefold() for name in file.readline(MAX_HEADER).strip().split(",")]
    except (OSError, UnicodeDecodeError):
        return []


def _columns(header) -> tuple[str, str | None, str, bool] | None:
    """The columns of image, label and runs, and whether the first one holds the label, too; None for another table."""
    joined = next((name for name in JOINED if name in header), None)
    image = joined or next((name for name in IDS if name in header), None)
    runs = next((name for name in (*RUNS, *OTHER_RUNS) if name in header), None)
    label = next((name for name in LABELS if name in header), None)
    return (image, label, runs, bool(joined)) if image and runs else None


@functools.lru_cache(maxsize=2)
def _read_table(path, changed) -> _Table:
    rows, has_empty, labels = collections.defaultdict(list), False, set()
    image, label, runs, joined = _columns(_header(path))
    if runs not in RUNS:
        raise _unknown_runs_error(path, f"the column {runs}")
    try:
        table = read_rows(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise PairError(
            "bad_table", f"A table must be UTF-8 CSV. Received: {error}", printable(path), "Save it again."
        ) from error
    for row in table:
        image_id, text, name = row[image] or "", row[runs] or "", (row[label] or "" if label else "")
        if joined:
            image_id, _, name = image_id.rpartition("_")
        if text.split()[:1] == ["-1"]:
            raise _unknown_runs_error(path, "-1 where there is nothing, as runs relative to each other have it")
        if not image_id or "/" in image_id or "\0" in image_id:
            continue
        rows[image_id]  # an image without a label
        if text.lower() in EMPTY:
            has_empty = True
        else:
            rows[image_id].append((name, text))
            labels.add(name)
    ordered = sorted(labels, key=lambda label: (not label.isdecimal(), int(label) if label.isdecimal() else 0, label))
    if len(ordered) >= VOID:
        raise PairError(
            "too_many_classes",
            f"There must be fewer than {VOID} labels. Received: {len(ordered)}",
            printable(path),
            "Check that the column is that of the labels.",
        )
    return _Table(dict(rows), tuple(ordered), has_empty)


def _unknown_runs_error(path, found) -> PairError:
    return PairError(
        "unknown_runs",
        f"Run lengths must be in a column called EncodedPixels, rle_mask or encoding, which count down the columns from 1. "
        f"Received: {printable(found)}",
        printable(path),
        "If they count so, rename the column; otherwise draw the masks as PNG files, under the names of the images.",
    )


def _no_image_error(path, image_id) -> PairError:
    return PairError(
        "missing_image",
        f"Every image of the table must exist. Received: no {printable(image_id)}",
        printable(path),
        "Copy the images, or remove their rows.",
    )


def _no_row_error(path, image) -> PairError:
    return PairError(
        "missing_mask",
        f"Every image must have a row, as other images without a label have. Received: none in {printable(path.name)}",
        printable(image),
        "Add a row without runs if nothing is in the image, or remove the image.",
    )
