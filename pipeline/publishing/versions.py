"""The versions of a model in the folder it is served from: publish, prune, roll back, each by one rename.

TensorFlow Serving watches the folder of a model and loads the highest integer in it. So a version gets its number after its last
file is on disk, is removed by a rename to a name that is no integer, and never shares its number with another: `.last_version`
holds the highest one. Folders without a lineage, which somebody else put there, are left alone. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import pathlib
import re
import shutil
from collections.abc import Mapping
from types import MappingProxyType

from pipeline.engine import contents, progress
from pipeline.engine.files import write_json, write_text
from pipeline.publishing.entries import (
    HIGHEST,
    LINEAGE,
    ROLLED_BACK,
    differences,
    identify,
    is_model,
    list_entries,
    list_versions,
    model_damage,
    newest_other_version,
    read_fingerprint,
    read_lineage,
)
from pipeline.storage.copies import name_by_url

ANY_BASELINE = "any"
"""Of `publish`: the model need not have been compared with the newest other version."""

LAST_VERSION = ".last_version"
"""File that holds the highest number so far, and is locked while versions change."""


class BaselineChanged(ValueError):
    """The newest version is not the one that the model was compared with."""


def publish(
    saved_model: pathlib.Path,
    folder: pathlib.Path,
    lineage: dict,
    texts: Mapping[str, str] = MappingProxyType({}),
    *,
    baseline: str | None = ANY_BASELINE,
    check=None,
) -> int:
    """Publishes a copy of `saved_model` in `folder`, which may lie on another file system; returns its version.

    Nothing is copied where the newest version has the same fingerprint and files: a run that was killed after the push does not
    push twice. With other files it is damaged, or the model was trained again.

    Args:
        saved_model: folder to copy.
        folder: of the model, made when missing.
        lineage: content of `LINEAGE`; its "fingerprint" is that of the model.
        texts: further files about the model, by name.
        baseline: fingerprint by `identify` of the version that the model was compared with; None: there was none.
        check: called with the folder of the version, which already has its number; the version is removed if it raises.

    Raises:
        BaselineChanged: another version was published since the comparison, or the one compared with is gone.
        ValueError: there is no higher number, `.last_version` is damaged, or a file lies in the way.
    """
    _make_folder(folder)
    with _locked(folder) as last_version:
        newest = folder / str(max(list_versions(folder), default=0))
        if is_model(newest, lineage["fingerprint"], saved_model):
            if not differences(saved_model, newest):
                _repair_description(newest, lineage, texts)
                _check(check, newest)
                return int(newest.name)
            damage = model_damage(newest)
            why = f"is damaged ({contents.shorten(damage)})" if damage else "has other files than the model has now"
            progress.print_message(f"{name_by_url(str(newest), folder)} {why}: the model is pushed again.")
        _refuse_other_baseline(folder, lineage["fingerprint"], saved_model, baseline)
        version = next_number(folder)
        incoming = folder / ".incoming"  # no integer, so servers ignore it; a killed pusher leaves it
        _remove(incoming)
        try:
            _copy(saved_model, incoming, lineage, texts)
            place = _give_number(incoming, version, last_version)
        finally:
            _remove(incoming)  # on a full disk above all
        try:
            _check(check, place)
        except Exception:
            _remove(_hide(place))
            raise
        return int(place.name)


def _check(check, version: pathlib.Path):
    if check is not None:
        check(version)


def _refuse_other_baseline(folder: pathlib.Path, candidate: str, saved_model: pathlib.Path, baseline: str | None):
    """Refuses a candidate that was compared with another version than the newest, or with none although there is one."""
    if baseline == ANY_BASELINE:
        return
    newest = newest_other_version(folder, candidate, saved_model)
    if (newest and identify(newest).fingerprint) != baseline:
        raise BaselineChanged(
            "A model must be compared with the newest pushed version. Received: "
            f"{f'version {newest.name}' if newest else 'no version'} [{folder}], which is not what it was compared with. "
            "Another run pushed or rolled back meanwhile: run the evaluator again, with --from evaluator."
        )


def _copy(saved_model: pathlib.Path, incoming: pathlib.Path, lineage: dict, texts: Mapping[str, str]):
    """Copies the model, adds lineage, texts and manifest, and refuses a copy that differs."""
    shutil.copytree(saved_model, incoming)
    _describe(incoming, lineage, texts)
    _make_readable(incoming)
    _write_through(incoming)
    if faults := differences(saved_model, incoming):
        raise ValueError(
            f"A copy must equal its original. Received: {contents.shorten(faults)} [{incoming} of {saved_model}]. "
            "Check the disk, then give the same command again."
        )


def _repair_description(version: pathlib.Path, lineage: dict, texts: Mapping[str, str]):
    """Writes lineage, texts and manifest again where they are damaged, or older than manifests; the model itself is intact."""
    if contents.damage(version):
        _describe(version, lineage, texts)
        _make_readable(version)


def _describe(version: pathlib.Path, lineage: dict, texts: Mapping[str, str]):
    (version / LINEAGE).parent.mkdir(exist_ok=True)
    write_json(version / LINEAGE, lineage)
    for name, text in texts.items():
        write_text(version / name, text)
    contents.write_manifest(version)


def _give_number(incoming: pathlib.Path, version: int, last_version) -> pathlib.Path:
    """Renames the finished copy to the first number that is free; returns its place."""
    while True:
        _remember(last_version, version)  # before the rename: a number may be skipped, never used twice
        place = incoming.with_name(str(version))
        try:
            os.rename(incoming, place)
        except OSError as error:  # somebody without the lock was first
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            version = next_number(incoming.parent)
        else:
            _write_through(incoming.parent, below=False)
            return place


def prune(folder: pathlib.Path, keep: int) -> list[int]:
    """Removes all but the newest `keep` of the versions that `publish` made; returns the removed ones.

    A version is first renamed to something that is no integer, so a server never finds one with missing files; what it has open
    stays readable. Damaged versions do not count among those that are kept. What cannot be removed now, such as files that a
    server holds open on a network file system, is named, and removed after the next push.

    Raises:
        ValueError: `keep` is less than 1.
    """
    if keep < 1:
        raise ValueError(f"`keep` must be at least 1, since the newest version stays. Received: pusher.keep={keep}.")
    with _locked(folder):
        ours = [number for number in list_versions(folder) if read_fingerprint(folder / str(number))]
        intact = [number for number in ours if not model_damage(folder / str(number))]
        removed = [number for number in ours if len(intact) > keep and number < intact[-keep]]
        for left_over in folder.glob(".removed-*"):
            _try_to_remove(left_over)
        for number in removed:
            _try_to_remove(_hide(folder / str(number)))
    return removed


def _hide(version: pathlib.Path) -> pathlib.Path:
    """Renames a version to something that servers ignore; returns its new place."""
    hidden = version.with_name(f".removed-{version.name}")
    _remove(hidden)
    os.rename(version, hidden)
    return hidden


def _remove(path: pathlib.Path):
    """Removes a folder, a file or a link, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _try_to_remove(path: pathlib.Path):
    try:
        _remove(path)
    except OSError as error:
        progress.print_message(f"{path} cannot be removed now [{error.strerror}]: the next push tries again.")


