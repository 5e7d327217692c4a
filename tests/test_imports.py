"""Who may import what: every module against the tables of rooms in docs/architecture.md."""

import ast
import functools
import pathlib
import re
import subprocess
import sys
import typing

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
PATHS = sorted(path for package in ("kseg", "pipeline") for path in (ROOT / package).rglob("*.py"))
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in PATHS}


class Room(typing.NamedTuple):
    """A line of the tables."""

    name: str  # "kseg/pairs/", "kseg/labels.py" or "pipeline/*.py"
    rooms: frozenset[str]  # that it may import
    packages: frozenset[str]
    lazy: frozenset[str]  # packages that are imported in functions only


@functools.cache
def rooms() -> dict[str, Room]:
    """The tables, from the ground up."""
    found = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and re.fullmatch(r"`(kseg|pipeline)/\S*`", cells[0]):
            name = cells[0].strip("`")
            listed = frozenset(full_name(short, name) for short in cells[2].split(", ") if short)
            packages, lazy = (frozenset(filter(None, cell.split(", "))) for cell in cells[3:])
            found[name] = Room(name, listed, packages, packages | lazy)
    return found


def full_name(short: str, room: str) -> str:
    """A room as its own line spells it: "labels" in a line of kseg is "kseg/labels.py"."""
    package = room.split("/")[0]
    base = short if short.startswith(("kseg", "pipeline")) else f"{package}/{short}"
    if base == "kseg":
        return "kseg/__init__.py"
    return f"{base}.py" if (ROOT / f"{base}.py").is_file() else f"{base}/"


def room_of(module: str) -> Room:
    """The most specific line that fits."""
    path = MODULES[module].relative_to(ROOT).as_posix()
    fitting = [
        room
        for name, room in rooms().items()
        if path == name or (name.endswith("/") and path.startswith(name))
        or (name.endswith("*.py") and path.rpartition("/")[0] == name.removesuffix("/*.py"))
    ]  # fmt: skip
    assert fitting, f"{path} has no line in {PAGE.name}"
    return max(fitting, key=lambda room: (path == room.name, len(room.name)))


@functools.cache
def imports(module: str) -> frozenset[tuple[str, bool]]:
    """Names that a module imports, and whether inside a function."""
    found = set()

    def visit(node, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.update((alias.name, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert not child.level, f"relative import in {module}"
                found.update((f"{child.module}.{alias.name}", inside) for alias in child.names)
            visit(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))

    visit(ast.parse(MODULES[module].read_text()), False)
    return frozenset(found)


def first_party(module: str) -> set[str]:
    """Modules of ours that a module imports, wherever it does."""
    found = set()
    for name, _ in imports(module):
        while name and name not in MODULES:
            name = name.rpartition(".")[0]
        if name and name != module:
            found.add(name)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_the_packages_of_its_room(module):
    room = room_of(module)
    for name, inside in imports(module):
        package = name.split(".")[0]
        if package not in {"kseg", "pipeline", *sys.stdlib_module_names}:
            assert package in (room.lazy if inside else room.packages), f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_the_rooms_named_in_its_line(module):
    room = room_of(module)
    found = {room_of(name).name for name in first_party(module)} - {room.name}
    if module != "kseg" and not room.name.endswith("*.py"):
        assert found <= room.rooms


def test_rooms_import_only_rooms_above_them_in_the_table():
    names = list(rooms())
    for room in rooms().values():
        assert room.rooms <= set(names), f"{room.name} names rooms without a line: {room.rooms - set(names)}"
        later = room.rooms & set(names[names.index(room.name) :])
        assert not later - {"kseg/__init__.py"}, f"{room.name} imports what stands below it: {later}"


def test_every_line_of_the_table_has_modules_and_names_only_what_they_import():
    used = {name: (set(), set(), set()) for name in rooms()}
    for module in MODULES:
        ours, packages, lazy = used[room_of(module).name]
        ours |= {room_of(name).name for name in first_party(module)}
        for name, inside in imports(module):
            (lazy if inside else packages).add(name.split(".")[0])
    for name, room in rooms().items():
        ours, packages, lazy = used[name]
        assert any(room_of(module).name == name for module in MODULES), f"nothing lies in {name}"
        assert room.rooms <= ours and room.packages <= packages and room.lazy <= packages | lazy, name


def test_every_path_that_the_page_names_exists():
    named = re.findall(r"`((?:kseg|pipeline|tests)/[^`<*\s]*)`", PAGE.read_text())
    assert len(named) > 60 and not [path for path in named if not (ROOT / path).exists()]


def test_no_module_imports_itself_by_a_detour():
    def walk(module, path):
        assert module not in path, " -> ".join([*path, module])
        if module not in seen:
            for name in sorted(first_party(module)):
                walk(name, [*path, module])
            seen.add(module)

    seen = set()
    for module in MODULES:
        walk(module, [])


def test_components_do_not_import_each_other():
    components = {name for name in MODULES if name.startswith("pipeline.components.")}
    assert components and not [name for name in components if first_party(name) & components]


def test_only_the_command_kseg_imports_the_pipeline():
    importing = {
        module
        for module in MODULES
        if module.startswith("kseg") and any(name.startswith("pipeline") for name, _ in imports(module))
    }
    assert importing <= {"kseg.__main__"}
    assert all(inside for module in importing for name, inside in imports(module) if name.startswith("pipeline"))


def test_importing_kseg_imports_no_framework_and_an_unknown_name_is_refused():
    code = (
        "import sys, kseg\nprint([m for m in ('tensorflow', 'keras', 'numpy', 'apache_beam') if m in sys.modules])\n"
        "try:\n    kseg.Unet\nexcept AttributeError as error:\n    print(error)"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    first, second = answer.splitlines()
    assert first == "[]" and "kseg has no attribute 'Unet'" in second and "UNet" in second


def test_every_public_name_resolves():
    import kseg

    assert all(getattr(kseg, name) is not None for name in kseg.__all__)
