"""Which modules of ours a component really imports, seen by the interpreter: the truth that fingerprints are held against.

    python -m tests.pipeline.engine.real_imports '{"component": ["further module", ...], ...}' '["module to leave out", ...]'

Every `__init__.py` that only hands names on is opened lazily here, as `kseg` is: a name imports its module when it is taken. Then
the component's module is imported for real. The bytecode of all functions is searched for imports and for attributes of modules,
which are then imported and taken for real, too, until nothing new comes. Modules that are left out are replaced by empty ones.
Prints the names of each component's modules as JSON. Knows nothing of `pipeline.engine.syntax`.
"""

import dis
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import pathlib
import sys
import types

ROOT = pathlib.Path(__file__).resolve().parents[3]
OURS = ("kseg", "pipeline")
TAKES = ("LOAD_ATTR", "LOAD_METHOD")
LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FAST", "LOAD_DEREF", "LOAD_FAST_BORROW", "LOAD_FAST_CHECK")
STORES = ("STORE_FAST", "STORE_NAME", "STORE_GLOBAL", "STORE_DEREF")


class Doors(importlib.abc.MetaPathFinder):
    """Opens our packages lazily, and loads empty modules in place of those left out."""

    def __init__(self, left_out):
        self.left_out = left_out

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in OURS:
            return None
        if any(f"{name}.".startswith(f"{one}.") for one in self.left_out):
            return importlib.machinery.ModuleSpec(name, Empty(), is_package=True)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec and spec.submodule_search_locations and name != "kseg":
            spec.loader = Door(name, spec.origin)
        return spec


class Empty(importlib.abc.Loader):
    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.__getattr__ = lambda name: lambda *arguments: None


class Door(importlib.machinery.SourceFileLoader):
    def exec_module(self, module):
        source = pathlib.Path(self.path).read_text()
        later = {}
        for instruction in instructions(compile(source, self.path, "exec")):
            if instruction[0] == "from":
                later[instruction[3]] = instruction[1:3]
        if any(line.startswith(("def ", "class ")) for line in source.splitlines()):
            super().exec_module(module)  # it does something itself
            return

        def take(name):
            if name not in later:
                raise AttributeError(name)
            return taken(importlib.import_module(later[name][0]), later[name][1])

        module.__getattr__, module.__doc__ = take, "a door"


def taken(module, name):
    """An attribute of a module, or its submodule of that name."""
    try:
        return getattr(module, name)
    except AttributeError:
        try:
            return importlib.import_module(f"{module.__name__}.{name}")
        except ImportError:
            return None


def instructions(code):
    """Of a code object: ("import", module, variable), ("from", module, name, variable) and ("take", variable, attributes)."""
    found, module, chain = [], None, None
    for one in dis.get_instructions(code):
        if one.opname == "IMPORT_NAME":
            module, pending = one.argval, None
        elif one.opname == "IMPORT_FROM":
            pending = one.argval
        elif one.opname in STORES and module:
            found.append(("from", module, pending, one.argval) if pending else ("import", module, one.argval))
            pending = None
            module = module if found[-1][0] == "from" else None
        elif one.opname == "POP_TOP":
            module = None
        elif one.opname in LOADS:
            chain = (one.argval, [])
            found.append(("take", *chain))
        elif one.opname in TAKES and chain:
            chain[1].append(one.argval)
        if one.opname not in (*LOADS, *TAKES, "CACHE", "PRECALL", "PUSH_NULL"):
            chain = None
    return found


def codes(code):
    """A code object and those inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def open_all(module):
    """Imports everything that a module imports or takes anywhere."""
    path = vars(module).get("__file__")
    if path is None:
        return
    code = compile(pathlib.Path(path).read_text(), path, "exec")
    everything = [(inner, instructions(inner)) for inner in codes(code)]
    for inner, found in everything:
        local = {}
        for kind, name, *rest in found:
            if kind == "import" and name.split(".")[0] in OURS:
                local[rest[0]] = importlib.import_module(name.split(".")[0] if rest[0] == name.split(".")[0] else name)
                importlib.import_module(name)
            elif kind == "from" and name.split(".")[0] in OURS and path.endswith("__init__.py") is False:
                local[rest[1]] = taken(importlib.import_module(name), rest[0])
        for kind, name, *rest in found:
            value = (
                local.get(name, None if name in inner.co_varnames else vars(module).get(name))
                if kind == "take"
                else None
            )
            for attribute in rest[0] if kind == "take" else ():
                if not (isinstance(value, types.ModuleType) and value.__name__.split(".")[0] in OURS):
                    break
                value = taken(value, attribute)


def ours():
    return {name: module for name, module in sys.modules.items() if name.split(".")[0] in OURS}


def really_imported(component, more):
    """Names of the modules of ours that a component imports."""
    for name in ours():
        del sys.modules[name]
    for name in (f"pipeline.components.{component}", *more):
        importlib.import_module(name)
    opened = set()
    while waiting := ours().keys() - opened:
        for name in waiting:
            open_all(sys.modules[name])
        opened |= waiting
    return sorted(name for name, module in ours().items() if vars(module).get("__file__"))


if __name__ == "__main__":
    importlib.import_module("keras")  # whose first import kseg waits for
    components, left_out = (json.loads(text) for text in sys.argv[1:])
    sys.meta_path.insert(0, Doors(left_out))
    found = {name: really_imported(name, more) for name, more in components.items()}
    print(json.dumps(found))
