"""pusher: publishes a model that both verdicts bless as the next version at the target, by one rename.

The only component that acts outside `out`; `pipeline/publishing/versions.py` adds and removes versions, for a target in an object
store in a local copy, from which `remote.py` brings what changed there. It does not push what evaluator or infra_validator did
not bless, nor a model that was rolled back there, and records why. What it pushed is loaded at its place, or in the copy, in a
fresh process before anything says so. Standard library only, beside the packages of object stores.
"""

from __future__ import annotations

import functools
import pathlib

from pipeline.engine import contents, progress
from pipeline.engine.ancestry import RECIPE, collect_recipes, describe_data
from pipeline.engine.files import read_json, write_json
from pipeline.publishing import entries, remote, server_configs, server_process, versions
from pipeline.report import model_card
from pipeline.settings.pusher import Pusher
from pipeline.storage.copies import say_url


def pusher(
    out: pathlib.Path,
    config: Pusher,
    *,
    export: pathlib.Path,
    evaluation: pathlib.Path,
    validation: pathlib.Path,
    anomalies: pathlib.Path | None = None,
    name: str,
    target: pathlib.Path | str,
    fingerprint: str,
    copy: pathlib.Path | None = None,
):
    """Copies `export/saved_model` to `target/<name>/<next version>` if both verdicts allow; writes `out/pushed.json`.

    The model card is added. If the newest version is already this model, it is recorded and nothing is copied. Afterwards the
    oldest versions are removed, and `config.keep` remain, and the files that TensorFlow Serving reads beside the models are
    written.

    Args:
        out: folder to write below.
        config: number of versions to keep.
        export: artifact of the exporter.
        evaluation: artifact of the evaluator.
        validation: artifact of the infra_validator.
        anomalies: artifact of example_validator, which the model card names; None: it is left out.
        name: of the model.
        target: folder of pushed models, or its URL.
        fingerprint: of the model.
        copy: of a target that is a URL.

    Raises:
        BaselineChanged: the newest version is no longer the one that the evaluator compared the model with.
        ValueError: the version does not load at its place, or none would be kept.
    """
    records = {"export": export, "evaluation": evaluation, "validation": validation, "anomalies": anomalies}
    push = functools.partial(_push, config, records, name, fingerprint)
    if copy is None:
        write_json(out / "pushed.json", push(pathlib.Path(target).resolve()))
        return
    for attempt in range(1, remote.ATTEMPTS + 1):
        try:
            with remote.updating(target, copy, name) as others:
                result = push(copy, url=target, others=others)
            break
        except remote.NumberTaken:
            if attempt == remote.ATTEMPTS:
                raise
            progress.print_message(f"another run pushed to {target}/{name} at the same moment: once more")
    write_json(out / "pushed.json", say_url(result, copy, target) | {"copy": str(copy)})


def _push(config, records: dict, name: str, fingerprint: str, place: pathlib.Path, *, url=None, others=()) -> dict:
    """Publishes the model below `place` if both verdicts allow; returns what `pushed.json` holds."""
    export, evaluation, validation = (records[key] for key in ("export", "evaluation", "validation"))
    scores = read_json(evaluation / "scores.json")
    infra = read_json(validation / "infra.json")
    reasons = [
        f"{reason} See {path}."
        for verdict, path in ((scores, evaluation / "scores.json"), (infra, validation / "infra.json"))
        if not verdict["blessed"]
        for reason in verdict["reasons"] or ["The model is not blessed."]
    ]
    folder = place / name
    moved_out = entries.find_rolled_back(folder, fingerprint, export / "saved_model")
    if moved_out:
        reasons.append(
            f"A model that was rolled back must not be pushed again. Received: the model of {moved_out}. Remove that folder to "
            "push it nevertheless."
        )
    result = {"name": name, "target": str(place), "fingerprint": fingerprint}
    result |= {"version": None, "pushed": False, "reasons": reasons, "moved_out": moved_out and str(moved_out)}
    if not reasons:
        lineage = {
            "fingerprint": fingerprint,
            "artifact": str(export),
            "recipe": read_json(export / RECIPE, None),
            "scores": scores,
        }
        lineage |= {"data": describe_data(export), "ancestry": collect_recipes(export, evaluation, validation)}
        lineage |= {"verdicts": [evaluation.name, validation.name]}
        baseline = _baseline(evaluation, scores)
        check = server_process.check_loads
        texts = {entries.CARD: model_card.model_card(name, **records)}
        version = versions.publish(export / "saved_model", folder, lineage, texts, baseline=baseline, check=check)
        result |= {"version": version, "pushed": True}
        server_configs.write_configs(place, url=url, others=others)
        versions.prune(folder, config.keep)
    return result


def _baseline(evaluation: pathlib.Path, scores: dict) -> str | None:
    """What the evaluator compared the model with; `ANY_BASELINE` where it was not to compare it."""
    if scores.get("gate", {}).get("margin") is None:
        return versions.ANY_BASELINE
    return read_json(evaluation / RECIPE)["inputs"].get("baseline")


def still_pushed(out: pathlib.Path) -> bool:
    """Whether `out/pushed.json` still holds: its version is at the target, with every file as it was pushed.

    What is damaged is named. If nothing was pushed, it holds unless the rollback for which a model was refused has been undone or
    is new.
    """
    record = entries.read_table(pathlib.Path(out) / "pushed.json")
    if not record:
        return False
    place = pathlib.Path(record.get("copy") or record["target"])
    folder = place / record["name"]
    if not record["pushed"]:
        moved_out = entries.find_rolled_back(folder, record["fingerprint"])
        return (moved_out and say_url(str(moved_out), place, record["target"])) == record["moved_out"]
    version = folder / str(record["version"])
    damage = contents.damage(version)
    if damage and version.is_dir():
        shown = say_url(str(version), place, record["target"])
        progress.print_status("pusher", f"{shown} is damaged: {contents.shorten(damage)}")
    return not damage and entries.read_fingerprint(version) == record["fingerprint"]
