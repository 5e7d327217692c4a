"""python -m pipeline.gc: lists what no pushed model needs of the store; `--delete --delete` removes it.

A pushed model, rolled back or not, needs its artifact, everything that led to it, its scores and verdicts. Models are looked for
in `--push-to`, and wherever else runs of this store pushed to. Refused while a run is active, and where a file that says what is
needed cannot be read. Standard library only.
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
from pipeline.engine.contents import MANIFEST, damage
from pipeline.engine.files import read_json
from pipeline.engine.store import IN_USE, SCRATCH
from pipeline.engine.urls import check_url, is_url
from pipeline.publishing import remote
from pipeline.publishing.entries import LINEAGE
from pipeline.settings.config import Config
from pipeline.storage.copies import url_of

PROG = "python -m pipeline.gc"


def main(argv: list[str] | None = None, prog: str = PROG) -> int:
    """Lists or removes; returns the exit status: 0 done, 2 where a run is active or there is no store, 130 interrupted."""
    return run_command(
        functools.partial(_collect, prog=prog), argv, after_interrupt="The same command continues with what is left."
    )


def _collect(argv: list[str], prog: str) -> int:
    arguments, _ = build_parser(prog).parse(argv)
    root = pathlib.Path(arguments.root)
    delete = arguments.delete >= 2
    if is_url(arguments.push_to):
        arguments.push_to = check_url(arguments.push_to, "--push-to")
    push_to = remote.local_folder(arguments.push_to, root)
    if push_to.exists() and not push_to.is_dir():
        raise ValueError(
            f"--push-to must be a folder of pushed models. Received: --push-to {push_to}, which is not a folder."
        )
    with exclusive(root):
        remote.refresh(arguments.push_to, root, None)
        folders = model_folders(root, push_to)
        sizes = {path: _size(path) for path in unneeded(root, folders)}
        for path, size in sizes.items():
            print(f"{size / 1e6:10.1f} MB  {path}")
            if delete:
                shutil.rmtree(path)
    places = ", ".join(
        dict.fromkeys(url_of(place) or str(place) for place in (push_to, *(one.parent for one in folders)))
    )
    found = f"{len(sizes)} folders, {sum(sizes.values()) / 1e6:.1f} MB, that no model in {places} needs"
    print(f"Removed {found}." if delete else f"Found {found}. --delete --delete removes them.")
    return 0


def build_parser(prog: str = PROG) -> Parser:
    """The parser of this command."""
    parser = Parser(
        prog, "Lists what no pushed model needs of the intermediate results, or removes it.", urls=("push_to",)
    )
    places = parser.add_argument_group("places")
    add_option(places, "--root", "folder of intermediate results", default=Config.root, metavar="FOLDER")
    add_option(
        places,
        "--push-to",
        "folder of pushed models, besides those that runs pushed to",
        default=Config.push_to,
        metavar="FOLDER",
    )
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


def model_folders(root: pathlib.Path, push_to: pathlib.Path) -> list[pathlib.Path]:
    """The folders of models that exist, each once: those in `push_to`, and those that runs of the store pushed to.

    Args:
        root: of the store.
        push_to: folder of pushed models: `NAME/VERSION`.

    Raises:
        ValueError: a record of the pusher cannot be read.
    """
    found, targets = [path for path in push_to.glob("*") if path.is_dir()], {}
    for file in sorted(root.glob("pusher/*/pushed.json")):
        record = _read(file, f"Remove {file.parent}: the same run makes it again.", "name", "target")
        target = str(record["target"])
        if target not in targets:
            targets[target] = remote.refresh(target, root, None)
        found.append(targets[target] / record["name"])
    return list({path.resolve(): path for path in found if path.is_dir()}.values())


def unneeded(root: pathlib.Path, folders: list[pathlib.Path]) -> list[pathlib.Path]:
    """Folders of finished artifacts that no pushed model needs, and leftovers of killed runs.

    Args:
        root: of the store.
        folders: of models, with their versions.

    Raises:
        ValueError: a lineage or a recipe cannot be read, so what is needed is unknown.
    """
    finished = [path.parent for path in root.glob(f"[!.]*/*/{RECIPE}")]
    recipes = {
        path: _read(path / RECIPE, f"Remove {path}: the same run makes it again.", "component", "inputs")
        for path in finished
    }
    needed = _needed(root, folders)
    left = [path for path in (root / SCRATCH).glob("*/*") if path.is_dir()]
    return sorted(
        path for path, recipe in recipes.items() if path not in needed and not _records_push(path, recipe, needed)
    ) + sorted(left)


def _needed(root, folders) -> set[pathlib.Path]:
    """Folders of the pushed models, of their scores and verdicts, and of everything that led to them."""
    cure = "Bring it back from a backup, or remove that version: nothing else tells what its model needs."
    for manifest in (file for folder in folders for file in sorted(folder.glob(f"[!.]*/{MANIFEST}"))):
        version = manifest.parent
        if not (version / LINEAGE).exists() and any(
            phrase.startswith(f"{LINEAGE}: ") for phrase in damage(version, digests=False)
        ):
            raise ValueError(
                f"What says which results are needed must be readable. Received: {version / LINEAGE} [it is gone]. {cure}"
            )
    files = [file for folder in folders for file in sorted(folder.glob(f"[!.]*/{LINEAGE}"))]
    pushed = [lineage for file in files if (lineage := _read(file, cure, "fingerprint"))]
    named = [name for lineage in pushed for name in (lineage["fingerprint"], *lineage.get("verdicts", ()))]
    return {folder for folder, _ in walk(*(place for name in named for place in find_artifacts(root, str(name))))}


def _read(file: pathlib.Path, cure: str, *keys: str) -> dict:
    """The table in a JSON file; empty where the file is gone meanwhile.

    Raises:
        ValueError: it cannot be read, or lacks one of the keys.
    """
    try:
        return read_json(file, {}, keys=keys)
    except (ValueError, OSError) as error:
        fault = getattr(error, "strerror", None) or f"it is cut off, no JSON, or without {' and '.join(keys)}"
        raise ValueError(
            f"What says which results are needed must be readable. Received: {file} [{fault}]. {cure}"
        ) from error


def _records_push(path, recipe, needed) -> bool:
    """Whether a folder is the pusher's record of a version that is still there; without it, the next run would push again."""
    return recipe["component"] == "pusher" and any(
        place in needed for place in find_artifacts(path.parents[1], recipe["inputs"].get("export", ""))
    )


def _size(path: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


if __name__ == "__main__":
    sys.exit(main())
