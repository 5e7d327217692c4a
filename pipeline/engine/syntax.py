"""What the source of one module says: a digest of what it does, the names that it takes, and those that it only hands on.

Sources are parsed, never imported. A digest covers the syntax tree without comments, docstrings and other bare strings, so
editing those changes nothing; a module that reads `__doc__` keeps them. Names are written `module:attributes` with a mark behind:

    kseg.losses:CrossEntropy.*    used as a value, so anything below it may be reached
    kseg.layers:!                 imported and never mentioned again: for what happens when it is imported

An `__init__.py` is a door. What it imports and does not use itself is a re-export, and a dictionary from names to modules of its
package, beside a `__getattr__`, is a lazy table; neither belongs to its digest. Standard library only.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib

VALUE, EFFECT = "*", "!"
IMPORTERS = ("import_module", "__import__", "run_module", "resolve_name")
"""Functions that import a module by its name."""

_FACTS = ("__doc__", "__file__", "__name__", "__version__")
"""What a package says of itself: its digest leaves this out, so that a new version of kseg recomputes nothing."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclasses.dataclass(frozen=True)
class Source:
    """What the source of a module says.

    Attributes:
        digest: None for a door that does nothing itself.
        taken: names that it uses, each with its mark.
        prefixes: of modules imported by a computed name: "kseg.models." of f"kseg.models.{name}", "" where unknown.
        packages: top-level names of what it imports.
        tables: from which it imports modules: of import_module(TABLE[name]).
        door: whether it is an `__init__.py`.
        exports: of a door: name -> what it stands for.
        lazy: of a door: name -> module that is, or that holds, it.
        defined: names that a door defines, or imports and uses, itself.
    """

    digest: str | None
    taken: frozenset[str]
    prefixes: frozenset[str]
    packages: frozenset[str]
    tables: dict[str, dict[str, str]]
    door: bool = False
    exports: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    lazy: dict[str, str] = dataclasses.field(default_factory=dict)
    defined: frozenset[str] = frozenset()


@functools.cache
def read(text: str, package: str, door: bool) -> Source:
    """What the source `text` says.

    Args:
        text: Python.
        package: dotted name of the package that the module lies in, or is.
        door: whether it is an `__init__.py`.
    """
    tree = ast.parse(text)
    if "__doc__" not in text or not any(_name(node) == "__doc__" for node in ast.walk(tree)):
        _strip_strings(tree)
    if not door:
        names = _Names(tree, package)
        return Source(_digest(tree), names.taken(), frozenset(names.prefixes), names.packages(), names.tables)
    lazy = _strip_tables(tree, package)
    names = _Names(tree, package)
    exports = {name: tuple(sorted(found)) for name, found in names.bound.items() if name not in names.used}
    _strip_imports(tree, exports)
    return Source(
        _digest(tree) if tree.body else None,
        names.taken(without=exports),
        frozenset(names.prefixes),
        names.packages(without=exports),
        names.tables,
        door=True,
        exports=exports,
        lazy=lazy,
        defined=frozenset(_local_names(tree.body) | (names.bound.keys() - exports.keys()) | set(_FACTS)),
    )


def joined(name: str, attributes: str) -> str:
    """The name, and of it these attributes."""
    return f"{name}{'' if name.endswith(':') or not attributes else '.'}{attributes}"


