"""What led to an artifact: the recipes that the inputs of its recipe name, and those that theirs name. Standard library only."""

from __future__ import annotations

import pathlib

from pipeline.engine.files import read_json

RECIPE = "recipe.json"
COMPARED = ("baseline", "previous")
"""Inputs that an artifact was only compared with: another model, the statistics of other data. They led to nothing."""


def walk(*artifacts: pathlib.Path):
    """The artifacts and everything in their stores that led to them, each once.

    Args:
        *artifacts: folders `root/<component>/<digits>`. What was made without a store is passed over.

    Yields:
        Folder and recipe.
    """
    waiting, seen = list(artifacts), set()
    while waiting:
        folder = waiting.pop(0)
        recipe = {} if folder in seen else read_json(folder / RECIPE, {})
        seen.add(folder)
        if "inputs" in recipe:
            yield folder, recipe
            led = (value for name, value in recipe["inputs"].items() if name not in COMPARED)
            waiting += [place for value in led for place in places(folder.parents[1], value)]


def places(root: pathlib.Path, fingerprint: str) -> list[pathlib.Path]:
    """Folder of the finished artifact with that fingerprint; none where it is data from outside, or gone."""
    return [path.parent for path in root.glob(f"[!.]*/{fingerprint[:16]}/{RECIPE}")] if fingerprint.isalnum() else []


def ancestry(*artifacts: pathlib.Path) -> dict[str, dict]:
    """Recipe of each component that led to the artifacts, theirs included, by the component's name."""
    return {recipe["component"]: recipe for _, recipe in walk(*artifacts)}


def data(artifact: pathlib.Path) -> dict | None:
    """What the examples were that led to an artifact.

    Args:
        artifact: a folder of a store.

    Returns:
        "pairs" (count of each split), "set_aside" (count), "classes" (names) and "source" (digest or name); None where the
        examples are gone.
    """
    for folder, recipe in walk(artifact):
        if recipe["component"] == "example_gen":
            ingestion = read_json(folder / "ingestion.json")
            return {
                "pairs": ingestion["pairs"],
                "set_aside": len(ingestion["quarantined"]),
                "classes": read_json(folder / "labels.json")["names"],
                "source": recipe["inputs"]["source"],
            }
    return None
