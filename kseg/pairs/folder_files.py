"""The files of a folder by their keys, with a fault for each that cannot be read as its name promises. Standard library only.

Links are followed, and one that leads back up is a fault instead of a walk without end. Hidden files are left out; other files
that are no pictures are listed.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
import stat
import unicodedata

from kseg.pairs.decoding import PairError, printable
from kseg.pairs.listing import IMAGE_SUFFIXES

PICTURE_SUFFIXES = {
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
"""Of pictures that are not read."""

JPEG_SUFFIXES = {".jpg", ".jpeg", ".jfif"}


@dataclasses.dataclass
class Files:
    """What lies below a folder: by key the files that can be read and the faults of others, and what is no picture."""

    files: dict[str, pathlib.Path] = dataclasses.field(default_factory=dict)
    faults: dict[str, tuple[pathlib.Path, PairError]] = dataclasses.field(default_factory=dict)
    foreign: list[pathlib.Path] = dataclasses.field(default_factory=list)


def find_files(folder: pathlib.Path, suffixes: tuple[str, ...]) -> Files:
    """The files below `folder` that end in one of `suffixes`, by their path without suffix.

    Args:
        folder: which exists.
        suffixes: in lower case, such as ".png".
    """
    found = Files()
    unread = {}
    for path in walk_files(folder):
        key, suffix, error = file_key(path, folder), path.suffix.lower(), find_file_error(path)
        if error is None and suffix not in suffixes:
            if suffix in PICTURE_SUFFIXES or suffix in IMAGE_SUFFIXES:
                unread.setdefault(key, (path, _unread(path, suffixes)))
            else:
                found.foreign.append(path)
        elif error is not None:
            found.faults.setdefault(key, (path, error))
        elif key in found.files:
            found.faults.setdefault(key, (path, _twins(found.files[key], path)))
        else:
            found.files[key] = path
    for key, (path, error) in unread.items():
        if key in found.files:
            found.foreign.append(path)
        else:
            found.faults.setdefault(key, (path, error))
    for key in found.faults:
        found.files.pop(key, None)
    return found


def walk_files(folder: pathlib.Path):
    """Every file below `folder`, in order of path, links followed; folders that lead back up are named like files."""
    waiting = [(folder, (os.path.realpath(folder),))]
    while waiting:
        path, above = waiting.pop()
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
        waiting += [(path / name, above) for name in names]


def file_key(path: pathlib.Path, folder: pathlib.Path) -> str:
    """The path below `folder` without its suffix; one text for `\u00e9`, whether a Mac wrote it as two characters or not."""
    key = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
    return os.fsencode(key).decode("utf-8", "backslashreplace")  # a fault says where the name is not UTF-8


def find_file_error(path: pathlib.Path) -> PairError | None:
    """Why a path cannot be opened as a file, or None."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return PairError(
            "name_not_utf8", "The name of a file must be UTF-8. Received: other bytes", printable(path), "Rename it."
        )
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            return _loop(path)
        return PairError(
            "missing_file",
            f"The files of a pair must be there. Received: {error.strerror}",
            printable(path),
            "Add the file, or take the pair out.",
        )
    if stat.S_ISDIR(mode):
        return _loop(path)
    if not stat.S_ISREG(mode):
        return PairError(
            "not_a_file",
            "A picture must be a regular file. Received: a pipe, socket or device",
            printable(path),
            "Take it out, or put a file in its place.",
        )
    return None


def _loop(path) -> PairError:
    return PairError(
        "symlink_loop",
        "A link must lead to a file. Received: one that leads back up",
        printable(path),
        "Remove the link.",
    )


def _unread(path, suffixes) -> PairError:
    if path.suffix.lower() in JPEG_SUFFIXES and not JPEG_SUFFIXES & set(suffixes):
        return PairError(
            "lossy_mask",
            "A mask must be PNG. Received: JPEG, which changes values at every edge",
            printable(path),
            "Export the mask anew as PNG; converting the JPEG would keep its wrong values.",
        )
    return PairError(
        "unsupported_format",
        f"Files of this folder must end in {', '.join(suffixes)}. Received: {path.suffix}",
        printable(path),
        "Convert it to PNG.",
    )


def _twins(first, second) -> PairError:
    return PairError(
        "two_of_one_stem",
        "Two files must not have one stem, since a mask is found by it. Received: two",
        f"{printable(first)}, {printable(second)}",
        "Rename or remove one of them.",
    )
