"""The files of a folder by key, and a fault for each that cannot be read. Standard library only.

No file outside the boundary of a data set is opened. Links within it are followed; one that leads out of it, or to a folder above
itself, is a fault. Hidden files are skipped; files that are not images are listed.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import errno
import functools
import os
import pathlib
import stat
import unicodedata

from kseg.pairs.errors import LOSSY_CURE, PairError, printable
from kseg.pairs.listing import IMAGE_SUFFIXES

OTHER_IMAGE_SUFFIXES = {
    ".avif",
    ".bmp",
    ".gif",
    ".heic",
    ".heif",
    ".npy",
    ".tif",
    ".tiff",
    ".webp",
}
"""Suffixes of image formats that are not read."""

JPEG_SUFFIXES = {".jpg", ".jpeg", ".jfif", ".jpe"}


@dataclasses.dataclass(frozen=True)
class Boundary:
    """The folder outside which no file of a data set is opened, since the author of the data may not own the machine.

    Within `with boundary.enforced():` the functions that find files and read lists hold to it, whatever the layout.

    Args:
        folder: may itself be a link, which counts as the place that it leads to.
        follow_links: whether links inside the folder may lead out of it.
        given: the file that the user named, which may be opened wherever it is; or None.
    """

    folder: pathlib.Path
    follow_links: bool = False
    given: pathlib.Path | None = None

    @functools.cached_property
    def _places(self) -> tuple[str, str]:
        """The folder as it is named and as it is, each absolute."""
        return os.path.abspath(self.folder), os.path.realpath(self.folder)

    @functools.cached_property
    def _real_folders(self) -> dict[str, str]:
        return {}

    def _real_path(self, path: str) -> str:
        """As `os.path.realpath`, with one look at the file system for each file of a folder that was seen before."""
        folder, name = os.path.split(path)
        if name in ("", ".", "..") or os.path.islink(path):
            return os.path.realpath(path)
        if folder not in self._real_folders:
            self._real_folders[folder] = os.path.realpath(folder)
        return os.path.join(self._real_folders[folder], name)

    def contains(self, path: pathlib.Path) -> bool:
        """Whether a path may be opened, or would be if there were something."""
        named, real = self._places
        if path == self.given or _is_below(self._real_path(os.fspath(path)), real):
            return True
        return self.follow_links and _is_below(os.path.abspath(path), named)

    def find_error(self, path: pathlib.Path) -> PairError | None:
        """The reason why a path must not be opened, or None."""
        if self.contains(path):
            return None
        named, _ = self._places
        if _is_below(os.path.abspath(path), named):
            return PairError(
                "outside_folder",
                f"Links must not lead out of {printable(self.folder)}. Received: one to {printable(os.path.realpath(path))}",
                printable(path),
                "Copy the files there, or allow such links with --follow-links (follow_links=True in a script).",
            )
        return PairError(
            "outside_folder",
            f"The files of a data set must lie below {printable(self.folder)}. Received: one elsewhere",
            printable(path),
            "Copy it there.",
        )

    def check(self, path: pathlib.Path):
        """Refuses a path that must not be opened.

        Raises:
            PairError: it lies outside.
        """
        if error := self.find_error(path):
            raise error

    @contextlib.contextmanager
    def enforced(self):
        """Makes it the boundary of `walk_files`, `find_files`, `find_file_error` and `check_file`."""
        token = _enforced.set(self)
        try:
            yield
        finally:
            _enforced.reset(token)

    def relative(self, path: pathlib.Path) -> pathlib.Path:
        """The path below the folder of a path that the boundary contains."""
        named, real = self._places
        absolute = os.path.abspath(path)
        if _is_below(absolute, named):
            return pathlib.Path(os.path.relpath(absolute, named))
        return pathlib.Path(os.path.relpath(os.path.realpath(path), real))


_enforced: contextvars.ContextVar[Boundary | None] = contextvars.ContextVar("boundary", default=None)


def enforced_boundary() -> Boundary | None:
    """The boundary of the data set that is being read; None outside `Boundary.enforced`."""
    return _enforced.get()


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))


def boundary_of(root: pathlib.Path, data_root: str | os.PathLike | None = None, follow_links: bool = False) -> Boundary:
    """The boundary of a data set.

    Args:
        root: its folder, or a file that lists its pairs.
        data_root: folder outside which nothing is opened; None: `root`, or the folder of the file.
        follow_links: whether links inside may lead out of it.

    Raises:
        PairError: `data_root` is no folder, or does not hold the folder `root`.
    """
    given = None if root.is_dir() else root
    if data_root is None:
        return Boundary(root.parent if given else root, follow_links, given)
    boundary = Boundary(pathlib.Path(data_root), follow_links, given)
    if not boundary.folder.is_dir():
        raise PairError(
            "no_data_root",
            "`--data-root` must be a folder. Received: no such folder",
            printable(data_root),
            "Name the folder that holds the files of the data set.",
        )
    if root.is_dir() and not boundary.contains(root):
        raise PairError(
            "no_data_root",
            f"`--data-root` must hold the data. Received: data in {printable(root)}",
            printable(data_root),
            "Name a folder above the data, or leave it out.",
        )
    return boundary


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

    Raises:
        PairError: the folder lies outside the boundary.
    """
    found = FolderFiles()
    other_formats = {}
    for path in walk_files(folder):
        key, suffix, error = file_key(path, folder), path.suffix.lower(), find_file_error(path)
        if error is None and suffix not in suffixes:
            if suffix in OTHER_IMAGE_SUFFIXES or suffix in IMAGE_SUFFIXES:
                other_formats.setdefault(key, (path, find_suffix_error(path, suffixes, "A file of this folder")))
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


