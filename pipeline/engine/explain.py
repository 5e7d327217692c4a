"""Why a component runs: what in its recipe differs from the recipe that is most like it among the finished ones.

Reads recipes, computes nothing. Standard library only.
"""

from __future__ import annotations

import json
import pathlib

from pipeline.engine.files import read_json

PARTS = {"config": "setting ", "code": "code of ", "packages": "package ", "inputs": "input "}
"""Parts of a recipe that are tables, and how an entry of each is called; of code and inputs only digests are known."""


def reasons(recipe: dict, folder: pathlib.Path) -> list[str]:
    """What distinguishes `recipe` from the most similar finished one; the newest of several such.

    Args:
        recipe: of the component, as JSON has it.
        folder: where the component's artifacts lie, one folder each with a `recipe.json`.

    Returns:
        One sentence a difference, the place of what was compared with at the end; empty where the recipes are equal.

    Example:
        >>> reasons(recipe, pathlib.Path("runs/trainer"))
        ['setting epochs is 80, was 16', 'code of kseg.data changed']
    """
    paths = sorted(folder.glob("*/recipe.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    if not paths:
        return ["there is no earlier result"]
    return min((changes(recipe, read_json(path)) for path in paths), key=len)


def changes(recipe: dict, before: dict) -> list[str]:
    """What differs between two recipes, in words.

    Args:
        recipe: what will be made.
        before: what was made.
    """
    found = []
    for part, called in PARTS.items():
        now, then = recipe.get(part, {}), before.get(part, {})
        for name in sorted({*now, *then}):
            if now.get(name) == then.get(name) and (name in now) == (name in then):
                continue
            if name not in then or name not in now:
                found.append(f"{called}{name} is {'new' if name in now else 'gone'}")
            elif part in ("code", "inputs"):
                found.append(f"{called}{name} changed")
            else:
                found.append(f"{called}{name} is {json.dumps(now[name])}, was {json.dumps(then[name])}")
    if recipe.get("python") != before.get("python"):
        found.append(f"Python is {recipe.get('python')}, was {before.get('python')}")
    return found