def roll_back(folder: pathlib.Path) -> tuple[pathlib.Path, int]:
    """Moves the newest version away, which makes the one before it the newest.

    Args:
        folder: of the model.

    Returns:
        The new place of the version, and the number of the version that is now the newest: a damaged one is passed over.

    Raises:
        ValueError: there is no version to move, or none before it.
    """
    if not folder.is_dir():
        raise ValueError(_nothing_before(folder))
    with _locked(folder) as last_version:
        newest = max((entry.number for entry in list_entries(folder) if _can_be_moved(entry)), default=-1)
        earlier = [
            number for number in list_versions(folder) if number < newest and not model_damage(folder / str(number))
        ]
        if not earlier:
            raise ValueError(_nothing_before(folder))
        _remember(last_version, _highest(folder))
        place = _free_place(folder / f"{ROLLED_BACK}{newest}")
        os.rename(folder / str(newest), place)
        _write_through(folder, below=False)
    return place, earlier[-1]


def _free_place(place: pathlib.Path) -> pathlib.Path:
    """The place, or where something lies there one with a number behind it: nothing may stop a rollback."""
    places = itertools.chain([place], (place.with_name(f"{place.name}-{number}") for number in itertools.count(2)))
    return next(place for place in places if not os.path.lexists(place))


def _can_be_moved(entry) -> bool:
    """Whether an entry is a version, or was one of ours before its model was lost."""
    return not entry.fault or (entry.place.name == str(entry.number) and bool(read_lineage(entry.place)))


