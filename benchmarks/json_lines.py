"""Finished runs as lines of JSON in a file that is appended to, so work adds up over days and machines. Standard library only."""

from __future__ import annotations

import json
import pathlib


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
