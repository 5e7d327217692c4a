"""What the sections show: the files of a run, read once. Standard library only."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

from kseg.labels import LabelMap
from pipeline.engine.files import read_json

FILES = {
    "ingestion": ("example_gen", "ingestion.json"),
    "statistics": ("statistics_gen", "statistics.json"),
    "anomalies": ("example_validator", "anomalies.json"),
    "plan": ("transform", "plan.json"),
    "history": ("trainer", "history.json"),
    "training": ("trainer", "training.json"),
    "scores": ("evaluator", "scores.json"),
    "infra": ("infra_validator", "infra.json"),
    "pushed": ("pusher", "pushed.json"),
}

NONE = {"anomalies": []}  # of artifacts from before transform looked for any


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        name: of the model.
        artifacts: folder of each component.
        labels: the classes.
        faults: messages about what lies among the pushed versions and is none.
        planned: what the planner chose; empty where it did not run.
        ingestion, statistics, anomalies, plan, history, training, scores, infra, pushed: contents of `FILES`.
    """

    name: str
    artifacts: dict[str, pathlib.Path]
    labels: LabelMap
    faults: Sequence[str]
    planned: dict
    ingestion: dict
    statistics: dict
    anomalies: dict
    plan: dict
    history: dict
    training: dict
    scores: dict
    infra: dict
    pushed: dict

    @classmethod
    def read(cls, name: str, artifacts: dict[str, pathlib.Path], faults: Sequence[str] = ()) -> Run:
        """Reads the files of all components."""
        files = {key: read_json(artifacts[component] / file) for key, (component, file) in FILES.items()}
        files["anomalies"]["anomalies"] += read_json(artifacts["transform"] / "anomalies.json", NONE)["anomalies"]
        planned = read_json(artifacts["planner"] / "plan.json") if "planner" in artifacts else {}
        return cls(name, artifacts, LabelMap.load(artifacts["example_gen"]), faults, planned, **files)
