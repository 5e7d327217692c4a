"""Why a component runs: how its recipe differs from the most similar finished one.

Reads recipes, computes nothing. Standard library only.
"""

from __future__ import annotations

import json
import pathlib

from pipeline.engine.ancestry import read_recipe

PARTS = {"config": "setting", "packages": "package", "inputs": "input", "code": "code of"}
"""Parts of a recipe that are tables, and what an entry of each is called; inputs and code are known by their digests alone."""
NAMED = 3
"""Modules that are named where the code of more has changed."""


def reasons(recipe: dict, folder: pathlib.Path) -> list[str]:
    """How `recipe` differs from the most similar finished one; of several equally similar, from the newest.

    Args:
        recipe: of the component, as in JSON.
        folder: of the component's artifacts, one folder each with a `recipe.json`.

    Returns:
        One phrase per difference; empty where the recipes are equal.

    Example:
        >>> reasons({"config": {"epochs": 80}}, pathlib.Path("runs/none"))
        ['there is no earlier result']
    """
    paths = sorted(folder.glob("*/recipe.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    if not paths:
        return ["there is no earlier result"]
    return _shorten(min((changes(recipe, read_recipe(path.parent)) for path in paths), key=len))


def changes(recipe: dict, before: dict) -> list[str]:
    """How two recipes differ, one phrase per entry.

    Args:
        recipe: to be made.
        before: made earlier.

    Example:
        >>> changes({"config": {"epochs": 80}}, {"config": {"epochs": 16}})
        ['setting epochs is 80, was 16']
    """
    found = []
    for part, called in PARTS.items():
        now, then = recipe.get(part, {}), before.get(part, {})
        for name in sorted({*now, *then}):
            if name not in then or name not in now:
                found.append(f"{called} {name} is {'new' if name in now else 'gone'}")
            elif now[name] != then[name] and part in ("code", "inputs"):
                found.append(f"{called} {name} changed")
            elif now[name] != then[name]:
                found.append(f"{called} {name} is {json.dumps(now[name])}, was {json.dumps(then[name])}")
    if recipe.get("python") != before.get("python"):
        found.append(f"Python is {recipe.get('python')}, was {before.get('python')}")
    return found


def _shorten(found: list[str]) -> list[str]:
    """The phrases, with those about code beyond the first few counted."""
    code = [phrase for phrase in found if phrase.startswith(PARTS["code"])]
    if len(code) <= NAMED:
        return found
    rest = [phrase for phrase in found if phrase not in code]
    return [*rest, *code[:NAMED], f"and the code of {len(code) - NAMED} more modules"]
