"""python -m pipeline.lineage savedmodels/NAME/VERSION: the data, settings, code, packages and scores of a pushed model.

Reads the one file that was pushed with the model, so it answers where the store is gone. Standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pathlib
import sys

from pipeline.engine.files import read_json
from pipeline.publishing.versions import LINEAGE


def main(argv: list[str] | None = None) -> int:
    """Prints the lineage; returns the exit status, 2 where there is none."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.lineage", description=__doc__.split("\n\n")[0])
    parser.add_argument("version", type=pathlib.Path, help="folder of a pushed version: savedmodels/NAME/VERSION")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    arguments = parser.parse_args(argv)
    try:
        said = lineage(arguments.version)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(said, indent=1) if arguments.json else text(said))
    return 0


def lineage(version: pathlib.Path) -> dict:
    """What is known of a pushed model.

    Args:
        version: folder of a version.

    Returns:
        "model" (fingerprint), "artifact" (its folder in the store), "data", "settings" and "code" by component, "versions" of
        packages, "scores" and "parent": the version that it was compared with, {"version", "fingerprint"}, or None.

    Raises:
        ValueError: no lineage lies there.
    """
    pushed = read_json(version / LINEAGE, None)
    if not pushed:
        raise ValueError(
            f"A pushed version must hold its lineage. Received: no {LINEAGE} [{version}]. Name the folder of one version that "
            "the pipeline pushed, such as savedmodels/streets/1."
        )
    recipes = pushed.get("ancestry") or {"trainer": pushed["recipe"]}
    scores = pushed["scores"]
    parent = scores.get("baseline")
    return {
        "model": pushed["fingerprint"],
        "artifact": pushed["artifact"],
        "data": pushed.get("data"),
        "settings": {name: recipe["config"] for name, recipe in recipes.items()},
        "code": {name: recipe["code"] for name, recipe in recipes.items()},
        "inputs": {name: recipe["inputs"] for name, recipe in recipes.items()},
        "versions": {
            "python": recipes["trainer"]["python"],
            **dict(sorted(item for recipe in recipes.values() for item in recipe["packages"].items())),
        },
        "scores": scores,
        "parent": parent
        and {
            "version": parent["version"],
            "fingerprint": recipes.get("evaluator", {}).get("inputs", {}).get("baseline"),
        },
    }


def text(said: dict) -> str:
    """The lineage for people; of the code one digest for each component, which changes when any of its modules does."""
    scores, data = said["scores"], said["data"]
    rows = [("model", said["model"]), ("artifact", said["artifact"])]
    if data:
        pairs = ", ".join(f"{split} {count}" for split, count in data["pairs"].items())
        rows.append(("data", f"{pairs} pairs, {data['set_aside']} set aside; {len(data['classes'])} classes"))
        rows.append(("", f"source {data['source']}"))
    for component, config in said["settings"].items():
        rows += [("settings", f"{component}.{name} = {json.dumps(value)}") for name, value in config.items()]
    for component, modules in said["code"].items():
        digest = hashlib.sha256(json.dumps(modules, sort_keys=True).encode()).hexdigest()[:16]
        rows.append(("code", f"{component} {digest} ({len(modules)} modules)"))
    rows += [("versions", f"{name} {version}") for name, version in said["versions"].items()]
    rows.append(("scores", f"on {scores['split']}, {scores['images']} images"))
    summary = {name: value for name, value in scores["original_size"].items() if isinstance(value, float)}
    rows += [("", f"{name} {value:.4f}") for name, value in summary.items()]
    for name, value in zip(scores["classes"], scores["original_size"]["iou"], strict=True):
        rows.append(("", f"iou {name} {'absent' if value is None else f'{value:.4f}'}"))
    parent = said["parent"]
    rows.append(("parent", f"version {parent['version']}, {parent['fingerprint']}" if parent else "none"))
    shown, last = [], None
    for head, row in rows:
        shown.append(f"{'' if head == last else head:10}{row}")
        last = head or last
    return "\n".join(shown)


if __name__ == "__main__":
    sys.exit(main())