def _nothing_before(folder: pathlib.Path) -> str:
    return (
        "There must be an earlier version to roll back to. "
        f"Received: versions {list_versions(folder)} [{folder}]. "
        "Name the model with --name and its place with --push-to, or push a better one."
    )


def _make_folder(folder: pathlib.Path):
    """Makes a folder and those above it, readable by a server that runs as another user; what exists keeps its mode."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise ValueError(
                f"The folder of a model must be a folder. Received: {folder}, which is not one. Remove it, or choose another "
                "place with --push-to."
            ) from None
    else:
        folder.chmod(folder.stat().st_mode | 0o755)


@contextlib.contextmanager
def _locked(folder: pathlib.Path):
    """Locks the folder; yields its file `.last_version`, open for reading and writing."""
    place = folder / LAST_VERSION
    _read_last(folder)  # raises a message where it cannot be opened
    made = not place.exists()
    with open(os.open(place, os.O_RDWR | os.O_CREAT, 0o644), "r+") as file:
        if made:
            os.fchmod(file.fileno(), 0o644)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def next_number(folder: pathlib.Path) -> int:
    """Returns the number of the next version: above every entry that a server may take for one, and every number ever used.

    Raises:
        ValueError: there is none that a server could read, or `.last_version` is damaged.
    """
    number = _highest(folder) + 1
    if number > HIGHEST:
        raise ValueError(
            f"The next version must have a number that servers can read, at most {HIGHEST}. Received: {HIGHEST} is taken "
            f"[{folder}]. Remove the entry of that number, and write the highest of the others into {folder / LAST_VERSION}."
        )
    return number


def _highest(folder: pathlib.Path) -> int:
    """The highest number ever used, as far as files show; 0 before the first."""
    moved = (place.name.removeprefix(ROLLED_BACK) for place in folder.glob(f"{ROLLED_BACK}*"))
    numbers = [int(name.partition("-")[0]) for name in moved if re.fullmatch("[0-9]+(-[0-9]+)?", name)]
    return max(0, _read_last(folder), *numbers, *(entry.number for entry in list_entries(folder) if entry.counts))


def _read_last(folder: pathlib.Path) -> int:
    """The number in `.last_version`; 0 where there is none yet."""
    place = folder / LAST_VERSION
    try:
        special = place.exists() and not (place.is_file() or place.is_dir())  # a pipe would be waited for
        text = b"it is a pipe, socket or device" if special else place.read_bytes().strip()
    except FileNotFoundError:
        return 0
    except OSError as error:  # a folder, or no permission
        text = f"it cannot be read: {error.strerror}".encode()
    if not re.fullmatch(rb"[0-9]{0,19}", text) or int(text or b"0") > HIGHEST:
        raise ValueError(
            f"{LAST_VERSION} must hold the highest number of a version so far. Received: {text[:80].decode(errors='replace')!r} "
            f"[{place}]. Write that number into it; or remove it, then the next number follows from the versions that are there."
        )
    return int(text or b"0")


def _remember(last_version, version: int):
    last_version.seek(0)
    last_version.write(str(version))
    last_version.truncate()
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
        ValueError: there is none, kseg did not export it, or its files are not those that were pushed.
    """
    folder = pathlib.Path(place)
    pushed = list_versions(folder)
    found = folder / str(pushed[-1]) if pushed else folder
    if not (found / "saved_model.pb").is_file():
        received = "which is a file" if found.is_file() else "where there is no saved_model.pb"
        raise ValueError(
            f"`--model` must be a pushed model. Received: --model {place}, {received}. {_cure_no_model(found)}"
        )
    if not (found / "assets" / "labels.json").is_file():
        raise ValueError(
            "`--model` must hold the names of its classes. "
            f"Received: {found} without assets/labels.json. Export it with kseg.export."
        )
    if damage := model_damage(found):
        raise ValueError(
            f"`--model` must be as it was pushed. Received: {found} [{contents.shorten(damage)}]. The run that pushed it pushes "
            "it again; or name another version."
        )
    return found


def _cure_no_model(place: pathlib.Path) -> str:
    """What to name instead of a place that is no model: the folder of a file, or a model inside the folder."""
    if place.is_file() and (place.parent / "saved_model.pb").is_file():
        return f"Name its folder, {place.parent}."
    inside = sorted(
        folder for folder in place.glob("*") if list_versions(folder) or (folder / "saved_model.pb").is_file()
    )
    if inside:
        return f"Name one of the models in it, such as {inside[0]}."
    return "`python -m pipeline.run` pushes one to savedmodels/NAME."
