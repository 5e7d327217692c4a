"""The files of a folder by key, and a fault for each that cannot be read. Standard library only.

Links are followed; one that leads to a folder above itself is a fault. Hidden files are skipped; files that are not images are
listed.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
import stat
import unicodedata

from kseg.pairs.errors import PairError, printable
from kseg.pairs.listing import IMAGE_SUFFIXES

OTHER_IMAGE_SUFFIXES = {
    ".avif",
    ".bmp",
    ".gif",
    ".heic",
    ".heif",
    ".jfif",
    ".jp2",
    ".npy",
    ".pgm",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
}
"""Suffixes of image formats that are not read."""

JPEG_SUFFIXES = {".jpg", ".jpeg", ".jfif"}


@dataclasses.dataclass
class FolderFiles:
    """What lies below a folder.

    Attributes:
        files: readable files by key.
        faults: path and error of unreadable ones by key.
        foreign: files that are not images.
    """

    files: dict[str, pathlib.Path] = dataclasses.field(default_factory=dict)
    faults: dict[str, tuple[pathlib.Path, PairError]] = dataclasses.field(default_factory=dict)
    foreign: list[pathlib.Path] = dataclasses.field(default_factory=list)


def find_files(folder: pathlib.Path, suffixes: tuple[str, ...]) -> FolderFiles:
    """Finds the files below `folder` that end in one of `suffixes`, by their path without suffix.

    Args:
        folder: an existing folder.
        suffixes: in lower case, such as ".png".
    """
    found = FolderFiles()
    other_formats = {}
    for path in walk_files(folder):
        key, suffix, error = file_key(path, folder), path.suffix.lower(), find_file_error(path)
        if error is None and suffix not in suffixes:
            if suffix in OTHER_IMAGE_SUFFIXES or suffix in IMAGE_SUFFIXES:
                other_formats.setdefault(key, (path, _format_error(path, suffixes)))
            else:
                found.foreign.append(path)
        elif error is not None:
            found.faults.setdefault(key, (path, error))
        elif key in found.files:
            found.faults.setdefault(key, (path, _same_stem_error(found.files[key], path)))
        else:
            found.files[key] = path
    for key, (path, error) in other_formats.items():
        if key in found.files:
            found.foreign.append(path)
        else:
            found.faults.setdefault(key, (path, error))
    for key in found.faults:
        found.files.pop(key, None)
    return found


def walk_files(folder: pathlib.Path):
    """Yields every file below `folder` in order of path, following links; a link to a folder above is yielded like a file."""
    pending = [(folder, (os.path.realpath(folder),))]
    while pending:
        path, above = pending.pop()
        if path != folder and not os.path.isdir(path):
            yield path
            continue
        if path != folder:
            real, parent = os.path.realpath(path), os.path.realpath(path.parent)
            if real in above or os.path.commonpath([real, parent]) == real:
                yield path
                continue
            above = (*above, real)
        names = sorted((name for name in os.listdir(path) if not name.startswith(".")), reverse=True)
        pending += [(path / name, above) for name in names]


def file_key(path: pathlib.Path, folder: pathlib.Path) -> str:
    """The path below `folder` without its suffix; NFC, since a Mac writes `\u00e9` as two characters."""
    key = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
    return os.fsencode(key).decode("utf-8", "backslashreplace")  # a name that is not UTF-8 becomes a fault


def find_file_error(path: pathlib.Path) -> PairError | None:
    """The reason why a path cannot be opened as a file, or None."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return PairError(
            "name_not_utf8", "File names must be UTF-8. Received: other bytes", printable(path), "Rename it."
        )
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            return _loop_error(path)
        return PairError(
            "missing_file",
            f"Both files of a pair must exist. Received: {error.strerror}",
            printable(path),
            "Add the file, or remove the pair.",
        )
    if stat.S_ISDIR(mode):
        return _loop_error(path)
    if not stat.S_ISREG(mode):
        return PairError(
            "not_a_file",
            "An image must be a regular file. Received: a pipe, socket or device",
            printable(path),
            "Remove it, or replace it by a file.",
        )
    return None


def _loop_error(path) -> PairError:
    return PairError(
        "symlink_loop",
        "A link must lead to a file. Received: a link to a folder above itself",
        printable(path),
        "Remove the link.",
    )


def _format_error(path, suffixes) -> PairError:
    if path.suffix.lower() in JPEG_SUFFIXES and not JPEG_SUFFIXES & set(suffixes):
        return PairError(
            "lossy_mask",
            "A mask must be PNG. Received: JPEG, which changes values at every edge",
            printable(path),
            "Export the mask again as PNG; converting the JPEG would keep its wrong values.",
        )
    return PairError(
        "unsupported_format",
        f"Files of this folder must end in {', '.join(suffixes)}. Received: {path.suffix}",
        printable(path),
        "Convert it to PNG.",
    )


def _same_stem_error(first, second) -> PairError:
    return PairError(
        "two_of_one_stem",
        "File names must differ without their suffix, since masks are found by it. Received: two of one stem",
        f"{printable(first)}, {printable(second)}",
        "Rename or remove one of them.",
    )
