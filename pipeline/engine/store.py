"""Where results lie: each component is computed once per recipe and published by one rename.

A recipe is everything that could change the result: the component, its settings, the fingerprints of its inputs, its code
together with every first-party module that it imports, and the versions of the packages that those import. An artifact is
the directory `root/<component>/<first 16 digits of the recipe's SHA-256>`; it is complete by construction, since it gets that
name only after the last file was written. `recipe.json` inside is the lineage: follow `inputs`. Standard library only.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import shutil
import sys

from pipeline.engine import explain, progress

FIRST_PARTY = ("kseg", "pipeline")
SCRATCH, IN_USE = ".scratch", "in_use"
"""Below `root`: where components work, and in it the file that every run holds, so that nothing is cleared away beneath it."""


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A finished directory, or external data; `fingerprint` stands for its content."""

    path: pathlib.Path
    fingerprint: str
    watched: bool = False  # data from outside, which others may change or remove while they are read


@dataclasses.dataclass(frozen=True)
class Untracked:
    """An input that leaves no trace in the result (a place, a runner's options): handed over, never hashed."""

    value: object


class Store:
    """Runs each component once per recipe, keeping the results below `root`.

    Args:
        root: a local folder, made when missing. Remote ones have no atomic rename and are refused.
        forced: names of components that compute again though they are finished.
        required: names of components that must be finished, and are not computed.
        explain: compute nothing and write nothing; say of each component whether it would run, and why. A result's fingerprint
            is that of its recipe, so what follows from a result that is not there yet is known all the same.

    Raises:
        ValueError: `root` is the address of a remote file system.
    """

    def __init__(self, root, *, forced=(), required=(), explain=False):
        if "://" in str(root):
            raise ValueError(
                f"`root` must be a local folder, since results are published by rename. Received: root={root}. "
                "Choose a local --root, and copy the finished folder."
            )
        self.root = pathlib.Path(root)
        self.forced, self.required, self.explain = frozenset(forced), frozenset(required), explain
        self._in_use = None

    def run(self, component, config, *, modules=(), resume=False, valid=None, **inputs) -> Artifact:
        """Returns the artifact of `component(out, config, **inputs)`, made now or earlier.

        Args:
            component: function that writes only below `out` and reads only what it was given.
            config: frozen dataclass of JSON values; everything that changes the result.
            modules: names of further first-party modules that the settings choose, a network's for example.
            resume: keep the scratch folder of a killed run, so that the component can go on from it.
            valid: `valid(path) -> bool`, asked of a cached artifact whose effect lies outside `root`.
            **inputs: `Artifact`s, handed over as paths; `Untracked`s, handed over as they are and not hashed.

        Raises:
            ValueError: the component is `required` and not finished, or data from outside changed while it read them.
            FileNotFoundError: an input vanished while it worked.
        """
        name = component.__name__
        text, fingerprint = _named(component, config, modules, inputs)
        final = self.root / name / fingerprint[:16]
        if self.explain or name in self.required:
            why = self._why(name, json.loads(text), final, valid)
            if not self.explain and why:
                raise ValueError(
                    f"What comes before must be finished. Received: {name} is not: {why}. Run up to it with --until {name}."
                )
            progress.note(name, f"will run: {why}" if why else f"cached  {final}")
            return Artifact(final, fingerprint)
        scratch = self._scratch(name, fingerprint)
        scratch.parent.mkdir(parents=True, exist_ok=True)
        self._hold()
        with _locked(scratch.with_suffix(".lock")):
            if final.is_dir() and name not in self.forced and (valid is None or valid(final)):
                progress.note(name, f"cached  {final}")
                return Artifact(final, fingerprint)
            if not resume:
                shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(exist_ok=True)
            try:
                with progress.line(name), _inputs_stay(name, inputs):
                    component(scratch, config, **{given: _handed_over(value) for given, value in inputs.items()})
                (scratch / "recipe.json").write_text(text, encoding="utf-8")
            except BaseException:
                if not resume:  # it would be in the way of others, on a full disk most of all
                    shutil.rmtree(scratch, ignore_errors=True)
                raise
            _publish(scratch, final)
        return Artifact(final, fingerprint)

    def join(self, component, config, *, modules=(), **inputs):
        """Takes part in what another machine runs by `run` with these arguments, unless it is finished; keeps nothing.

        Args:
            component: is given the folder in which the other one works, to read from.
            config: as of `run`.
            modules: as of `run`.
            **inputs: as of `run`.
        """
        name = component.__name__
        _, fingerprint = _named(component, config, modules, inputs)
        final = self.root / name / fingerprint[:16]
        if name in self.required or (final.is_dir() and name not in self.forced):
            progress.note(name, f"cached  {final}")
            return
        scratch = self._scratch(name, fingerprint)
        scratch.parent.mkdir(parents=True, exist_ok=True)
        self._hold()
        with progress.line(name), _inputs_stay(name, inputs):
            component(scratch, config, **{given: _handed_over(value) for given, value in inputs.items()})

    def _scratch(self, name, fingerprint) -> pathlib.Path:
        return self.root / SCRATCH / name / fingerprint[:16]

    def _hold(self):
        """Says that the store is in use, as long as this object lives; waits while somebody clears it up."""
        if self._in_use is None:
            self._in_use = open(self.root / SCRATCH / IN_USE, "w")  # noqa: SIM115  (closed with the store)
            fcntl.flock(self._in_use, fcntl.LOCK_SH)

    def _why(self, name, recipe, final, valid) -> str:
        """Why the component would run; empty where it is finished."""
        if not final.is_dir():
            return "; ".join(explain.reasons(recipe, final.parent))
        if name in self.forced:
            return "it is forced"
        return "" if valid is None or valid(final) else "what it left outside is gone"


