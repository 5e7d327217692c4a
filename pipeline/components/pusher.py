"""pusher: publishes a model that both verdicts bless as the next version at the target, by one rename.

The only component that acts outside `out`; `pipeline/publishing/versions.py` adds and removes versions. It does not push what
evaluator or infra_validator did not bless, nor a model that was rolled back there, and records why. What it pushed is loaded at
its place in a fresh process before anything says so. Standard library only.
"""

from __future__ import annotations

import pathlib

from pipeline.engine import contents, progress
from pipeline.engine.ancestry import RECIPE, collect_recipes, describe_data
from pipeline.engine.files import read_json, write_json
from pipeline.publishing import entries, server_configs, server_process, versions
from pipeline.report import model_card
from pipeline.settings.pusher import Pusher


def pusher(
    out: pathlib.Path,
    config: Pusher,
    *,
    export: pathlib.Path,
    evaluation: pathlib.Path,
    validation: pathlib.Path,
    anomalies: pathlib.Path | None = None,
    name: str,
    target: pathlib.Path,
    fingerprint: str,
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
        target: folder of pushed models.
        fingerprint: of the model.

    Raises:
        BaselineChanged: the newest version is no longer the one that the evaluator compared the model with.
        ValueError: the version does not load at its place, or none would be kept.
    """
    scores = read_json(evaluation / "scores.json")
    infra = read_json(validation / "infra.json")
    reasons = [
        f"{reason} See {path}."
        for verdict, path in ((scores, evaluation / "scores.json"), (infra, validation / "infra.json"))
        if not verdict["blessed"]
        for reason in verdict["reasons"] or ["The model is not blessed."]
    ]
    folder = pathlib.Path(target).resolve() / name
    moved_out = entries.find_rolled_back(folder, fingerprint, export / "saved_model")
    if moved_out:
        reasons.append(
            f"A model that was rolled back must not be pushed again. Received: the model of {moved_out}. Remove that folder to "
            "push it nevertheless."
        )
    result = {"name": name, "target": str(folder.parent), "fingerprint": fingerprint}
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
        records = {"export": export, "evaluation": evaluation, "validation": validation, "anomalies": anomalies}
        texts = {entries.CARD: model_card.model_card(name, **records)}
        version = versions.publish(export / "saved_model", folder, lineage, texts, baseline=baseline, check=check)
        result |= {"version": version, "pushed": True}
        server_configs.write_configs(folder.parent)
        versions.prune(folder, config.keep)
    write_json(out / "pushed.json", result)


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
    folder = pathlib.Path(record["target"], record["name"])
    if not record["pushed"]:
        moved_out = entries.find_rolled_back(folder, record["fingerprint"])
        return (moved_out and str(moved_out)) == record["moved_out"]
    version = folder / str(record["version"])
    damage = contents.damage(version)
    if damage and version.is_dir():
        progress.print_status("pusher", f"{version} is damaged: {contents.shorten(damage)}")
    return not damage and entries.read_fingerprint(version) == record["fingerprint"]