def _digest(tree: ast.AST) -> str:
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def _strip_strings(node: ast.AST):
    """Removes docstrings and every other statement that is nothing but a string."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        statements = getattr(node, field, None)
        if isinstance(statements, list):
            kept = [one for one in statements if not (isinstance(one, ast.Expr) and _is_string(one.value))]
            needed = field == "body" and not isinstance(node, ast.Module)
            setattr(node, field, kept or ([ast.Pass()] if needed else []))
            for one in kept:
                _strip_strings(one)


def _strip_tables(tree: ast.Module, package: str) -> dict[str, str]:
    """Removes what only lists the names of a door; returns its lazy tables as one."""
    lazily = any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in tree.body)
    tables = [_table(node, package.partition(".")[0]) if lazily else {} for node in tree.body]
    lazy = {name: module for table in tables for name, module in table.items()}
    lists = ("__all__", *_FACTS, *(("__getattr__", "__dir__") if lazy else ()))
    tree.body = [
        node
        for node, table in zip(tree.body, tables, strict=True)
        if not table and (_assigned(node) or getattr(node, "name", None)) not in lists
    ]
    return lazy


def _table(node, package: str) -> dict[str, str]:
    """The dictionary that a statement assigns, if it leads from names to modules of the package; else an empty one."""
    if _assigned(node) is None or not isinstance(node.value, ast.Dict):
        return {}
    try:
        found = eval(compile(ast.Expression(node.value), "table", "eval"), {"__builtins__": {}})
    except Exception:  # it needs more than what it says itself
        return {}
    pairs = all(isinstance(name, str) and isinstance(module, str) for name, module in found.items())
    return found if pairs and all(module.startswith(f"{package}.") for module in found.values()) else {}


def _strip_imports(tree: ast.Module, exports):
    """Removes imports of names that are only handed on."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            node.names = [one for one in node.names if (one.asname or one.name) not in exports]
    tree.body = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom) or node.names]


def _is_string(node) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _name(node) -> str | None:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


