"""python -m pipeline.gc: lists what no pushed model needs of the store; `--delete --delete` removes it.

A pushed model, rolled back or not, needs its artifact, everything that led to it, its scores and verdicts. Refused while a run is
active. Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import pathlib
import shutil
import sys

from pipeline.engine.ancestry import RECIPE, find_artifacts, walk
from pipeline.engine.arguments import Parser, add_option
from pipeline.engine.console import run_command
from pipeline.engine.files import read_json
from pipeline.engine.store import IN_USE, SCRATCH
from pipeline.publishing.versions import LINEAGE
from pipeline.settings.config import Config

PROG = "python -m pipeline.gc"


def main(argv: list[str] | None = None, prog: str = PROG) -> int:
    """Lists or removes; returns the exit status: 0 done, 2 where a run is active or there is no store, 130 interrupted."""
    return run_command(
        functools.partial(_collect, prog=prog), argv, after_interrupt="The same command continues with what is left."
    )


def _collect(argv: list[str], prog: str) -> int:
    arguments, _ = build_parser(prog).parse(argv)
    root, push_to = pathlib.Path(arguments.root), pathlib.Path(arguments.push_to)
    delete = arguments.delete >= 2
    with exclusive(root):
        sizes = {path: _size(path) for path in unneeded(root, push_to)}
        for path, size in sizes.items():
            print(f"{size / 1e6:10.1f} MB  {path}")
            if delete:
                shutil.rmtree(path)
    found = f"{len(sizes)} folders, {sum(sizes.values()) / 1e6:.1f} MB, that no model in {push_to} needs"
    print(f"Removed {found}." if delete else f"Found {found}. --delete --delete removes them.")
    return 0


def build_parser(prog: str = PROG) -> Parser:
    """The parser of this command."""
    parser = Parser(prog, "Lists what no pushed model needs of the intermediate results, or removes it.")
    places = parser.add_argument_group("places")
    add_option(places, "--root", "folder of intermediate results", default=Config.root, metavar="FOLDER")
    add_option(places, "--push-to", "folder of pushed models", default=Config.push_to, metavar="FOLDER")
    parser.add_argument("--delete", action="count", default=0, help="given twice: remove what is listed")
    return parser


@contextlib.contextmanager
def exclusive(root: pathlib.Path):
    """Prevents runs in the store.

    Raises:
        FileNotFoundError: there is no store at `root`.
        ValueError: a run is active in it.
    """
    if not (root / SCRATCH).is_dir():
        raise FileNotFoundError(f"--root must be the folder of a store. Received: {root}. Give the --root of the runs.")
    with open(root / SCRATCH / IN_USE, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"No run must be active. Received: one in {root}. Wait until it ends.") from error
        yield


def unneeded(root: pathlib.Path, push_to: pathlib.Path) -> list[pathlib.Path]:
    """Folders of finished artifacts that no pushed model needs, and leftovers of killed runs.

    Args:
        root: of the store.
        push_to: folder of pushed models: `NAME/VERSION`.
    """
    needed = _needed(root, push_to)
    finished = [path.parent for path in root.glob(f"[!.]*/*/{RECIPE}")]
    left = [path for path in (root / SCRATCH).glob("*/*") if path.is_dir()]
    return sorted(path for path in finished if path not in needed and not _records_push(path, needed)) + sorted(left)


def _needed(root, push_to) -> set[pathlib.Path]:
    """Folders of the pushed models, of their scores and verdicts, and of everything that led to them."""
    pushed = [read_json(file) for file in push_to.glob(f"*/*/{LINEAGE}")]
    named = [name for lineage in pushed for name in (lineage["fingerprint"], *lineage.get("verdicts", ()))]
    return {folder for folder, _ in walk(*(place for name in named for place in find_artifacts(root, name)))}


def _records_push(path, needed) -> bool:
    """Whether a folder is the pusher's record of a version that is still there; without it, the next run would push again."""
    recipe = read_json(path / RECIPE)
    return recipe["component"] == "pusher" and any(
        place in needed for place in find_artifacts(path.parents[1], recipe["inputs"]["model"])
    )


def _size(path: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


if __name__ == "__main__":
    sys.exit(main())
