"""pusher: a model that is blessed on both counts becomes the next version at the target, by one rename.

The only component that acts outside `out`. TensorFlow Serving watches `target/<name>` and loads the highest integer it finds,
so a version gets its number after its last file was written. Numbers are never given twice, even when the newest version was
removed. It refuses to push what evaluator or infra_validator did not bless, and then says why. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pathlib
import shutil

from pipeline.config import Pusher

LINEAGE = pathlib.PurePath("assets.extra", "lineage.json")
"""Where a pushed version says what it is; TensorFlow Serving leaves `assets.extra/` alone."""


def pusher(
    out: pathlib.Path,
    config: Pusher,
    *,
    model: pathlib.Path,
    evaluation: pathlib.Path,
    validation: pathlib.Path,
    name: str,
    target: pathlib.Path,
    fingerprint: str,
):
    """Copies `model/saved_model` to `target/<name>/<next version>` if both verdicts allow; writes `out/pushed.json`.

    Where the newest version there is this very model, it is recorded and nothing is copied: a run that was killed between
    the push and its own end does not push twice.

    Args:
        out: folder to write below.
        config: nothing to choose.
        model: artifact of the trainer.
        evaluation: artifact of the evaluator.
        validation: artifact of the infra_validator.
        name: of the model.
        target: folder of pushed models.
        fingerprint: of the model.
    """
    scores = json.loads((evaluation / "scores.json").read_text())
    infra = json.loads((validation / "infra.json").read_text())
    reasons = [
        f"{reason} See {path}."
        for verdict, path in ((scores, evaluation / "scores.json"), (infra, validation / "infra.json"))
        if not verdict["blessed"]
        for reason in verdict["reasons"] or ["The model is not blessed."]
    ]
    folder = pathlib.Path(target).resolve() / name
    result = {"name": name, "target": str(folder.parent), "fingerprint": fingerprint}
    if reasons:
        result |= {"version": None, "pushed": False, "reasons": reasons}
    else:
        lineage = {"fingerprint": fingerprint, "artifact": str(model), "recipe": _recipe(model), "scores": scores}
        result |= {"version": _push(model / "saved_model", folder, lineage), "pushed": True, "reasons": []}
    (out / "pushed.json").write_text(json.dumps(result, indent=1))


def still_pushed(out: pathlib.Path) -> bool:
    """Whether what `out/pushed.json` says is still so: its version lies at the target and is the same model.

    True where nothing was pushed, since then there is nothing to have gone.
    """
    record = json.loads((pathlib.Path(out) / "pushed.json").read_text())
    if not record["pushed"]:
        return True
    return _fingerprint(pathlib.Path(record["target"], record["name"], str(record["version"]))) == record["fingerprint"]


def _push(saved_model: pathlib.Path, folder: pathlib.Path, lineage: dict) -> int:
    """Publishes a copy of `saved_model` below `folder`; returns its version."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / ".last_version") as last_version:
        newest = max(_versions(folder), default=0)
        if newest and _fingerprint(folder / str(newest)) == lineage["fingerprint"]:
            return newest
        incoming = folder / ".incoming"  # no integer, so no server looks inside; left over where a pusher was killed
        shutil.rmtree(incoming, ignore_errors=True)
        shutil.copytree(saved_model, incoming)
        (incoming / LINEAGE).parent.mkdir(exist_ok=True)
        (incoming / LINEAGE).write_text(json.dumps(lineage, indent=1))
        _make_readable(incoming)
        version = max(newest, int(last_version.read() or 0))
        while True:
            version += 1
            last_version.seek(0)
            last_version.write(str(version))  # before the rename: a number may be lost, never given twice
            last_version.flush()
            try:
                os.rename(incoming, folder / str(version))
            except OSError as error:  # somebody who takes no lock was first
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    raise
            else:
                return version


@contextlib.contextmanager
def _locked(path: pathlib.Path):
    """The file at `path`, open for reading and writing, while no other pusher holds it."""
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _versions(folder: pathlib.Path) -> list[int]:
    return [int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal()]


def _fingerprint(version: pathlib.Path) -> str | None:
    """Of the model that lies at a version's folder; None where there is no such folder, or another hand put it there."""
    try:
        return json.loads((version / LINEAGE).read_text())["fingerprint"]
    except FileNotFoundError:
        return None


def _recipe(artifact: pathlib.Path) -> dict | None:
    """What made the artifact; None where it was made without a store."""
    path = artifact / "recipe.json"
    return json.loads(path.read_text()) if path.is_file() else None


def _make_readable(folder: pathlib.Path):
    """Modes 0755 and 0644: a server runs as another user, and scratch folders are often private."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
