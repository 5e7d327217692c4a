"""The graph of components, and which part of it a command asks for.

A component's module is imported when the component has to work, so that a run in which everything is cached answers at once.
"""

from __future__ import annotations

import dataclasses
import importlib
import pathlib

from pipeline import machines
from pipeline.engine import progress
from pipeline.engine.files import read_json
from pipeline.engine.loading import component
from pipeline.engine.store import Artifact, Store, Untracked, external
from pipeline.evaluation import gate
from pipeline.publishing import versions
from pipeline.publishing.previous import previous_statistics
from pipeline.settings import config as settings
from pipeline.settings.trainer import choices, crf_choice
from pipeline.validation.anomalies import report

COMPONENTS = (
    "example_gen",
    "statistics_gen",
    "schema_gen",
    "example_validator",
    "transform",
    "trainer",
    "evaluator",
    "infra_validator",
    "pusher",
)
"""In the order in which they run."""


@dataclasses.dataclass(frozen=True)
class Stages:
    """The part of the line that a command asks for; all of it by default."""

    first: str = COMPONENTS[0]  # what comes before must be finished
    last: str = COMPONENTS[-1]  # what comes behind is left alone
    forced: tuple[str, ...] = ()  # compute again though they are finished
    explain: bool = False  # run nothing, say what would run and why

    @property
    def whole(self) -> bool:
        """Whether it ends with the pusher, and so with a report."""
        return self.last == COMPONENTS[-1] and not self.explain


def run(config: settings.Config, beam_options: list[str], stages: Stages) -> dict[str, pathlib.Path]:
    """Runs the part of the line; returns the folder of each artifact.

    Raises:
        ValueError: something before `stages.first` is not finished, or a component refuses what it is given.
    """
    before = COMPONENTS[: COMPONENTS.index(stages.first)]
    store, artifacts = Store(config.root, forced=stages.forced, required=before, explain=stages.explain), {}
    for name, artifact in steps(config, beam_options, store):
        artifacts[name] = artifact.path
        if name == "example_validator" and name not in before and not stages.explain:
            _note_anomalies(name, artifact.path)
        if name == stages.last:
            break
    return artifacts


def steps(config: settings.Config, beam_options: list[str], store: Store):
    """The nine components in order; Python's calls are the graph.

    Args:
        config: of the run.
        beam_options: Beam's command line.
        store: that runs them.

    Yields:
        Name and artifact of each, as soon as there is one; a caller that asks no further runs no further. Of several machines
        that train together, those that are not the chief end with the trainer, and have no artifact of it.
    """
    beam = Untracked(beam_options)
    c = config
    source = _source(config.data)
    classes = {"classes": external(config.classes)} if config.classes else {}
    examples = store.run(component("example_gen"), c.example_gen, source=source, **classes, beam_options=beam)
    yield "example_gen", examples
    if not store.explain:
        gate.check_thresholds(c.evaluator.thresholds, _class_names(examples.path))
    statistics = store.run(component("statistics_gen"), c.statistics_gen, examples=examples, beam_options=beam)
    yield "statistics_gen", statistics
    frozen = {"frozen": external(config.schema)} if config.schema else {}
    schema = store.run(component("schema_gen"), c.schema_gen, statistics=statistics, examples=examples, **frozen)
    yield "schema_gen", schema
    before = previous_statistics(pathlib.Path(config.push_to, config.name), store.root, statistics)
    previous = {"previous": before} if before else {}
    anomalies = store.run(
        component("example_validator"),
        c.example_validator,
        examples=examples,
        statistics=statistics,
        schema=schema,
        **previous,
    )
    yield "example_validator", anomalies
    transform = store.run(
        component("transform"), c.transform, examples=examples, statistics=statistics, beam_options=beam
    )
    yield "transform", transform
    training, chosen, name = component("trainer"), choices(c.trainer), Untracked(config.name)
    if c.trainer.strategy == "multiworker":
        training = machines.in_subprocess(training, config.wait_for_machines)
        if not (machines.here().chief or store.explain):
            store.join(training, c.trainer, choices=chosen, transform=transform, name=name)
            return
    model = store.run(training, c.trainer, choices=chosen, resume=True, transform=transform, name=name)
    yield "trainer", model
    evaluation = store.run(
        component("evaluator"),
        c.evaluator,
        choices=crf_choice("crf" in c.evaluator.refinements),
        model=model,
        examples=examples,
        transform=transform,
        statistics=statistics,
        **_baseline(config, model),
        beam_options=beam,
    )
    yield "evaluator", evaluation
    validation = store.run(
        component("infra_validator"),
        c.infra_validator,
        choices=crf_choice(c.trainer.crf is not None),
        model=model,
        examples=examples,
        transform=transform,
    )
    yield "infra_validator", validation
    target = pathlib.Path(config.push_to)
    pushed = store.run(
        component("pusher"),
        c.pusher,
        valid=_still_pushed,
        model=model,
        evaluation=evaluation,
        validation=validation,
        name=Artifact(config.name, config.name),  # pusher works on a place, so its recipe does name it
        target=Artifact(target, str(target.resolve())),
        fingerprint=Untracked(model.fingerprint),
    )
    yield "pusher", pushed


def _note_anomalies(name: str, folder: pathlib.Path):
    """What was found in the data, when the component has run and when it was cached."""
    if text := report(folder):
        progress.note(name, text)


def _source(data: str) -> Artifact:
    """The data as an input: generated ones are known by their name, all others by their content, those of TFDS too."""
    if data == "streets":
        return Artifact(data, data)
    if not data.startswith("tfds:"):
        return external(data)
    from pipeline.examples.sources.tfds_builder import tfds_builder

    return Artifact(data, external(tfds_builder(data.removeprefix("tfds:")).data_dir).fingerprint)


def _class_names(examples: pathlib.Path) -> list[str]:
    return read_json(examples / "labels.json")["names"]


def _baseline(config, model: Artifact) -> dict[str, Artifact]:
    """The newest pushed version that is another model: what the new one is compared with. None, where that is not wanted."""
    place = versions.newest_other(pathlib.Path(config.push_to, config.name), model.fingerprint)
    if place is None or config.evaluator.margin is None:
        return {}
    return {"baseline": Artifact(place, versions.fingerprint(place) or external(place).fingerprint)}


def _still_pushed(path) -> bool:
    return importlib.import_module("pipeline.components.pusher").still_pushed(path)
