"""Finished runs as lines of JSON in a file that is appended to, so work adds up over days and machines. Standard library only."""

from __future__ import annotations

import argparse
import json
import pathlib
import time
from collections.abc import Callable


def read(path: pathlib.Path) -> list[dict]:
    """The rows of a file; none if it does not exist. A last line without an end was cut off by a kill and is left out."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def append(path: pathlib.Path, row: dict) -> None:
    """Appends a row to a file, replacing a line that a kill cut off; makes the folder when missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = path.read_text() if path.exists() else ""
    with open(path, "a") as file:
        file.truncate(kept.rfind("\n") + 1)
        file.write(json.dumps(row) + "\n")


def find(rows: list[dict], key: dict) -> dict | None:
    """The first row that holds all of a key, such as what identifies a run; None if there is none."""
    return next((row for row in rows if key.items() <= row.items()), None)


def run_for_hours(description: str, file: str, run_pending: Callable, table: Callable[[list[dict]], str]) -> None:
    """The command line of a benchmark: starts runs that are not in the file for the given time, and prints the table.

    Args:
        description: the docstring of the benchmark, whose first line `--help` shows.
        file: of the finished runs, unless another one is given.
        run_pending: from the path of the file and a function, which says whether another run may start, to rows in the file.
        table: from rows to text.
    """
    parser = argparse.ArgumentParser(
        description=description.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=4, help="start no run after this time")
    parser.add_argument("--file", type=pathlib.Path, default=pathlib.Path(file), help="finished runs")
    arguments = parser.parse_args()
    until = time.monotonic() + 3600 * arguments.hours
    run_pending(arguments.file, lambda: time.monotonic() < until)
    print(table(read(arguments.file)))