def keep_lossy_masks(found: FolderFiles) -> FolderFiles:
    """The files with JPEG masks among the readable ones: the table of classes decides whether they are."""
    lossy = {key: path for key, (path, error) in found.faults.items() if error.name == "lossy_mask"}
    faults = {key: fault for key, fault in found.faults.items() if key not in lossy}
    return dataclasses.replace(found, files=found.files | lossy, faults=faults)


def walk_files(folder: pathlib.Path):
    """Yields every file below `folder` in order of path, following links within the boundary.

    A folder that is not entered is yielded like a file: a link to a folder above itself or out of the boundary, and a folder that
    cannot be read.

    Args:
        folder: an existing folder.

    Raises:
        PairError: the folder lies outside the boundary.
    """
    check_inside(folder)
    boundary = enforced_boundary()
    pending = [(folder, (os.path.realpath(folder),))]
    while pending:
        path, above = pending.pop()
        if path != folder and not os.path.isdir(path):
            yield path
            continue
        if path != folder:
            real, parent = os.path.realpath(path), os.path.realpath(path.parent)
            loops = real in above or os.path.commonpath([real, parent]) == real
            leads_out = boundary and not boundary.contains(path)
            if loops or leads_out or not may_list(path):
                yield path
                continue
            above = (*above, real)
        names = sorted((name for name in os.listdir(path) if not name.startswith(".")), reverse=True)
        pending += [(path / name, above) for name in names]


def file_key(path: pathlib.Path, folder: pathlib.Path) -> str:
    """The path below `folder` without its suffix; NFC, since a Mac writes `\u00e9` as two characters."""
    key = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
    return os.fsencode(key).decode("utf-8", "backslashreplace")  # a name that is not UTF-8 becomes a fault


def may_list(folder: pathlib.Path) -> bool:
    """Whether the permissions of a folder allow to see what is in it; `walk_files` finds a closed one, and says so."""
    return os.access(folder, os.R_OK | os.X_OK)


def check_inside(path: pathlib.Path):
    """Refuses a path outside the boundary of the data set that is being read.

    Raises:
        PairError: it lies outside.
    """
    if boundary := enforced_boundary():
        boundary.check(path)


def check_file(path: pathlib.Path):
    """Refuses what must not or cannot be opened as a file.

    Raises:
        PairError: with the reason.
    """
    if error := find_file_error(path):
        raise error


def find_file_error(path: pathlib.Path) -> PairError | None:
    """The reason why a path must not or cannot be opened as a file, or None."""
    if (boundary := enforced_boundary()) and (error := boundary.find_error(path)):
        return error
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
    if stat.S_ISDIR(mode) and not may_list(path):
        return PairError(
            "unreadable_folder",
            "Folders of a data set must be readable. Received: Permission denied",
            printable(path),
            "Give yourself access to it, or ask its owner.",
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


def find_suffix_error(path: pathlib.Path, suffixes: tuple[str, ...], what: str) -> PairError | None:
    """The reason why a file is not of one of the formats that are read, judged by its suffix, or None.

    Args:
        path: of the file.
        suffixes: those that are read, in lower case.
        what: subject of the message, such as "The mask of a pair".
    """
    suffix = path.suffix.lower()
    if suffix in suffixes:
        return None
    if suffix in JPEG_SUFFIXES and not JPEG_SUFFIXES & set(suffixes):
        return PairError(
            "lossy_mask",
            "A mask must be PNG. Received: JPEG, which changes values at every edge",
            printable(path),
            LOSSY_CURE,
        )
    return PairError(
        "unsupported_format",
        f"{what} must end in {', '.join(suffixes)}. Received: {path.suffix or 'no suffix'}",
        printable(path),
        _conversion(suffix),
    )


def _conversion(suffix) -> str:
    if suffix in JPEG_SUFFIXES:
        return "Rename it to .jpg."
    if suffix in OTHER_IMAGE_SUFFIXES:
        return "Convert it to PNG."
    return "Name an image, or convert it to PNG if it is one."


def _same_stem_error(first, second) -> PairError:
    return PairError(
        "two_of_one_stem",
        "File names must differ without their suffix, since masks are found by it. Received: two of one stem",
        f"{printable(first)}, {printable(second)}",
        "Rename or remove one of them.",
    )
