"""The versions of a model at the place where it is served: publish, prune, roll back, each by one rename.

TensorFlow Serving watches a model's folder and loads the highest integer that it finds. So a version gets its number after its
last file lies on the disk, leaves by a rename to a name that is no integer, and its number is never given again:
`.last_version` remembers the highest one, whatever was removed. What another hand put there, without a lineage, is left alone.
Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pathlib
import shutil

from pipeline.engine.files import read_json, write_json

LINEAGE = pathlib.PurePath("assets.extra", "lineage.json")
"""Where a pushed version says what it is; TensorFlow Serving leaves `assets.extra/` alone."""

ROLLED_BACK = "rolled_back-"
"""In front of the number of a version that was moved out."""


def numbers(folder: pathlib.Path) -> list[int]:
    """Versions below a model's folder, in order; none where there is no folder."""
    entries = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(entry.name) for entry in entries if entry.name.isdecimal())


def fingerprint(version: pathlib.Path) -> str | None:
    """Of the model that lies at a version's folder; None where there is no such folder, or another hand put it there."""
    lineage = read_json(version / LINEAGE, None)
    return lineage and lineage["fingerprint"]


def newest_other(folder: pathlib.Path, candidate: str) -> pathlib.Path | None:
    """The newest version that is another model than the one with the fingerprint `candidate`; None where there is none."""
    places = (folder / str(number) for number in reversed(numbers(folder)))
    return next((place for place in places if fingerprint(place) != candidate), None)


def rolled_back(folder: pathlib.Path, candidate: str) -> pathlib.Path | None:
    """Where the model with the fingerprint `candidate` lies that was rolled back; None where it was not."""
    return next((place for place in sorted(folder.glob(f"{ROLLED_BACK}*")) if fingerprint(place) == candidate), None)


def publish(saved_model: pathlib.Path, folder: pathlib.Path, lineage: dict) -> int:
    """Publishes a copy of `saved_model` below `folder`, which may lie on another file system; returns its version.

    Where the newest version is this very model, by its fingerprint, nothing is copied: who was killed between a push and the
    note of it does not push twice.

    Args:
        saved_model: folder to copy.
        folder: of the model, made when missing.
        lineage: what `LINEAGE` will say; its "fingerprint" is the model's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder) as last_version:
        newest = max(numbers(folder), default=0)
        if newest and fingerprint(folder / str(newest)) == lineage["fingerprint"]:
            return newest
        incoming = folder / ".incoming"  # no integer, so no server looks inside; left over where a pusher was killed
        shutil.rmtree(incoming, ignore_errors=True)
        shutil.copytree(saved_model, incoming)
        (incoming / LINEAGE).parent.mkdir(exist_ok=True)
        write_json(incoming / LINEAGE, lineage)
        _make_readable(incoming)
        _write_through(incoming)
        version = _highest(folder, last_version)
        while True:
            version += 1
            _remember(last_version, version)  # before the rename: a number may be lost, never given twice
            try:
                os.rename(incoming, folder / str(version))
            except OSError as error:  # somebody who takes no lock was first
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    raise
            else:
                _write_through(folder, below=False)
                return version


def prune(folder: pathlib.Path, keep: int) -> list[int]:
    """Removes the oldest versions but `keep`, those alone that `publish` put there, and never the newest; returns them.

    A version first gets a name that is no integer, so a server never finds one with files missing.

    Raises:
        ValueError: `keep` is less than 1.
    """
    if keep < 1:
        raise ValueError(f"`keep` must be at least 1: the newest version stays. Received: pusher.keep={keep}.")
    with _locked(folder):
        for left_over in folder.glob(".removed-*"):
            shutil.rmtree(left_over)
        ours = [number for number in numbers(folder) if fingerprint(folder / str(number))]
        for number in ours[:-keep]:
            removed = folder / f".removed-{number}"
            os.rename(folder / str(number), removed)
            shutil.rmtree(removed)
    return ours[:-keep]


def roll_back(folder: pathlib.Path) -> tuple[pathlib.Path, int]:
    """Moves the newest version out, so that the one before it is the newest.

    Args:
        folder: of the model.

    Returns:
        Where the version lies now, and the number of the version that is the newest now.

    Raises:
        ValueError: there are not two versions.
    """
    if len(numbers(folder)) < 2:
        raise ValueError(_nothing_before(folder))
    with _locked(folder) as last_version:
        *earlier, newest = numbers(folder)
        if not earlier:  # another rollback was first
            raise ValueError(_nothing_before(folder))
        _remember(last_version, _highest(folder, last_version))
        place = folder / f"{ROLLED_BACK}{newest}"
        os.rename(folder / str(newest), place)
        _write_through(folder, below=False)
    return place, earlier[-1]


def _nothing_before(folder: pathlib.Path) -> str:
    return (
        f"There must be an earlier version to go back to. Received: versions {numbers(folder)} [{folder}]. Name the model with "
        "--name and its place with --push-to, or push a better one."
    )


@contextlib.contextmanager
def _locked(folder: pathlib.Path):
    """The file `.last_version`, open for reading and writing, while nobody else holds it."""
    with open(os.open(folder / ".last_version", os.O_RDWR | os.O_CREAT, 0o644), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _highest(folder: pathlib.Path, last_version) -> int:
    """The highest number that was ever given, as far as anything still tells of it."""
    last_version.seek(0)
    moved = (place.name.removeprefix(ROLLED_BACK) for place in folder.glob(f"{ROLLED_BACK}*"))
    return max([int(last_version.read() or 0), *numbers(folder), *(int(name) for name in moved if name.isdecimal())])


def _remember(last_version, version: int):
    last_version.seek(0)
    last_version.write(str(version))
    last_version.flush()
    os.fsync(last_version.fileno())


def _make_readable(folder: pathlib.Path):
    """Modes 0755 and 0644: a server runs as another user, and scratch folders are often private."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _write_through(folder: pathlib.Path, below: bool = True):
    """Waits until the folder, and what lies below it, is on the disk: a rename must not survive what it names."""
    for path in (*(folder.rglob("*") if below else ()), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def saved_model_folder(place: str) -> pathlib.Path:
    """The folder of a SavedModel: the newest version at a pushed model's place, or the place itself.

    Raises:
        ValueError: there is none, or it is not one of kseg's.
    """
    folder = pathlib.Path(place)
    pushed = numbers(folder)
    found = folder / str(pushed[-1]) if pushed else folder
    if not (found / "saved_model.pb").is_file():
        raise ValueError(
            f"`--model` must be a pushed model. Received: --model {place}, where there is no saved_model.pb. "
            "`python -m pipeline.run` pushes one to savedmodels/NAME."
        )
    if not (found / "assets" / "labels.json").is_file():
        raise ValueError(
            "`--model` must know the names of its classes. "
            f"Received: {found} without assets/labels.json. Export it with kseg.export."
        )
    return found
