"""The record of a labelled picture: written after its other files, so a picture with a record is finished.

    source, bytes, changed   path, size and modification time (ns) of the picture
    key, height, width       name below the output folder; size, pixels
    pixels                   number of pixels of each class
    moved                    [class before, class after, pixels] of what cleaning changed
    regions                  as `region_files` describes them, unless they have a file of their own

Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import pathlib

from pipeline.engine.files import MAX_NAME, read_json

FOLDER = "records"
LONGEST_SUFFIX = len(".geojson")


def file_stem(key: pathlib.PurePath) -> pathlib.PurePath:
    """What the files written for a picture are called, without their suffix: its key, with a name that is not too long.

    A name that leaves no room for a suffix is cut, and ends in ~ and 16 digits of the SHA-256 of the key.

    Args:
        key: of the picture.
    """
    room, name = MAX_NAME - LONGEST_SUFFIX, os.fsencode(key.name)
    if len(name) <= room:
        return key
    digits = f"~{hashlib.sha256(os.fsencode(key)).hexdigest()[:16]}"
    cut = name[: room - len(digits)]
    while cut and (name[len(cut)] & 0xC0) == 0x80:  # within a character of UTF-8
        cut = cut[:-1]
    return key.with_name(os.fsdecode(cut) + digits)


def picture_path(output: pathlib.Path, folder: str, key: pathlib.PurePath, suffix: str) -> pathlib.Path:
    """Path of a file that is written for the picture `key`.

    Args:
        output: folder of all results.
        folder: of files of this kind.
        key: of the picture.
        suffix: such as ".png".
    """
    stem = file_stem(key)
    return output / folder / stem.parent / f"{stem.name}{suffix}"


def record_path(output: pathlib.Path, key: pathlib.PurePath) -> pathlib.Path:
    """Path of the record of the picture `key`."""
    return picture_path(output, FOLDER, key, ".json")


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
    record = read_json(path, None, keys=tuple(state))
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
