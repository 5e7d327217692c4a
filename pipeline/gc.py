"""python -m pipeline.gc: what lies in the store that no pushed model needs; asked twice, it is removed.

A pushed model needs its artifact and all that led to it, its scores and verdicts, whatever version it is and also where it was
rolled back. Refused: removing while a run is at work. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import pathlib
import shutil
import sys

from pipeline.engine.ancestry import RECIPE, find_artifacts, walk
from pipeline.engine.files import read_json
from pipeline.engine.store import IN_USE, SCRATCH
from pipeline.publishing.versions import LINEAGE
from pipeline.settings.config import Config


def main(argv: list[str] | None = None) -> int:
    """Lists or removes; returns the exit status, 2 where a run is at work or there is no store."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.gc", description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", type=pathlib.Path, default=Config.root, help="folder of intermediate results")
    parser.add_argument("--push-to", type=pathlib.Path, default=Config.push_to, help="folder of pushed models")
    parser.add_argument("--delete", action="count", default=0, help="given twice: remove what is listed")
    arguments = parser.parse_args(argv)
    root = pathlib.Path(arguments.root)
    try:
        with alone(root):
            listed = unneeded(root, pathlib.Path(arguments.push_to))
            sizes = {path: _size(path) for path in listed}
            for path, size in sizes.items():
                print(f"{size / 1e6:10.1f} MB  {path}")
            removed = arguments.delete >= 2
            if removed:
                for path in listed:
                    shutil.rmtree(path)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    what = f"{len(listed)} folders, {sum(sizes.values()) / 1e6:.1f} MB, that no model in {arguments.push_to} needs"
    print(f"Removed {what}." if removed else f"Found {what}. --delete --delete removes them.")
    return 0


@contextlib.contextmanager
def alone(root: pathlib.Path):
    """Keeps runs from beginning in the store.

    Raises:
        FileNotFoundError: there is no store at `root`.
        ValueError: a run is at work in it.
    """
    if not (root / SCRATCH).is_dir():
        raise FileNotFoundError(f"--root must be the folder of a store. Received: {root}. Give the --root of the runs.")
    with open(root / SCRATCH / IN_USE, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"No run must be at work. Received: one in {root}. Wait until it has ended.") from error
        yield


def unneeded(root: pathlib.Path, push_to: pathlib.Path) -> list[pathlib.Path]:
    """Folders of finished artifacts that no pushed model needs, and what killed runs left.

    Args:
        root: of the store.
        push_to: folder of pushed models: `NAME/VERSION`.
    """
    needed = _needed(root, push_to)
    finished = [path.parent for path in root.glob(f"[!.]*/*/{RECIPE}")]
    left = [path for path in (root / SCRATCH).glob("*/*") if path.is_dir()]
    return sorted(path for path in finished if path not in needed and not _note_of(path, needed)) + sorted(left)


def _needed(root, push_to) -> set[pathlib.Path]:
    """Folders of the models that were pushed, of their scores and verdicts, and of all that led to them."""
    pushed = [read_json(file) for file in push_to.glob(f"*/*/{LINEAGE}")]
    named = [name for lineage in pushed for name in (lineage["fingerprint"], *lineage.get("verdicts", ()))]
    return {folder for folder, _ in walk(*(place for name in named for place in find_artifacts(root, name)))}


def _note_of(path, needed) -> bool:
    """Whether it is the pusher's note of a push that still stands; without it the next run would look again."""
    recipe = read_json(path / RECIPE)
    return recipe["component"] == "pusher" and any(
        place in needed for place in find_artifacts(path.parents[1], recipe["inputs"]["model"])
    )


def _size(path: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


if __name__ == "__main__":
    sys.exit(main())
