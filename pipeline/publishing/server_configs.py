"""What TensorFlow Serving reads beside the models: which there are, monitoring, batching, and how it is started.

`models.config` names every model of the folder, at its place in the server's image, and is written anew at each push; the files
of `server_files/` are copied where there are none, for an object store those of `object_store_files/` in place of files of the
same name. What somebody edited stays. Standard library only.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable

from pipeline.engine import progress
from pipeline.engine.files import write_text
from pipeline.publishing.entries import list_versions

MODELS = "models.config"
MOUNTED = "/models"
"""Where the official image looks for models."""

FIRST_LINE = "# Written at each push; without this line it is left as it is."
FILES = pathlib.Path(__file__).parent / "server_files"
SYNCING = pathlib.Path(__file__).parent / "object_store_files"
PLACE = "s3://BUCKET/FOLDER"
"""In those files, where the URL belongs."""


def write_configs(target: pathlib.Path, *, url: str | None = None, others: Iterable[str] = ()):
    """Writes the files of TensorFlow Serving.

    Args:
        target: folder of pushed models: `NAME/VERSION`; the copy of one in an object store.
        url: of the folder in an object store.
        others: names of further models there, of which the copy has no version.
    """
    for name, text in server_files(url).items():
        if not (target / name).exists():
            write_text(target / name, text)
    names = None
    while names != (
        found := sorted({*list_models(target), *others})
    ):  # another run may have pushed a new model meanwhile
        names = found
        _write_models(target / MODELS, names)


def server_files(url: str | None = None) -> dict[str, str]:
    """The content of each file that is copied, by name.

    Args:
        url: of the folder of pushed models in an object store; None: it is on a disk.
    """
    files = {file.name: file.read_text(encoding="utf-8") for file in sorted(FILES.iterdir())}
    if not url:
        return files
    files = {name: text for name, text in files.items() if not name.endswith(".yaml")}
    if url.startswith("s3://"):
        files |= {file.name: file.read_text(encoding="utf-8").replace(PLACE, url) for file in sorted(SYNCING.iterdir())}
    return files


def list_models(target: pathlib.Path) -> list[str]:
    """Names of the folders that hold a version, in order."""
    return sorted(folder.name for folder in target.iterdir() if folder.is_dir() and list_versions(folder))


def _write_models(file: pathlib.Path, names: list[str]):
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else FIRST_LINE
    if text.startswith(FIRST_LINE):
        write_text(file, models_config(names))
    elif missing := [name for name in names if f'"{name}"' not in text]:
        progress.print_message(f"{file} was edited and is left as it is; it does not name {', '.join(missing)}")


def models_config(names: list[str]) -> str:
    """`models.config` of TensorFlow Serving, a `ModelServerConfig` in the text format of protocol buffers.

    Args:
        names: of the models.
    """
    models = "".join(
        f'  config {{\n    name: "{name}"\n    base_path: "{MOUNTED}/{name}"\n    model_platform: "tensorflow"\n  }}\n'
        for name in names
    )
    return f"{FIRST_LINE}\nmodel_config_list {{\n{models}}}\n"
