"""What stands for a source in a recipe: of files, their names and the bytes of all that the source may open.

No file outside the boundary of the data is opened. A file that cannot be used counts by its fault, so the run goes on and
quarantines it. Standard library, until a table of pairs has to be read.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pathlib

from kseg.pairs.folder_files import boundary_of, find_file_error, walk_files
from pipeline.engine.fingerprints import Artifact, external
from pipeline.settings.example_gen import ExampleGen


def source_artifact(data: str, config: ExampleGen) -> Artifact:
    """The data as an input: generated streets by their name, all others by their content, TFDS data sets included.

    Args:
        data: a folder or CSV file of pairs, "tfds:<name>[:<configuration>]", or "streets".
        config: which files may be opened.

    Raises:
        FileNotFoundError: there is nothing at `data`.
        ValueError: TFDS has not prepared the data set, a table cannot be read, or the boundary is wrong.
    """
    if data == "streets":
        return Artifact(data, data)
    if data.startswith("tfds:"):
        from pipeline.examples.sources.tfds_builder import tfds_builder

        return Artifact(data, external(tfds_builder(data.removeprefix("tfds:")).data_dir).fingerprint)
    path = pathlib.Path(data)
    if not path.exists():
        raise FileNotFoundError(f"The data must exist. Received: {path}. Check the path that was given.")
    fingerprint = functools.partial(
        fingerprint_files, path, config.layout, data_root=config.data_root, follow_links=config.follow_links
    )
    return Artifact(path, fingerprint(), rehash=fingerprint)


def fingerprint_files(
    root: pathlib.Path, layout: str | None = None, *, data_root: str | None = None, follow_links: bool = False
) -> str:
    """The SHA-256 of a folder's files, or of a file, those of the pairs that it lists, and the classes beside it.

    Args:
        root: folder or file.
        layout: as of `kseg.pairs.image_folder.recognise_pairs`, likewise the others.
        data_root: folder outside which no file is opened.
        follow_links: whether links may lead out of it.

    Raises:
        PairError: the file cannot be read, or `data_root` is not around the data.
    """
    boundary = boundary_of(root, data_root, follow_links)
    digest = hashlib.sha256()
    with boundary.enforced():
        for file in walk_files(root) if root.is_dir() else _listed_files(root, boundary, layout):
            content = _content(file) if file != root else _file_digest(file)
            name = os.path.relpath(file, root if root.is_dir() else root.parent)
            digest.update(os.fsencode(f"{name}\0{content}\n"))
    return digest.hexdigest()


def _listed_files(root, boundary, layout) -> list[pathlib.Path]:
    """The file, the classes beside it, and the files of its pairs in every reading, each once."""
    from kseg.pairs.layouts.class_files import READERS
    from kseg.pairs.recognisers import find_readings

    readings = find_readings(root, layout, boundary=boundary)
    of_pairs = [file for reading in readings for pair in reading.listing.pairs for file in pair.files]
    tables = [root.parent / name for name in ("classes.csv", *READERS)]
    return list(dict.fromkeys([root, *(table for table in tables if table.is_file()), *of_pairs]))


def _content(file) -> str:
    if error := find_file_error(file):
        return error.name
    try:
        return _file_digest(file)
    except PermissionError:
        return "unreadable_file"


def _file_digest(file) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
