"""The versions of a model in the folder it is served from: publish, prune, roll back, each by one rename.

TensorFlow Serving watches the folder of a model and loads the highest integer in it. So a version gets its number after its last
file is on disk, is removed by a rename to a name that is no integer, and never shares its number with another: `.last_version`
holds the highest one. Folders without a lineage, which somebody else put there, are left alone. Standard library only.
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
"""File in a pushed version that holds its lineage; TensorFlow Serving ignores `assets.extra/`."""

ROLLED_BACK = "rolled_back-"
"""Prefix of the number of a version that was rolled back."""


def list_versions(folder: pathlib.Path) -> list[int]:
    """Returns the versions in the folder of a model, in order; none where there is no folder."""
    entries = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(entry.name) for entry in entries if entry.name.isdecimal())


def read_fingerprint(version: pathlib.Path) -> str | None:
    """Returns the fingerprint of the model in the folder of a version; None where there is no folder or no lineage."""
    lineage = read_json(version / LINEAGE, None)
    return lineage and lineage["fingerprint"]


def newest_other_version(folder: pathlib.Path, candidate: str) -> pathlib.Path | None:
    """Returns the newest version whose fingerprint is not `candidate`, or None."""
    places = (folder / str(number) for number in reversed(list_versions(folder)))
    return next((place for place in places if read_fingerprint(place) != candidate), None)


def find_rolled_back(folder: pathlib.Path, candidate: str) -> pathlib.Path | None:
    """Returns the folder of the rolled-back version with the fingerprint `candidate`, or None."""
    return next(
        (place for place in sorted(folder.glob(f"{ROLLED_BACK}*")) if read_fingerprint(place) == candidate), None
    )


def publish(saved_model: pathlib.Path, folder: pathlib.Path, lineage: dict) -> int:
    """Publishes a copy of `saved_model` in `folder`, which may lie on another file system; returns its version.

    Nothing is copied where the newest version has the same fingerprint: a run that was killed after the push does not push twice.

    Args:
        saved_model: folder to copy.
        folder: of the model, made when missing.
        lineage: content of `LINEAGE`; its "fingerprint" is that of the model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder) as last_version:
        newest = max(list_versions(folder), default=0)
        if newest and read_fingerprint(folder / str(newest)) == lineage["fingerprint"]:
            return newest
        incoming = folder / ".incoming"  # no integer, so servers ignore it; a killed pusher leaves it
        shutil.rmtree(incoming, ignore_errors=True)
        shutil.copytree(saved_model, incoming)
        (incoming / LINEAGE).parent.mkdir(exist_ok=True)
        write_json(incoming / LINEAGE, lineage)
        _make_readable(incoming)
        _write_through(incoming)
        version = _highest(folder, last_version)
        while True:
            version += 1
            _remember(last_version, version)  # before the rename: a number may be skipped, never used twice
            try:
                os.rename(incoming, folder / str(version))
            except OSError as error:  # somebody without the lock was first
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    raise
            else:
                _write_through(folder, below=False)
                return version


def prune(folder: pathlib.Path, keep: int) -> list[int]:
    """Removes all but the newest `keep` of the versions that `publish` made; returns the removed ones.

    A version is first renamed to something that is no integer, so a server never finds one with missing files.

    Raises:
        ValueError: `keep` is less than 1.
    """
    if keep < 1:
        raise ValueError(f"`keep` must be at least 1, since the newest version stays. Received: pusher.keep={keep}.")
    with _locked(folder):
        for left_over in folder.glob(".removed-*"):
            shutil.rmtree(left_over)
        ours = [number for number in list_versions(folder) if read_fingerprint(folder / str(number))]
        for number in ours[:-keep]:
            removed = folder / f".removed-{number}"
            os.rename(folder / str(number), removed)
            shutil.rmtree(removed)
    return ours[:-keep]


def roll_back(folder: pathlib.Path) -> tuple[pathlib.Path, int]:
    """Moves the newest version away, which makes the one before it the newest.

    Args:
        folder: of the model.

    Returns:
        The new place of the version, and the number of the version that is now the newest.

    Raises:
        ValueError: there are fewer than two versions.
    """
    if len(list_versions(folder)) < 2:
        raise ValueError(_nothing_before(folder))
    with _locked(folder) as last_version:
        *earlier, newest = list_versions(folder)
        if not earlier:  # another rollback was first
            raise ValueError(_nothing_before(folder))
        _remember(last_version, _highest(folder, last_version))
        place = folder / f"{ROLLED_BACK}{newest}"
        os.rename(folder / str(newest), place)
        _write_through(folder, below=False)
    return place, earlier[-1]


def _nothing_before(folder: pathlib.Path) -> str:
    return (
        "There must be an earlier version to roll back to. "
        f"Received: versions {list_versions(folder)} [{folder}]. "
        "Name the model with --name and its place with --push-to, or push a better one."
    )


@contextlib.contextmanager
def _locked(folder: pathlib.Path):
    """Locks the folder; yields its file `.last_version`, open for reading and writing."""
    with open(os.open(folder / ".last_version", os.O_RDWR | os.O_CREAT, 0o644), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _highest(folder: pathlib.Path, last_version) -> int:
    """The highest number ever used, as far as files show."""
    last_version.seek(0)
    moved = (place.name.removeprefix(ROLLED_BACK) for place in folder.glob(f"{ROLLED_BACK}*"))
    return max(
        [int(last_version.read() or 0), *list_versions(folder), *(int(name) for name in moved if name.isdecimal())]
    )


def _remember(last_version, version: int):
    last_version.seek(0)
    last_version.write(str(version))
    last_version.flush()
    os.fsync(last_version.fileno())


def _make_readable(folder: pathlib.Path):
    """Sets modes 0755 and 0644: a server runs as another user, and scratch folders are often private."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _write_through(folder: pathlib.Path, below: bool = True):
    """Waits until the folder and everything in it is on disk: a rename must not outlive its contents."""
    for path in (*(folder.rglob("*") if below else ()), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def find_saved_model(place: str) -> pathlib.Path:
    """Returns the folder of a SavedModel: the newest version of a pushed model, or `place` itself.

    Raises:
        ValueError: there is none, or kseg did not export it.
    """
    folder = pathlib.Path(place)
    pushed = list_versions(folder)
    found = folder / str(pushed[-1]) if pushed else folder
    if not (found / "saved_model.pb").is_file():
        raise ValueError(
            f"`--model` must be a pushed model. Received: --model {place}, where there is no saved_model.pb. "
            "`python -m pipeline.run` pushes one to savedmodels/NAME."
        )
    if not (found / "assets" / "labels.json").is_file():
        raise ValueError(
            "`--model` must hold the names of its classes. "
            f"Received: {found} without assets/labels.json. Export it with kseg.export."
        )
    return found