def _named(component, config, modules, inputs) -> tuple[str, str]:
    """The recipe as text, and its fingerprint."""
    text = json.dumps(_recipe(component, config, modules, inputs), sort_keys=True, indent=1, allow_nan=False)
    return text, hashlib.sha256(text.encode()).hexdigest()


def _publish(scratch, final):
    """Gives the finished folder its name, in place of an earlier one."""
    final.parent.mkdir(parents=True, exist_ok=True)
    earlier = scratch.with_suffix(".old")
    shutil.rmtree(earlier, ignore_errors=True)
    if final.is_dir():
        os.rename(final, earlier)
    os.rename(scratch, final)
    shutil.rmtree(earlier, ignore_errors=True)


def _handed_over(value):
    return value.path if isinstance(value, Artifact) else value.value


@contextlib.contextmanager
def _inputs_stay(name, inputs):
    """Refuses what the block made if its inputs were not what the recipe says: nothing wrong is kept under a right name."""
    there = [value for value in inputs.values() if isinstance(value, Artifact) and pathlib.Path(value.path).exists()]
    try:
        yield
    except Exception as error:
        _refuse_vanished(name, there, error)
        raise
    _refuse_vanished(name, there, None)
    for value in there:
        if value.watched and external(value.path).fingerprint != value.fingerprint:
            raise ValueError(
                f"Data must not change while they are read. Received: other files or contents after {name} [{value.path}]. "
                "Give the same command again when nobody writes there."
            )


def _refuse_vanished(name, there, cause):
    gone = [str(value.path) for value in there if not pathlib.Path(value.path).exists()]
    if gone:
        raise FileNotFoundError(
            f"Inputs must stay while they are read. Received: {', '.join(gone)} vanished while {name} worked. Bring them back "
            "and give the same command again: what is finished is kept."
        ) from cause


def _recipe(component, config, modules, inputs) -> dict:
    code, packages = _code((component.__module__, *modules))
    return {
        "component": component.__name__,
        "config": dataclasses.asdict(config),
        "inputs": {name: value.fingerprint for name, value in inputs.items() if isinstance(value, Artifact)},
        "code": code,
        "packages": packages,
        "python": ".".join(map(str, sys.version_info[:2])),
    }


@contextlib.contextmanager
def _locked(path):
    """Holds an exclusive lock on `path`; a second run of the same recipe waits here, then finds the result."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def external(path) -> Artifact:
    """Data from outside, as an artifact whose fingerprint is its content: names and bytes of a file or of all files below.

    Raises:
        FileNotFoundError: there is nothing at `path`.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"The data must exist. Received: {path}. Check the path that was given.")
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    digest = hashlib.sha256()
    for file in files:
        name = file.relative_to(path).as_posix() if file != path else ""
        with open(file, "rb") as stream:
            digest.update(f"{name}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return Artifact(path, digest.hexdigest(), watched=True)


def _code(roots) -> tuple[dict[str, str], dict[str, str]]:
    """Digests of the first-party modules that `roots` import, directly or not, and versions of the packages they name."""
    digests, imported, waiting = {}, set(), list(roots)
    while waiting:
        module = waiting.pop()
        if module in digests or (source := _source(module)) is None:
            continue
        digests[module] = hashlib.sha256(source.encode()).hexdigest()[:16]
        names = _imports(source)
        waiting += [name for name in _with_parents([module, *names]) if name.split(".")[0] in FIRST_PARTY]
        imported |= {name.split(".")[0] for name in names}
    third_party = {name: _version(name) for name in sorted(imported - set(FIRST_PARTY) - sys.stdlib_module_names)}
    return dict(sorted(digests.items())), {name: version for name, version in third_party.items() if version}


def _with_parents(names):
    for name in names:
        parts = name.split(".")
        yield from (".".join(parts[: n + 1]) for n in range(len(parts)))


@functools.cache
def _source(module: str) -> str | None:
    """Text of a first-party module, found without importing it; None where the name is no module but an attribute."""
    parts = module.split(".")
    try:
        root = importlib.util.find_spec(parts[0])
    except ValueError:  # __main__ and the like
        return None
    if root is None or not root.submodule_search_locations:
        return None
    path = pathlib.Path(root.submodule_search_locations[0]).joinpath(*parts[1:])
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.is_file():
            return file.read_text(encoding="utf-8")
    return None


@functools.cache
def _imports(source: str) -> set[str]:
    """Names that the source imports anywhere, inside functions too; `from a import b` counts as a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@functools.cache
def _distributions():
    return importlib.metadata.packages_distributions()


@functools.cache
def _version(package: str) -> str | None:
    """Version of the distribution that holds the package, whatever its name (tensorflow or tensorflow-cpu)."""
    found = _distributions().get(package)
    return importlib.metadata.version(found[0]) if found else None
