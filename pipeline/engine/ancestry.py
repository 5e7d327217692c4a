"""What led to an artifact: the recipes of its inputs, of their inputs, and so on. Standard library only."""

from __future__ import annotations

import pathlib

from pipeline.engine.files import read_json

RECIPE = "recipe.json"
COMPARED = ("baseline", "previous")
"""Inputs that an artifact was only compared with: another model, the statistics of other data. They did not lead to it."""


def read_recipe(folder: pathlib.Path) -> dict:
    """The recipe of an artifact; empty where no store made the folder.

    Raises:
        ValueError: it is cut off, or no recipe.
    """
    recipe = read_json(folder / RECIPE, {})
    tables = (recipe.get(part, {}) for part in ("config", "inputs", "code", "packages"))
    if not all(isinstance(table, dict) for table in tables) or not isinstance(recipe.get("component", ""), str):
        raise ValueError(
            "A recipe must be as a component left it. Received: something else in place of its tables "
            f"[{folder / RECIPE}]. Remove that folder: the next run makes it again."
        )
    return recipe


def walk(*artifacts: pathlib.Path):
    """The artifacts and everything in their stores that led to them, each once.

    Args:
        *artifacts: folders `root/<component>/<digits>`. Those that no store made are skipped.

    Yields:
        Folder and recipe.
    """
    waiting, seen = list(artifacts), set()
    while waiting:
        folder = waiting.pop(0)
        recipe = {} if folder in seen else read_recipe(folder)
        seen.add(folder)
        if "inputs" in recipe:
            yield folder, recipe
            led = [value for name, value in recipe["inputs"].items() if name not in COMPARED]
            waiting += [found for value in led for found in find_artifacts(folder.parents[1], value)]


def find_artifacts(root: pathlib.Path, fingerprint: str) -> list[pathlib.Path]:
    """The folder of the finished artifact with that fingerprint; none where it is external data, or removed."""
    return [path.parent for path in root.glob(f"[!.]*/{fingerprint[:16]}/{RECIPE}")] if fingerprint.isalnum() else []


def collect_recipes(*artifacts: pathlib.Path) -> dict[str, dict]:
    """Recipe of each component that led to the artifacts, theirs included, by the component's name."""
    return {recipe["component"]: recipe for _, recipe in walk(*artifacts)}


def count_set_aside(ingestion: dict) -> tuple[int, int]:
    """How many pairs, and how many images without masks, could not be used, by `ingestion.json`."""
    images = sum(row["split"] == "unlabelled" for row in ingestion["quarantined"])
    return len(ingestion["quarantined"]) - images, images


def describe_data(artifact: pathlib.Path) -> dict | None:
    """The examples that led to an artifact.

    Args:
        artifact: a folder of a store.

    Returns:
        "pairs" (count of each split), "set_aside" (count), "classes" (names), "source" (digest or name); of data in an object
        store "place" (its URL); of images without masks "unlabelled": their "domain", number of "images", "set_aside" and
        "place". None where the examples were removed.
    """
    for folder, recipe in walk(artifact):
        if recipe["component"] == "example_gen":
            ingestion = read_json(folder / "ingestion.json")
            found = {
                "pairs": ingestion["pairs"],
                "set_aside": count_set_aside(ingestion)[0],
                "classes": read_json(folder / "labels.json")["names"],
                "source": recipe["inputs"]["source"],
            }
            if others := ingestion.get("unlabelled"):
                found["unlabelled"] = {name: others[name] for name in ("domain", "images", "place") if name in others}
                found["unlabelled"]["set_aside"] = count_set_aside(ingestion)[1]
            return found | ({"place": ingestion["place"]} if "place" in ingestion else {})
    return None
