"""What counts of a source, and which names it takes."""

import pytest

from pipeline.engine import syntax

CODE = '''
"""What it is for."""
# why
LIMIT = 3
"""Pixels."""


def area(height, width):
    """Height times width."""
    if height:
        return height * width  # pixels
    return 0


class Tile:
    """A piece."""
'''


def read(text, package="toy", door=False):
    return syntax.read(text, package, door)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# why", "# because"),
        ("  # pixels", ""),
        ("What it is for.", "Another sentence."),
        ('"""Pixels."""\n', ""),
        ('    """Height times width."""\n', ""),
        ('    """A piece."""', "    pass"),
        ("height * width", "(height\n * width)"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(old, new):
    assert old in CODE and read(CODE.replace(old, new)).digest == read(CODE).digest


@pytest.mark.parametrize(
    ("old", "new"), [("LIMIT = 3", "LIMIT = 4"), ("height * width", "width * height"), ("class Tile", "class Piece")]
)
def test_what_the_code_does_counts(old, new):
    assert read(CODE.replace(old, new)).digest != read(CODE).digest


def test_docstrings_count_where_the_code_reads_them():
    text = '"""One."""\nprint(__doc__)\n'
    assert read(text).digest != read(text.replace("One", "Two")).digest


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("import toy\ntoy.a.f()", {"toy:a.f.*"}),
        ("import toy as t\nt.a", {"toy:a.*"}),
        ("import toy", {"toy:!"}),
        ("import toy.a", {"toy.a:!"}),
        ("import toy.a\ntoy.a.f()", {"toy:a.f.*"}),
        ("import toy.a\ntoy.b.f()", {"toy.a:!", "toy:b.f.*"}),
        ("from toy import a\na.f()\na.g", {"toy:a.f.*", "toy:a.g.*"}),
        ("from toy import a\nprint(a)", {"toy:a.*"}),
        ("from toy import a", {"toy:a.!"}),
        ("from toy.a import *", {"toy.a:*"}),
        ("from . import a\na.f()", {"toy:a.f.*"}),
        ("from ..b import a\na.f()", {"toy.b:a.f.*"}),
        ("def f():\n    from toy import a\n    return a.g()", {"toy:a.g.*"}),
        ("import importlib\nimportlib.import_module('toy.a')", {"importlib:*", "toy.a:*"}),
    ],
)
def test_names_that_are_taken(text, taken):
    assert read(text, package="toy.sub" if ".." in text else "toy").taken == taken


@pytest.mark.parametrize(
    "text",
    [
        "def f(a):\n    return a.shape",
        "def f():\n    a = 3\n    return a.real",
        "f = lambda a: a.shape",
        "f = [a.shape for a in ()]",
        "def f():\n    for a, b in ():\n        print(a.shape)",
        "def f():\n    def g():\n        return a.shape\n    a = 3",
    ],
)
def test_a_local_variable_is_not_what_is_imported_by_that_name(text):
    assert read(f"from toy import a\n{text}").taken == {"toy:a.!"}


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    global a\n    a.shape\n    a = 3",
        "def f(x=a.shape):\n    a = 3",
        "def f(x: a.shape):\n    a = 3",
        "def f(a):\n    from toy import a\n    return a.shape",
        "class C:\n    a = 3\n    def f(self):\n        return a.shape",
    ],
)
def test_what_is_imported_counts_where_no_local_variable_hides_it(text):
    assert "toy:a.shape.*" in read(f"from toy import a\n{text}").taken


@pytest.mark.parametrize(
    ("argument", "prefix"),
    [
        ('f"toy.a.{name}"', "toy.a."),
        ('f"toy.mod_{name}"', "toy."),
        ('"toy.a." + name', "toy.a."),
        ('"toy.a." + name + "x"', "toy.a."),
        ("name", ""),
        ('f"{name}.a"', ""),
        ('"toy.%s" % name', ""),
        ('"toy.a" if name else "toy.b"', ""),
    ],
)
def test_prefixes_of_modules_imported_by_a_computed_name(argument, prefix):
    for call in ("importlib.import_module", "import_module", "__import__"):
        assert read(f"{call}({argument})").prefixes == {prefix}


def test_an_importer_that_is_handed_over_may_import_anything():
    assert read("import importlib\nmap(importlib.import_module, names)").prefixes == {""}
    assert read("from importlib import import_module\nmap(import_module, names)").prefixes == {""}


def test_a_door_that_only_hands_on_does_nothing_itself():
    door = read('"""All."""\nfrom toy.a import f as g\nimport numpy as np\n__all__ = ["g"]', door=True)
    assert door.digest is None and not door.taken and not door.packages
    assert door.exports == {"g": ("toy.a:f",), "np": ("numpy:",)}


def test_what_a_door_does_itself_counts_with_what_that_uses():
    text = "from toy.a import f\nfrom toy.b import g\n\ndef h():\n    return f()\n"
    door = read(text, door=True)
    assert door.taken == {"toy.a:f.*"} and door.exports == {"g": ("toy.b:g",)} and {"h", "f"} <= door.defined
    assert door.digest == read(text.replace("from toy.b import g\n", ""), door=True).digest
    assert door.digest != read(text.replace("return f()", "return f"), door=True).digest


LAZY = """
import importlib
NAMES = {"f": "toy.a", **{name: f"toy.{name}" for name in ("b", "c")}}
__all__ = sorted(NAMES)

def __getattr__(name):
    return vars(importlib.import_module(NAMES[name]))[name]
"""


def test_a_lazy_table_is_read_and_does_not_count():
    door = read(LAZY, door=True)
    assert door.lazy == {"f": "toy.a", "b": "toy.b", "c": "toy.c"}
    assert door.digest is None and not door.prefixes
    more = read(LAZY + "\nregister()\n", door=True)
    assert more.digest and more.lazy == door.lazy


def test_a_table_that_cannot_be_read_makes_the_door_reach_anything():
    assert read(LAZY.replace('"toy.a"', "place()"), door=True).prefixes == {""}
