"""What a result depends on: the recipe of a component, and the fingerprint that stands for it. Standard library only.

A recipe holds the component's name and settings, the fingerprints of its inputs, the code that it reaches (`code_digests`), and
the versions of the packages which that code imports. External data enter by the names and bytes of their files.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import sys
from collections.abc import Callable

from pipeline.engine import code_digests
from pipeline.engine.contents import file_digest


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A finished directory, or external data; `fingerprint` stands for its content."""

    path: pathlib.Path
    fingerprint: str
    rehash: Callable[[], str] | None = dataclasses.field(default=None, compare=False)
    """The fingerprint of external data as they are now, since others may change them while a component reads them."""


@dataclasses.dataclass(frozen=True)
class Untracked:
    """An input that does not change the result, such as a runner's options: passed to the component, never hashed."""

    value: object


def describe(component, config, choices, inputs) -> tuple[str, str]:
    """The recipe as text, and its fingerprint."""
    code, packages = code_digests.code(component.__module__, choices)
    recipe = {
        "component": component.__name__,
        "config": dataclasses.asdict(config),
        "inputs": {name: value.fingerprint for name, value in inputs.items() if isinstance(value, Artifact)},
        "code": code,
        "packages": packages,
        "python": ".".join(map(str, sys.version_info[:2])),
    }
    text = json.dumps(recipe, sort_keys=True, indent=1, allow_nan=False)
    return text, hashlib.sha256(text.encode()).hexdigest()


def external(path) -> Artifact:
    """External data as an artifact, whose fingerprint is its content: names and bytes of a file, or of all files in a folder.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: it is neither a file nor a folder.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"The data must exist. Received: {path}. Check the path that was given.")
    if not (path.is_file() or path.is_dir()):
        raise ValueError(f"Inputs must be files or folders. Received: {path} [a pipe, socket or device]. Name a file.")
    return Artifact(path, _hash_files(path), rehash=functools.partial(_hash_files, path))


def _hash_files(path: pathlib.Path) -> str:
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    digest = hashlib.sha256()
    for file in files:
        name = file.relative_to(path).as_posix() if file != path else ""
        digest.update(os.fsencode(f"{name}\0{file_digest(file)}\n"))
    return digest.hexdigest()