def _assigned(node) -> str | None:
    """The name that a statement gives a value to, if it is one name."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return _name(targets[0]) if len(targets) == 1 else None


def _bound_name(node) -> str | None:
    """The name that a node binds, imports left out."""
    if isinstance(node, ast.Name):
        return None if isinstance(node.ctx, ast.Load) else node.id
    if isinstance(node, ast.arg):
        return node.arg
    named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
    return node.name if isinstance(node, named) else None


def _local_names(statements) -> set[str]:
    """Names that the statements bind, those bound within functions, classes and comprehensions left out."""
    found, waiting = set(), list(statements)
    while waiting:
        node = waiting.pop()
        found.add(_bound_name(node))
        if not isinstance(node, (*_FUNCTIONS, *_COMPREHENSIONS, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)
    return found - {None}


class _Names(ast.NodeVisitor):
    """The imports of a module, and what it takes from the names that they bind."""

    def __init__(self, tree: ast.Module, package: str):
        self.package = package
        self.bound: dict[str, set[str]] = {}  # name -> what is imported under it: "module:" or "module:name"
        self.below: set[str] = set()  # modules of `import a.b.c`, which binds `a`
        self.values: set[str] = set()  # modules of star imports, and those imported by a constant name
        self.used: dict[str, set[str]] = {}  # name -> what is taken from it: "" or "attribute.attribute"
        self.prefixes: set[str] = set()
        self.tables: dict[str, dict[str, str]] = {}
        self._known = {
            _assigned(node): table for node in tree.body if (table := _table(node, package.partition(".")[0]))
        }
        self._hidden: set[str] = set()  # names that this function rebinds
        assigned = set()
        for node in ast.walk(tree):
            self._bind(node)
            assigned.add(_bound_name(node))
        self._tops = {dotted.partition(".")[0] for dotted in self.below}
        self._scoped = not assigned.isdisjoint(self.bound.keys() | self._tops)  # whether any name may be hidden
        self.visit(tree)

    def packages(self, without=()) -> frozenset[str]:
        """Top-level names of what is imported, but for what is bound to the names `without`."""
        kept = {one for name, found in self.bound.items() if name not in without for one in found}
        return frozenset(one.partition(":")[0].partition(".")[0] for one in kept | self.below | self.values)

    def taken(self, without=()) -> frozenset[str]:
        """Names with their marks, but for those bound to the names `without`."""
        pairs = {(name, one) for name, found in self.bound.items() if name not in without for one in found}
        unused = {one for name, one in pairs if name not in self.used}
        pairs |= {(top, f"{top}:") for top in self._tops}
        used = {joined(one, chain) for name, one in pairs for chain in self.used.get(name, ())}
        mentioned = {f"{one.replace(':', '.')}." for one in used}
        unused |= {f"{module}:" for module in self.below if not any(one.startswith(f"{module}.") for one in mentioned)}
        used |= {f"{module}:" for module in self.values}
        return frozenset({joined(one, VALUE) for one in used} | {joined(one, EFFECT) for one in unused})

    def _bind(self, node):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if "." in alias.name and not alias.asname:
                    self.below.add(alias.name)
                else:
                    self.bound.setdefault(alias.asname or alias.name, set()).add(f"{alias.name}:")
        elif isinstance(node, ast.ImportFrom):
            parents = self.package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                if alias.name == "*":
                    self.values.add(origin)
                else:
                    self.bound.setdefault(alias.asname or alias.name, set()).add(f"{origin}:{alias.name}")

    def _note(self, name: str, chain: str):
        if (name in self.bound or name in self._tops) and name not in self._hidden:
            self.used.setdefault(name, set()).add(chain)

    def visit_Name(self, node):
        """Notes that a name is used as it is."""
        if node.id in IMPORTERS:
            self.prefixes.add("")  # handed to somebody who will call it
        self._note(node.id, "")

    def visit_Attribute(self, node):
        """Notes what is taken from a name."""
        chain, base = [node.attr], node.value
        while isinstance(base, ast.Attribute):
            chain.insert(0, base.attr)
            base = base.value
        if node.attr in IMPORTERS:
            self.prefixes.add("")
        if isinstance(base, ast.Name):
            self._note(base.id, ".".join(chain))
        else:
            self.visit(base)

    def visit_Call(self, node):
        """Notes which module is imported by its name."""
        if _name(node.func) in IMPORTERS:
            self._note_import(node.args[0] if node.args else None)
            for part in (getattr(node.func, "value", None), *node.args, *node.keywords):
                if part is not None:
                    self.visit(part)
        else:
            self.generic_visit(node)

    def _note_import(self, name):
        """Takes what is known of a module's name: all of it, a prefix that ends in a dot, or the table that it stands in."""
        while isinstance(name, ast.BinOp) and isinstance(name.op, ast.Add):
            name = ast.JoinedStr([name.left, name.right]) if _is_string(name.left) else name.left
        if _is_string(name) and not name.value.startswith("."):
            self.values.add(name.value)
            return
        if isinstance(name, ast.Subscript) and _name(name.value) in self._known:
            self.tables[_name(name.value)] = self._known[_name(name.value)]
            return
        start = name.values[0] if isinstance(name, ast.JoinedStr) and name.values else None
        known = _is_string(start) and not start.value.startswith(".")
        self.prefixes.add("".join(start.value.rpartition(".")[:2]) if known else "")

    def _visit_function(self, node):
        if not self._scoped:
            self.generic_visit(node)
            return
        arguments = [one for one in ast.walk(node.args) if isinstance(one, ast.arg)]
        for part in (*getattr(node, "decorator_list", ()), *node.args.defaults, *node.args.kw_defaults):
            if part is not None:
                self.visit(part)
        for part in (getattr(node, "returns", None), *(one.annotation for one in arguments)):
            if part is not None:
                self.visit(part)
        body = node.body if isinstance(node.body, list) else [node.body]
        shared, imported = set(), set()
        for part in (inner for statement in body for inner in ast.walk(statement)):
            if isinstance(part, ast.Global | ast.Nonlocal):
                shared.update(part.names)
            elif isinstance(part, ast.Import | ast.ImportFrom):
                imported.update(alias.asname or alias.name.partition(".")[0] for alias in part.names)
        local = {one.arg for one in arguments} | _local_names(body)
        self._visit_hiding(body, (self._hidden - imported) | (local - shared - imported))

    def _visit_comprehension(self, node):
        if not self._scoped:
            self.generic_visit(node)
            return
        targets = _local_names(one.target for one in node.generators)
        self._visit_hiding(ast.iter_child_nodes(node), self._hidden | targets)

    def _visit_hiding(self, nodes, hidden):
        before, self._hidden = self._hidden, hidden
        for node in nodes:
            self.visit(node)
        self._hidden = before

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _visit_function
    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension
