"""What lies in the folder of a model: its versions, and entries that a server would take for one although they hold no model.

TensorFlow Serving takes every entry whose name is a number for a version, a file or an empty folder too, and loads the highest. A
version here is a folder, or a link to one, that is named by a plain number of at most `HIGHEST` and holds a SavedModel, whoever
put it there. All other entries with a number for a name are faults: named, but neither compared with nor moved. Standard library
only.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re

from pipeline.engine import contents
from pipeline.engine.contents import MANIFEST
from pipeline.engine.files import read_json
from pipeline.engine.fingerprints import Artifact, external

LINEAGE = pathlib.PurePath("assets.extra", "lineage.json")
"""File in a pushed version that holds its lineage; TensorFlow Serving ignores `assets.extra/`."""

CARD = "model_card.md"
"""File in a pushed version that describes its model for people."""

ROLLED_BACK = "rolled_back-"
"""Prefix of the number of a version that was rolled back."""

HIGHEST = 2**63 - 1
"""The highest number that TensorFlow Serving can read."""

GRAPHS = ("saved_model.pb", "saved_model.pbtxt")
"""Files of which a SavedModel has one."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """An entry whose name is a number in some spelling: "7", "007", "+7", also in the digits of other scripts.

    Attributes:
        place: its path.
        number: what its name means.
        fault: why it is no version; empty where it is one.
    """

    place: pathlib.Path
    number: int
    fault: str

    @property
    def counts(self) -> bool:
        """Whether new versions must have a higher number; TensorFlow Serving cannot read one above `HIGHEST`."""
        return self.number <= HIGHEST


def list_entries(folder: pathlib.Path) -> list[Entry]:
    """Returns the entries with a number for a name, by number; none where there is no folder."""
    places = folder.iterdir() if folder.is_dir() else ()
    numbered = (place for place in places if re.fullmatch(r"\s*[+-]?\d+\s*", place.name))
    entries = (Entry(place, int(place.name), _fault(place)) for place in numbered)
    return sorted(entries, key=lambda entry: (entry.number, entry.place.name))


def _fault(place: pathlib.Path) -> str:
    """Why an entry with a number for a name is no version; empty where it is one."""
    number = int(place.name)
    if place.name != str(number) or number < 0:
        return f"its name is not written as a version's, such as {abs(number)}"
    if number > HIGHEST:
        return f"its number is above {HIGHEST}, the highest that servers read"
    try:
        if not place.exists():
            return "it is a link to nothing"
        if not place.is_dir():
            return "it is not a folder"
        if any((place / graph).is_file() and (place / graph).stat().st_size for graph in GRAPHS):
            return ""
        return f"it has no {GRAPHS[0]}, or an empty one" if any(place.iterdir()) else "it is empty"
    except OSError as error:  # no permission, a link to itself
        return f"it cannot be read: {error.strerror}"


def list_versions(folder: pathlib.Path) -> list[int]:
    """Returns the numbers of the versions in the folder of a model, in order; none where there is no folder."""
    return [entry.number for entry in list_entries(folder) if not entry.fault]


def describe_faults(folder: pathlib.Path) -> list[str]:
    """A message for each entry that a server may take for a version although it is none, or is damaged.

    Of the versions, those are checked that are newer than the first intact one, since a server chooses the newest.
    """
    faults = [(entry.number, entry.place, entry.fault) for entry in list_entries(folder) if entry.fault]
    for number in reversed(list_versions(folder)):
        damage = model_damage(folder / str(number))
        if not damage:
            break
        faults.append((number, folder / str(number), contents.shorten(damage)))
    return [
        f"A version must be a folder that holds a model as it was pushed. Received: {place} [{fault}]. It is not compared with, "
        "and new versions get a higher number, but a server may choose it: remove it, or move it elsewhere."
        for _, place, fault in sorted(faults)
    ]


def read_lineage(version: pathlib.Path) -> dict:
    """Returns the lineage in the folder of a version; empty where there is none, or a damaged one."""
    return read_table(version / LINEAGE)


def read_table(path: pathlib.Path) -> dict:
    """Returns the table in a JSON file; empty where there is no such file, it cannot be read, or it holds something else."""
    try:
        return read_json(path, {})
    except (ValueError, OSError):
        return {}


def read_fingerprint(version: pathlib.Path) -> str | None:
    """Returns the fingerprint of the model in the folder of a version; None where its lineage does not tell."""
    fingerprint = read_lineage(version).get("fingerprint")
    return fingerprint if isinstance(fingerprint, str) and fingerprint else None


def identify(version: pathlib.Path) -> Artifact:
    """Returns a version as an input, known by its fingerprint; by the bytes of its files where its description is damaged."""
    fingerprint = read_fingerprint(version)
    described = not (version / MANIFEST).is_file() or not contents.damage(version)
    return Artifact(version, fingerprint) if fingerprint and described else external(version)


def model_damage(version: pathlib.Path) -> list[str]:
    """Returns how the files of a version's model differ from those that were pushed, a phrase each.

    Empty where nothing differs, and where no manifest tells, as in versions that others put there. Lineage and card are no part
    of the model.
    """
    about_itself = (f"{MANIFEST}: ", f"{LINEAGE}: ", f"{CARD}: ")
    return [phrase for phrase in contents.damage(version) if not phrase.startswith(about_itself)]


def newest_other_version(
    folder: pathlib.Path, candidate: str, saved_model: pathlib.Path | None = None
) -> pathlib.Path | None:
    """Returns the newest version that is another model than the candidate and is not damaged, or None.

    Args:
        folder: of the model.
        candidate: its fingerprint.
        saved_model: its files. A version of the same fingerprint with other files counts as another model: one recipe may give
            other weights when it is computed again.
    """
    for number in reversed(list_versions(folder)):
        place = folder / str(number)
        same = read_fingerprint(place) == candidate and (saved_model is None or not differences(saved_model, place))
        if not same and not model_damage(place):
            return place
    return None


def find_rolled_back(
    folder: pathlib.Path, candidate: str, saved_model: pathlib.Path | None = None
) -> pathlib.Path | None:
    """Returns the folder of the rolled-back version that is the model `candidate`, or None.

    Args:
        folder: of the model.
        candidate: fingerprint.
        saved_model: its files, which tell where the lineage of a version is damaged.
    """
    places = sorted(folder.glob(f"{ROLLED_BACK}*"))
    return next((place for place in places if is_model(place, candidate, saved_model)), None)


def is_model(version: pathlib.Path, candidate: str, saved_model: pathlib.Path | None = None) -> bool:
    """Whether a version is a model, by its lineage; where that is damaged, by the files of `saved_model`."""
    fingerprint = read_fingerprint(version)
    if fingerprint or saved_model is None or not (version / LINEAGE).is_file():
        return fingerprint == candidate
    return not differences(saved_model, version)


def differences(original: pathlib.Path, copy: pathlib.Path) -> list[str]:
    """Returns the files of a folder that are missing or have other bytes in its copy, a phrase each."""
    found = []
    for path in sorted(path for path in original.rglob("*") if path.is_file()):
        name = path.relative_to(original)
        if not (copy / name).is_file():
            found.append(f"{name}: missing")
        elif contents.file_digest(copy / name) != contents.file_digest(path):
            found.append(f"{name}: other bytes")
    return found


def check_outside(output: pathlib.Path, models: list[pathlib.Path]):
    """Refuses to write results into a model, or among its versions, where every entry has a meaning.

    Args:
        output: folder to write below.
        models: folders of SavedModels.

    Raises:
        ValueError: `output` lies in one of them, or among the versions of one.
    """
    for model in models:
        folder = model.absolute()
        folder = folder.parent if folder.name in map(str, list_versions(folder.parent)) else folder
        if output.resolve().is_relative_to(folder.resolve()):
            raise ValueError(
                f"`--output` must lie outside the models. Received: --output {output}. Choose another folder."
            )
