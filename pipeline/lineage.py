"""python -m pipeline.lineage savedmodels/NAME/VERSION: the data, settings, code, packages and scores of a pushed model.

Reads what was pushed with the model, so it works without the store, and holds all files against the list that was pushed with
them: damage is named, and a damaged lineage is not repeated. Standard library only.
"""

from __future__ import annotations

import functools
import hashlib
import json
import pathlib
import sys

from kseg.pairs.split_names import TARGET
from kseg.serving.manifest import read_manifest
from pipeline.engine.arguments import Parser
from pipeline.engine.console import run_command
from pipeline.engine.contents import MANIFEST, damage
from pipeline.engine.files import read_json
from pipeline.publishing.entries import LINEAGE

PROG = "python -m pipeline.lineage"


def main(argv: list[str] | None = None, prog: str = PROG) -> int:
    """Prints the lineage; returns the exit status: 0 done, 2 where there is none or a file is damaged, 130 interrupted."""
    return run_command(functools.partial(_print, prog=prog), argv)


def _print(argv: list[str], prog: str) -> int:
    arguments, _ = build_parser(prog).parse(argv)
    found = lineage(arguments.version)
    print(json.dumps(found, indent=1) if arguments.json else text(found))
    if found["damage"]:
        raise _damage_error(arguments.version, found["damage"])
    return 0


def build_parser(prog: str = PROG) -> Parser:
    """The parser of this command."""
    parser = Parser(prog, "The data, settings, code, packages and scores of a pushed model.")
    parser.add_argument("version", type=pathlib.Path, help="folder of a pushed version: savedmodels/NAME/VERSION")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    return parser


def lineage(version: pathlib.Path) -> dict:
    """What led to a pushed model.

    Args:
        version: folder of a version.

    Returns:
        "model" (fingerprint), "artifact" (its folder in the store), "data", "settings", "code" and "inputs" by component,
        "versions" of packages, "pretrained": the weights that training began with, or None, "scores", "parent": the
        version that it was compared with, {"version", "fingerprint"}, or None, and "damage": a phrase for each file that is not
        as it was pushed, or None where no list of files was pushed.

    Raises:
        ValueError: there is no lineage, or it is damaged itself.
    """
    cure = "Roll back, or remove that folder: the next run pushes the model again."
    pushed = read_json(version / LINEAGE, {}, cure=cure)
    if not pushed:
        raise ValueError(
            f"A pushed version must hold its lineage. Received: no {LINEAGE} [{version}]. Name the folder of one version that "
            "the pipeline pushed, such as savedmodels/streets/1."
        )
    damaged = damage(version) if (version / MANIFEST).is_file() else None
    if damaged and any(phrase.startswith(f"{LINEAGE}: ") for phrase in damaged):
        raise _damage_error(version, damaged)
    try:
        return _read(pushed) | {"pretrained": _pretrained(version, damaged), "damage": damaged}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"A lineage must be as it was pushed. Received: one without {error} [{version / LINEAGE}]. {cure}"
        ) from error


def _damage_error(version: pathlib.Path, damaged: list[str]) -> ValueError:
    return ValueError(
        f"A pushed version must be as it was pushed. Received: {'; '.join(damaged)} [{version}]. Give the command that pushed it "
        "again, which pushes it anew, or roll back with --rollback."
    )


def _pretrained(version: pathlib.Path, damaged: list[str] | None) -> dict | None:
    """What the export says of the weights that its training began with."""
    return None if damaged else read_manifest(version).get("pretrained")


def _read(pushed: dict) -> dict:
    """The lineage in the words of `lineage`."""
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


def text(found: dict) -> str:
    """A lineage as text, with one digest of the code per component, which changes when any of its modules does."""
    scores, data = found["scores"], found["data"]
    rows = [("model", found["model"]), ("artifact", found["artifact"])]
    if data:
        pairs = ", ".join(f"{split} {count}" for split, count in data["pairs"].items())
        rows.append(("data", f"{pairs} pairs, {data['set_aside']} set aside; {len(data['classes'])} classes"))
        if others := data.get("unlabelled"):
            domain = "of another domain" if others["domain"] == TARGET else "of the same domain"
            place = f", read from {others['place']}" if others.get("place") else ""
            aside = f", {others['set_aside']} set aside" if others.get("set_aside") else ""
            rows.append(("", f"{others['images']} images without masks, {domain}{place}{aside}"))
        rows.append(("", f"source {data['source']}"))
        rows += [("", f"read from {data['place']}")] if data.get("place") else []
    for component, config in found["settings"].items():
        rows += [("settings", f"{component}.{name} = {json.dumps(value)}") for name, value in config.items()]
    for component, modules in found["code"].items():
        digest = hashlib.sha256(json.dumps(modules, sort_keys=True).encode()).hexdigest()[:16]
        rows.append(("code", f"{component} {digest} ({len(modules)} modules)"))
    if pretrained := found["pretrained"]:
        kept = ("encoder", "weights", "sha256", "package", "licence", "source")
        rows += [("weights", f"{name} {pretrained[name]}") for name in kept if pretrained.get(name)]
    rows += [("versions", f"{name} {version}") for name, version in found["versions"].items()]
    rows.append(("scores", f"on {scores['split']}, {scores['images']} images"))
    summary = {name: value for name, value in scores["original_size"].items() if isinstance(value, float)}
    rows += [("", f"{name} {value:.4f}") for name, value in summary.items()]
    for name, value in zip(scores["classes"], scores["original_size"]["iou"], strict=True):
        rows.append(("", f"iou {name} {'absent' if value is None else f'{value:.4f}'}"))
    parent = found["parent"]
    rows.append(("parent", f"version {parent['version']}, {parent['fingerprint']}" if parent else "none"))
    files = ["not checked: no list of them was pushed"] if found["damage"] is None else found["damage"]
    rows += [("files", phrase) for phrase in files or ["as they were pushed"]]
    shown, last = [], None
    for head, row in rows:
        shown.append(f"{'' if head == last else head:10}{row}")
        last = head or last
    return "\n".join(shown)


if __name__ == "__main__":
    sys.exit(main())
