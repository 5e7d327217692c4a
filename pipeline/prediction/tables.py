"""The tables of all pictures, written from their records as CSV. Standard library only.

Cells that a spreadsheet would run as a formula begin with an apostrophe; see `pipeline.engine.files.csv_cell`.
"""

from __future__ import annotations

import pathlib

from kseg.labels import LabelMap
from pipeline.engine.files import write_csv
from pipeline.prediction.picture_records import Records

CLASS_SHARES, CHANGED_PIXELS, UNREADABLE = "class_shares.csv", "changed_pixels.csv", "unreadable.csv"


def write_class_shares(output: pathlib.Path, records: Records, labels: LabelMap):
    """Writes one row per picture: its size, and the share of each class in its pixels."""
    rows = [["picture", "height", "width", *labels.names]]
    for record in records:
        size = record["height"] * record["width"]
        shares = [f"{count / size:.6f}" for count in record["pixels"]]
        rows.append([record["key"], record["height"], record["width"], *shares])
    write_csv(output / CLASS_SHARES, rows)


def write_changed_pixels(output: pathlib.Path, records: Records, labels: LabelMap) -> int:
    """Writes one row per picture and pair of classes for what cleaning changed; returns the number of pixels of all."""
    rows = [
        [record["key"], labels.names[before], labels.names[after], pixels]
        for record in records
        for before, after, pixels in record["moved"]
    ]
    write_csv(output / CHANGED_PIXELS, [["picture", "from", "to", "pixels"], *rows])
    return sum(row[-1] for row in rows)


def write_unreadable(output: pathlib.Path, outcomes: list[dict]):
    """Writes one row per picture that could not be read: path, name of the fault, message."""
    rows = sorted(
        [outcome["path"], outcome["fault"], outcome["message"]]
        for outcome in outcomes
        if outcome["outcome"] == "unreadable"
    )
    write_csv(output / UNREADABLE, [["path", "fault", "message"], *rows])


def print_unreadable(output: pathlib.Path, unreadable: int, pictures: int):
    """Prints how many of the pictures are in the table of unreadable ones, if any is.

    Raises:
        ValueError: all are.
    """
    if unreadable:
        print(f"{'unreadable':14}{output / UNREADABLE}  {unreadable} of {pictures} pictures")
    if unreadable == pictures:
        raise ValueError(
            f"At least one picture must be readable. Received: {pictures} that are not. See {output / UNREADABLE}."
        )
