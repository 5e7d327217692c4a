"""What stands for a source in a recipe: of files, their names and the bytes of all that the source may open.

Two rules cover every layout. A folder is read with all that lies below it, links within its boundary followed, hidden files
aside. Of a file, such as a table, each pair in any reading names its files, and the classes may lie beside it; so do hidden files
of a folder, and files elsewhere below a data root, which only a list or pattern in the folder can name. What must not or cannot
be opened counts by its name, so the run goes on and quarantines it. No Beam, since every run looks at the files.
"""

from __future__ import annotations

import os
import pathlib
import typing
from collections.abc import Iterator

from kseg.pairs.folder_files import Boundary, boundary_of
from pipeline.engine.file_digests import FileDigests
from pipeline.engine.fingerprints import Artifact
from pipeline.settings.example_gen import ExampleGen


class SourceFiles(typing.NamedTuple):
    """The files that enter the examples: images, masks, tables of pairs and of classes; some more than once.

    Attributes:
        opened: those that the source may open, whose bytes count.
        closed: those whose names alone count.
    """

    opened: list[os.PathLike | str]
    closed: list[os.PathLike | str]


def source_artifact(data: str, config: ExampleGen, digests: FileDigests) -> Artifact:
    """The data as an input, known by its files.

    Args:
        data: a folder or file of pairs, or "tfds:<name>[:<configuration>]".
        config: layout, and which files may be opened.
        digests: of files, remembered between runs.

    Raises:
        FileNotFoundError: there is nothing at `data`.
        ValueError: TFDS has not prepared the data set, or the boundary is wrong.
    """
    path, boundary = _place(data, config)
    if not path.exists():
        raise FileNotFoundError(f"The data must exist. Received: {path}. Check the path that was given.")
    if not (path.is_file() or path.is_dir()):
        raise ValueError(
            f"The data must be a folder or a file. Received: a pipe, socket or device [{path}]. Check the path."
        )

    def fingerprint():
        return digests.combined(*source_files(path, boundary, config), path)

    return Artifact(data, fingerprint(), rehash=fingerprint)


def _place(data: str, config: ExampleGen) -> tuple[pathlib.Path, Boundary]:
    """The folder or file that the data lie at, and where files of theirs may lie."""
    if not data.startswith("tfds:"):
        return pathlib.Path(data), boundary_of(pathlib.Path(data), config.data_root, config.follow_links)
    from pipeline.examples.sources.tfds_builder import tfds_builder

    path = pathlib.Path(tfds_builder(data.removeprefix("tfds:")).data_dir)
    return path, Boundary(path, follow_links=True)


def source_files(place: pathlib.Path, boundary: Boundary, config: ExampleGen) -> SourceFiles:
    """Finds the files that enter the examples.

    Of a source that cannot be used as a whole, these are the files that lie there; example_gen says what is wrong with it.

    Args:
        place: folder or file.
        boundary: outside which no file is opened.
        config: layout, or patterns of images and masks.
    """
    if place.is_dir():
        walked = list(_walk(os.fspath(place), (), boundary))
        found = [(file, may_open) for file, may_open in walked if may_open is not None]
        if len(found) < len(walked) or os.path.realpath(boundary.folder) != os.path.realpath(place):
            unseen = dict.fromkeys(file for file in _listed(place, boundary, config) if _is_unseen(file, place))
            found += [(file, boundary.contains(file)) for file in unseen]
    else:
        listed = dict.fromkeys([place, *_tables_beside(place), *_listed(place, boundary, config)])
        found = [(file, file == place or boundary.contains(file)) for file in listed]
    return SourceFiles(
        [file for file, may_open in found if may_open], [file for file, may_open in found if not may_open]
    )


def _tables_beside(file: pathlib.Path) -> list[pathlib.Path]:
    """Where tables of classes may lie beside a file of pairs."""
    from kseg.pairs.layouts.class_files import possible_tables

    return [file.with_name("classes.csv"), *possible_tables(file.parent)]


def _listed(place, boundary, config) -> Iterator[pathlib.Path]:
    """The files of every pair of a source, in any reading, unusable pairs included."""
    from kseg.pairs.recognisers import find_readings

    try:
        readings = find_readings(place, config.layout, config.images, config.masks, boundary)
    except ValueError:
        return
    for listing in (reading.listing for reading in readings):
        for pair in listing.every_pair:
            yield from pair.files


def _is_unseen(file: pathlib.Path, folder: pathlib.Path) -> bool:
    """Whether a file is hidden in a folder or lies outside of it, so that `_walk` does not find it."""
    return any(part.startswith(".") for part in pathlib.PurePath(os.path.relpath(file, folder)).parts)


def _walk(folder: str, above: tuple[str, ...], boundary: Boundary) -> Iterator[tuple[str, bool | None]]:
    """The files that `walk_files` of `kseg.pairs.folder_files` finds, in no order, without a path object or a look at each.

    Yields:
        Path, and whether it may be opened; None for what is hidden, which is not entered.
    """
    real = os.path.realpath(folder)
    if above and (real in above or os.path.join(above[-1], "").startswith(os.path.join(real, ""))):
        yield folder, False  # a link to a folder above
        return
    try:
        entries = list(os.scandir(folder))
    except OSError:
        yield folder, False
        return
    for entry in entries:
        if entry.name.startswith("."):
            yield entry.path, None
        elif entry.is_symlink() and not boundary.contains(entry.path):
            yield entry.path, False
        elif entry.is_dir():
            yield from _walk(entry.path, (*above, real), boundary)
        else:
            yield entry.path, True
