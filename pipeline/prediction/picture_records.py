"""The record of a labelled picture: written after its other files, so a picture with a record is finished.

    source, bytes, changed   path, size and modification time (ns) of the picture
    key, height, width       name below the output folder; size, pixels
    pixels                   number of pixels of each class
    moved                    [class before, class after, pixels] of what cleaning changed
    regions                  as `region_files` describes them, unless they have a file of their own

Standard library only.
"""

from __future__ import annotations

import pathlib

from pipeline.engine.files import read_json

FOLDER = "records"


def record_path(output: pathlib.Path, key: pathlib.PurePath) -> pathlib.Path:
    """Path of the record of the picture `key`."""
    return output / FOLDER / f"{key}.json"


def file_state(source: pathlib.Path) -> dict[str, int]:
    """What tells whether a picture has changed: the keys "bytes" and "changed" of its record."""
    stat = source.stat()
    return {"bytes": stat.st_size, "changed": stat.st_mtime_ns}


def is_finished(path: pathlib.Path, state: dict[str, int]) -> bool:
    """Whether a picture in the given state has been labelled.

    Args:
        path: of its record.
        state: from `file_state`.
    """
    record = read_json(path, None)
    return record is not None and all(record[name] == value for name, value in state.items())


class Records:
    """The records of the finished pictures, read again in each iteration, since all of them may not fit into memory.

    Args:
        paths: of the records, whether or not they exist.
    """

    def __init__(self, paths: list[pathlib.Path]):
        self._paths = paths

    def __iter__(self):
        return (read_json(path) for path in self._paths if path.is_file())
