"""What a component's code is: digests of the modules of ours that it reaches, and versions of the packages that those import.

Sources are read, never imported. A component reaches

- every module of ours that its module, or one that it reaches, imports anywhere, in functions too;
- through a package's `__init__.py` or the lazy `kseg` only the modules that define the names it takes. What is imported for its
  effect (`import kseg.layers`, and nothing more) is reached with all that its `__init__.py` imports; what is held as a value, or
  star-imported, with the lazy names as well;
- of modules imported by a computed name all that may be meant: those below `kseg.models.` of f"kseg.models.{name}", those in
  a table of TABLE[name], and everything where nothing is known of the name. Where settings choose, `choices` names those in use;
- nothing of `NEUTRAL`.

Not seen are modules that are found in `sys.modules` or run by `exec`. Standard library only.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import pathlib
import sys

from pipeline.engine import syntax

FIRST_PARTY = ("kseg", "pipeline")
NEUTRAL = (
    "kseg.plots",
    "kseg._registration",
    "pipeline.engine.progress",
    "pipeline.examples.probe",
    "pipeline.examples.runner_options",
    "pipeline.training.record",
    "pipeline.training.tensorboard",
)
"""Modules that change no number, so editing them recomputes nothing: those that only draw, print or log, since no component reads
what they leave; those that say where Beam works, since its workers leave the same bytes anywhere; and the one that finds classes
for `load_model`, since whoever stored the model has their code in its recipe."""


def code(module: str, choices: dict[str, list[str]] | None = None) -> tuple[dict[str, str], dict[str, str]]:
    """Digests of the modules that `module` reaches, itself included, and versions of the packages that they import.

    Args:
        module: dotted name.
        choices: package, or table of modules -> names in it that are used, where settings choose among them.

    Returns:
        Digest by module, version by package, both sorted. Modules that do nothing themselves have none.
    """
    reached = _Reached(choices or {})
    reached.add(module)
    digests = {name: source.digest for name, source in reached.sources.items() if source.digest}
    imported = {name for source in reached.sources.values() for name in source.packages}
    third_party = sorted(imported - set(FIRST_PARTY) - sys.stdlib_module_names)
    versions = {name: version for name in third_party if (version := _version(name))}
    return dict(sorted(digests.items())), versions


class _Reached:
    """The modules that were reached so far."""

    def __init__(self, choices):
        self.choices, self.sources, self._followed = choices, {}, set()

    def add(self, module: str):
        """Adds a module, whatever package it is of, and all that it reaches."""
        waiting = [f"{module}:{syntax.EFFECT}"]
        if module.partition(".")[0] not in FIRST_PARTY and (source := _read(module)):
            self.sources[module] = source
            waiting = self._taken(module, source)
        while waiting:
            name = waiting.pop()
            if name not in self._followed:
                self._followed.add(name)
                waiting += self._next(name)

    def _next(self, name: str) -> list[str]:
        """Adds the modules along the name, up to the one that defines it; returns names to follow from there."""
        module, attributes = name.split(":")
        parts, found = module.split("."), []
        for end in range(1, len(parts) + 1):
            if not self._enter(".".join(parts[:end]), found):
                return found
        for number, attribute in enumerate(rest := attributes.split(".")):
            source = self.sources[module]
            if not source.door:
                return found
            if attribute in (syntax.VALUE, syntax.EFFECT):
                return found + _all_of(source, attribute)
            after, below = ".".join(rest[number + 1 :]), f"{module}.{attribute}"
            elsewhere = _elsewhere(source, attribute)
            found += [syntax.joined(one, after) for one in elsewhere]
            if _path(below) is None:
                unknown = not elsewhere and attribute not in source.defined
                return found + (_all_of(source, syntax.VALUE) if unknown else [])
            if not self._enter(below, found):
                return found
            module = below
        return found

    def _enter(self, module: str, found: list[str]) -> bool:
        """Adds a module, and to `found` what it takes; false where there is none, or it does not count."""
        if not self._counts(module):
            return False
        if module not in self.sources:
            source = _read(module)
            if source is None:
                return False
            self.sources[module] = source
            found += self._taken(module, source)
        return True

    def _counts(self, module: str) -> bool:
        """Whether the module is ours and can change a result, under the choices."""
        if module.partition(".")[0] not in FIRST_PARTY:
            return False
        if any(f"{module}.".startswith(f"{name}.") for name in NEUTRAL):
            return False
        for package, chosen in self.choices.items():
            if module == package and not chosen:
                return False
            if module.startswith(f"{package}.") and module[len(package) + 1 :].partition(".")[0] not in chosen:
                return False
        return True

    def _taken(self, module: str, source: syntax.Source) -> list[str]:
        """Names that a module takes, those of modules that it imports by a computed name included."""
        computed = [name for prefix in source.prefixes for name in _modules() if name.startswith(prefix)]
        for name, table in source.tables.items():
            computed += [table[key] for key in self.choices.get(f"{module}.{name}", table)]
        return [*source.taken, *(f"{name}:{syntax.VALUE}" for name in computed)]


def _elsewhere(source: syntax.Source, name: str) -> list[str]:
    """What a door's name stands for."""
    module = source.lazy.get(name)
    lazily = [f"{module}:" if module.rpartition(".")[2] == name else f"{module}:{name}"] if module else []
    return [*source.exports.get(name, ()), *lazily]


def _all_of(source: syntax.Source, mark: str) -> list[str]:
    """Every name that a door hands on; the lazy ones only where it is held as a value."""
    names = [one for found in source.exports.values() for one in found]
    if mark == syntax.VALUE:
        names += [f"{module}:" for module in source.lazy.values()]
    return [syntax.joined(one, mark) for one in names]


def _read(module: str) -> syntax.Source | None:
    path = _path(module)
    if path is None:
        return None
    door = path.name == "__init__.py"
    return syntax.read(path.read_text(encoding="utf-8"), module if door else module.rpartition(".")[0], door)


def _path(module: str) -> pathlib.Path | None:
    """The file of a module, found without importing it; None where the name is no module, or not one of a package."""
    package, *rest = module.split(".")
    folder = _folder(package)
    path = folder and folder.joinpath(*rest)
    files = (path / "__init__.py", path.with_suffix(".py")) if path else ()
    return next((file for file in files if file.is_file()), None)


@functools.cache
def _folder(package: str) -> pathlib.Path | None:
    try:
        found = importlib.util.find_spec(package)
    except ValueError:  # __main__ and the like
        return None
    return pathlib.Path(found.submodule_search_locations[0]) if found and found.submodule_search_locations else None


def _modules() -> list[str]:
    """Dotted names of all modules of ours."""
    files = [
        (folder.parent, file) for name in FIRST_PARTY if (folder := _folder(name)) for file in folder.rglob("*.py")
    ]
    names = (".".join(file.relative_to(above).with_suffix("").parts) for above, file in files)
    return sorted(name.removesuffix(".__init__") for name in names)


@functools.cache
def _version(package: str) -> str | None:
    """Version of the distribution that holds the package, whatever its name (tensorflow or tensorflow-cpu)."""
    found = _distributions().get(package)
    return importlib.metadata.version(found[0]) if found else None


@functools.cache
def _distributions():
    return importlib.metadata.packages_distributions()
