"""Which pictures a command is to label, and where the answer to each lies.

Patterns, folders and files may be mixed. The answers keep the folders that the pictures had below what the patterns have in
common, so that two pictures of one name do not meet. Refused: nothing found, two pictures with one place for their answer, and
pictures that lie among the answers. Standard library only.
"""

from __future__ import annotations

import dataclasses
import glob
import os
import pathlib

SUFFIXES = (".jpg", ".jpeg", ".png")
"""What is taken from a folder; whatever a pattern or a path names is taken."""


@dataclasses.dataclass(frozen=True)
class PictureFile:
    """A picture on disk.

    Attributes:
        source: its path.
        key: its path below the common folder, without the suffix; the answers have it too.
    """

    source: pathlib.Path
    key: pathlib.PurePath


def picture_files(inputs: list[str], output: pathlib.Path) -> list[PictureFile]:
    """The pictures that patterns, folders and paths name, in the order of their keys.

    Args:
        inputs: each a pattern such as "photos/**/*.jpg", a folder, of which every JPEG and PNG is taken, or a file.
        output: folder of the answers.

    Raises:
        ValueError: an input matches no file, two files have one key, or a file lies in `output`.
    """
    found, bases = {}, []
    for text in inputs:
        base, files = _matched(text)
        if not files:
            raise ValueError(
                f"`--input` must match at least one picture. Received: --input {text} [in {pathlib.Path.cwd()}]. "
                "Check the path; quote a pattern, so that `**` reaches kseg and not the shell."
            )
        bases.append(base)
        found |= dict.fromkeys(files)
    common = pathlib.Path(os.path.commonpath([base.absolute() for base in bases]))
    pictures = [PictureFile(file, file.absolute().relative_to(common).with_suffix("")) for file in found]
    _check(pictures, output)
    return sorted(pictures, key=lambda picture: picture.key)


def _matched(text: str) -> tuple[pathlib.Path, list[pathlib.Path]]:
    """The folder in which a pattern begins to vary, and the files that it matches."""
    path = pathlib.Path(text)
    if path.is_file():
        return path.parent, [path]
    if path.is_dir():
        files = (pathlib.Path(folder, name) for folder, _, names in os.walk(path) for name in names)
        return path, [file for file in files if file.suffix.lower() in SUFFIXES]
    fixed = [
        part for part in path.parts[: next(i for i, part in enumerate((*path.parts, "*")) if glob.has_magic(part))]
    ]
    files = [pathlib.Path(name) for name in glob.glob(text, recursive=True)]
    return pathlib.Path(*fixed), [file for file in files if file.is_file()]


def _check(pictures, output):
    seen = {}
    for picture in pictures:
        other = seen.setdefault(picture.key, picture.source)
        if other != picture.source:
            raise ValueError(
                "Two pictures must not lead to one answer. "
                f"Received: {other} and {picture.source}, both for {picture.key}. Label them into two folders."
            )
    inside = [picture.source for picture in pictures if output.absolute() in picture.source.absolute().parents]
    if inside:
        raise ValueError(
            "`--output` must not hold the pictures, or answers would be labelled in turn. "
            f"Received: --output {output}, which holds {inside[0]}. Choose a folder beside them."
        )
