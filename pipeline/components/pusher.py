"""pusher: publishes a model that both verdicts bless as the next version at the target, by one rename.

The only component that acts outside `out`; `pipeline/publishing/versions.py` adds and removes versions. It does not push what
evaluator or infra_validator did not bless, nor a model that was rolled back there, and records why. Standard library only.
"""

from __future__ import annotations

import pathlib

from pipeline.engine.ancestry import RECIPE, collect_recipes, describe_data
from pipeline.engine.files import read_json, write_json
from pipeline.publishing import versions
from pipeline.settings.pusher import Pusher


def pusher(
    out: pathlib.Path,
    config: Pusher,
    *,
    model: pathlib.Path,
    evaluation: pathlib.Path,
    validation: pathlib.Path,
    name: str,
    target: pathlib.Path,
    fingerprint: str,
):
    """Copies `model/saved_model` to `target/<name>/<next version>` if both verdicts allow; writes `out/pushed.json`.

    If the newest version is already this model, it is recorded and nothing is copied. Afterwards the oldest versions are removed,
    and `config.keep` remain.

    Args:
        out: folder to write below.
        config: number of versions to keep.
        model: artifact of the trainer.
        evaluation: artifact of the evaluator.
        validation: artifact of the infra_validator.
        name: of the model.
        target: folder of pushed models.
        fingerprint: of the model.

    Raises:
        ValueError: no version would be kept.
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
    moved_out = versions.find_rolled_back(folder, fingerprint)
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
            "artifact": str(model),
            "recipe": read_json(model / RECIPE, None),
            "scores": scores,
        }
        lineage |= {"data": describe_data(model), "ancestry": collect_recipes(model, evaluation, validation)}
        lineage |= {"verdicts": [evaluation.name, validation.name]}
        result |= {"version": versions.publish(model / "saved_model", folder, lineage), "pushed": True}
        versions.prune(folder, config.keep)
    write_json(out / "pushed.json", result)


def still_pushed(out: pathlib.Path) -> bool:
    """Whether `out/pushed.json` still holds: its version is at the target and is the same model.

    If nothing was pushed, it holds unless the rollback for which a model was refused has been undone or is new.
    """
    record = read_json(pathlib.Path(out) / "pushed.json")
    folder = pathlib.Path(record["target"], record["name"])
    if not record["pushed"]:
        moved_out = versions.find_rolled_back(folder, record["fingerprint"])
        return (moved_out and str(moved_out)) == record["moved_out"]
    return versions.read_fingerprint(folder / str(record["version"])) == record["fingerprint"]
