"""The graph of components, and the stages of it that a command runs.

A component's module is imported only when the component has to run, so a run in which everything is cached answers at once.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pathlib

from kseg._weight_packages import WEIGHT_PACKAGES
from pipeline import machines
from pipeline.engine import hardware, progress
from pipeline.engine.console import imports
from pipeline.engine.contents import file_digest
from pipeline.engine.file_digests import FileDigests
from pipeline.engine.files import read_json
from pipeline.engine.fingerprints import Artifact, Untracked, external
from pipeline.engine.loading import component, list_devices
from pipeline.engine.store import Store
from pipeline.engine.urls import is_url
from pipeline.evaluation import gate
from pipeline.planning.choosing import planned_network
from pipeline.planning.summary import summarize
from pipeline.publishing import entries, remote, versions
from pipeline.publishing.previous_statistics import previous_statistics
from pipeline.settings import config as settings
from pipeline.settings import encoders
from pipeline.settings.example_gen import take_classes
from pipeline.settings.exporter import Exporter, check_servable, check_working_size, crf_choice
from pipeline.settings.trainer import Trainer, choices
from pipeline.storage.copies import name_by_url
from pipeline.validation.anomalies import summarize_anomalies

COMPONENTS = (
    "example_gen",
    "statistics_gen",
    "schema_gen",
    "example_validator",
    "planner",
    "transform",
    "trainer",
    "exporter",
    "evaluator",
    "infra_validator",
    "pusher",
)
"""In the order in which they run."""


def components_of(config: settings.Config) -> tuple[str, ...]:
    """Those of COMPONENTS that run: the planner only where it has something to choose."""
    return tuple(name for name in COMPONENTS if name != "planner" or settings.is_planned(config))


@dataclasses.dataclass(frozen=True)
class Stages:
    """The stages that a command runs; by default all of them."""

    first: str = COMPONENTS[0]  # those before it must be finished
    last: str = COMPONENTS[-1]  # those after it do not run
    forced: tuple[str, ...] = ()  # run again even if they are finished
    explain: bool = False  # run nothing, report what would run and why
    verify: bool = False  # read all data and results anew

    @property
    def whole(self) -> bool:
        """Whether they end with the pusher, and so with a report."""
        return self.last == COMPONENTS[-1] and not self.explain


def run(config: settings.Config, beam_options: list[str], stages: Stages) -> dict[str, pathlib.Path]:
    """Runs the stages; returns the folder of each artifact.

    Raises:
        ValueError: a component before `stages.first` is not finished, or one refuses its inputs.
    """
    before = COMPONENTS[: COMPONENTS.index(stages.first)]
    store = Store(config.root, forced=stages.forced, required=before, explain=stages.explain, verify=stages.verify)
    artifacts = {}
    for name, artifact in compute(config, beam_options, store):
        artifacts[name] = artifact.path
        if name not in before and not stages.explain:
            note(name, artifact.path)
        if name == stages.last:
            break
    return artifacts


def compute(config: settings.Config, beam_options: list[str], store: Store):
    """Computes the components in order; the order of Python's calls is the graph.

    Args:
        config: settings of the run.
        beam_options: Beam's command line.
        store: runs each component, or finds its result.

    Yields:
        Name and artifact of each component as soon as it is finished; the next one runs when the caller takes the next pair. Of
        several machines, all but the chief end with the trainer and yield nothing for it. Where another run changes the newest
        pushed version meanwhile, evaluator and infra_validator come again: every model is compared with the one it replaces.
    """
    beam = Untracked(beam_options)
    c = config
    digests = FileDigests(config.root, anew=store.verify, write=not store.explain)
    source = _source(config, digests)
    pretrained, training_config = pretrained_weights(planned_network(c.trainer))  # refused before data are read
    ingestion, table = take_classes(c.example_gen, config.classes)
    classes = {"classes": external(table)} if table else {}
    others = _without_masks(config, digests)
    examples = store.run(component("example_gen"), ingestion, source=source, **others, **classes, beam_options=beam)
    yield "example_gen", examples
    if not store.explain:
        gate.check_thresholds(
            c.evaluator.thresholds, _class_names(examples.path), object_class=c.evaluator.object_class
        )
        gate.object_id(c.evaluator.object_class, _class_names(examples.path))
    statistics = store.run(component("statistics_gen"), c.statistics_gen, examples=examples, beam_options=beam)
    yield "statistics_gen", statistics
    if not store.explain:
        splits = read_json(statistics.path / "statistics.json")["splits"]
        settings.check_splits(c, splits)
        check_servable(c.exporter, len(_class_names(examples.path)), _image_sizes(splits))
    frozen = {"frozen": external(config.schema)} if config.schema else {}
    schema = store.run(component("schema_gen"), c.schema_gen, statistics=statistics, examples=examples, **frozen)
    yield "schema_gen", schema
    before = previous_statistics(remote.refresh(c.push_to, c.root, c.name) / c.name, store.root, statistics)
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
    planned = {}
    if settings.is_planned(c):
        planned["planned"] = store.run(
            component("planner"),
            c.planner,
            choices=choices(planned_network(c.trainer)),
            statistics=statistics,
            machine=Artifact(hardware.kind(), hardware.kind()),
        )
        yield "planner", planned["planned"]
        file = planned["planned"].path / "plan.json"
        if not file.is_file():  # nothing runs
            progress.print_status("planner", "what follows depends on the plan")
            return
        c = settings.apply_plan(c, read_json(file))
        settings.check_sizes(c)
        pretrained, training_config = pretrained_weights(c.trainer)
    transform = store.run(
        component("transform"), c.transform, examples=examples, statistics=statistics, beam_options=beam
    )
    if plan := read_json(transform.path / "plan.json", {}):
        check_working_size(c.exporter, len(_class_names(examples.path)), plan)
    yield "transform", transform
    training, chosen, name = component("trainer"), choices(c.trainer), Untracked(config.name)
    if c.trainer.strategy == "multiworker":
        training = machines.in_subprocess(training, config.wait_for_machines)
        if not (machines.this_machine().is_chief or store.explain):
            store.join(
                training, training_config, choices=chosen, transform=transform, **pretrained, **planned, name=name
            )
            return
    model = store.run(
        training, training_config, choices=chosen, resume=True, transform=transform, **pretrained, **planned, name=name
    )
    yield "trainer", model
    exported = export(c.exporter, store, model, transform, examples)
    yield "exporter", exported
    _note_faults(config)
    while True:
        baseline = pushed_baseline(config, exported)
        try:
            evaluation = store.run(
                component("evaluator"),
                c.evaluator,
                choices=crf_choice("crf" in c.evaluator.refinements),
                export=exported,
                examples=examples,
                transform=transform,
                statistics=statistics,
                **baseline,
                beam_options=beam,
            )
            yield "evaluator", evaluation
            validation = store.run(
                component("infra_validator"),
                c.infra_validator,
                choices=crf_choice(c.exporter.crf is not None),
                model=model,
                export=exported,
                examples=examples,
                transform=transform,
            )
            yield "infra_validator", validation
            pushed = push(config, store, exported, evaluation, validation, anomalies)
        except (versions.BaselineChanged, FileNotFoundError):  # found by the pusher; pruned while the evaluator read it
            if "evaluator" in store.required or pushed_baseline(config, exported) == baseline:
                raise
            progress.print_status("versions", "The newest one changed meanwhile: the model is compared with it again.")
        else:
            yield "pusher", pushed
            return


def export(config: Exporter, store: Store, model: Artifact, transform: Artifact, examples: Artifact) -> Artifact:
    """Runs the exporter.

    Args:
        config: its settings.
        store: that runs it.
        model: artifact of the trainer, or of fold_mean.
        transform: by whose plan it was trained.
        examples: whose images other runtimes are compared on.
    """
    chosen, compared = crf_choice(config.crf is not None), {"examples": examples} if config.formats else {}
    return store.run(component("exporter"), config, choices=chosen, model=model, transform=transform, **compared)


def push(
    config: settings.Config,
    store: Store,
    exported: Artifact,
    evaluation: Artifact,
    validation: Artifact,
    anomalies: Artifact,
) -> Artifact:
    """Runs the pusher.

    Args:
        config: settings of the run.
        store: that runs it.
        exported: artifact of the exporter, what is pushed.
        evaluation: with the verdict on its scores.
        validation: with the verdict on its export.
        anomalies: artifact of example_validator, for the model card.
    """
    target, copy = pathlib.Path(config.push_to), None
    if is_url(config.push_to):
        target, copy = config.push_to, remote.local_folder(config.push_to, config.root)
    return store.run(
        component("pusher"),
        config.pusher,
        valid=_still_pushed,
        export=exported,
        evaluation=evaluation,
        validation=validation,
        anomalies=anomalies,
        name=Artifact(config.name, config.name),  # pusher writes to a place, so its recipe names it
        target=Artifact(target, str(target if copy else target.resolve())),
        fingerprint=Untracked(exported.fingerprint),
        copy=Untracked(copy),
    )


def note(name: str, folder: pathlib.Path):
    """Prints the anomalies of the data, or the plan, whether the component ran or was cached; nothing of other components."""
    if name in ("example_validator", "transform") and (text := summarize_anomalies(folder)):
        progress.print_status(name, text)
    if name == "planner":
        for text in summarize(read_json(folder / "plan.json")):
            progress.print_status("planner", text)


def _source(config, digests: FileDigests) -> Artifact:
    """The data as an input; nothing that reads files is imported for generated ones."""
    if config.data == "streets":
        return Artifact(config.data, config.data)
    from pipeline.examples.sources.fingerprints import source_artifact

    return source_artifact(_on_disk("--data", config.data, config.root, digests), config.example_gen, digests)


def _on_disk(flag: str, place: str, root: str, digests: FileDigests) -> str:
    """A place of data; of one in an object store its copy, brought up to date."""
    if not is_url(place):
        return place
    from pipeline.storage.fetching import bring_data

    return str(bring_data(place, root, flag, anew=digests.anew))


def _without_masks(config, digests: FileDigests) -> dict[str, Artifact]:
    """The folder of images without masks as an input; empty where there is none."""
    given = settings.without_masks(config)
    if given is None:
        return {}
    from pipeline.examples.sources.fingerprints import source_artifact

    flag, folder = given
    alone = dataclasses.replace(config.example_gen, layout=None, images=None, masks=None, data_root=None)
    return {flag.removeprefix("--"): source_artifact(_on_disk(flag, folder, config.root, digests), alone, digests)}


def pretrained_weights(trainer) -> tuple[dict[str, Artifact], Trainer]:
    """The file of weights that the trunk begins with, as an input, and the trainer's settings without its place.

    What keras.applications offers is no input: the version of Keras, which the recipe holds, stands for it.

    Raises:
        ValueError: it is not the file known here, or does not hold the encoder's weights.
    """
    if trainer.weights is None:
        return {}, trainer
    encoder = encoders.named_encoder(trainer)
    path = encoders.weights_file(encoder, trainer.weights)
    if encoder not in WEIGHT_PACKAGES or trainer.weights != encoders.IMAGENET:  # known by no digest: try it now
        with imports():
            from pipeline.networks.trunk import check_weights

            list_devices()
        check_weights(trainer)
    if path is None:
        return {}, trainer
    weights = Artifact(path, file_digest(path), rehash=functools.partial(file_digest, path))
    name = encoders.IMAGENET if trainer.weights == encoders.IMAGENET else encoders.FILE
    return {"weights": weights}, dataclasses.replace(trainer, weights=name)


def _class_names(examples: pathlib.Path) -> list[str]:
    return read_json(examples / "labels.json")["names"]


def _image_sizes(splits: dict[str, dict]) -> list[tuple[int, int]]:
    """(width, height) of the images of all splits, from their statistics."""
    return sorted({tuple(map(int, size.split("x"))) for split in splits.values() for size in split["sizes"]})


def _note_faults(config):
    """Prints what lies among the pushed versions and is none, or is damaged."""
    folder = remote.local_folder(config.push_to, config.root) / config.name
    for text in entries.describe_faults(folder):
        progress.print_status("versions", name_by_url(text, folder))


def pushed_baseline(config, exported: Artifact) -> dict[str, Artifact]:
    """The newest pushed version that is another model, to compare with; empty where there is none or no margin is set."""
    if config.evaluator.margin is None:
        return {}
    folder = remote.refresh(config.push_to, config.root, config.name) / config.name
    version = entries.newest_other_version(folder, exported.fingerprint, exported.path / "saved_model")
    return {} if version is None else {"baseline": entries.identify(version)}


def _still_pushed(path) -> bool:
    return importlib.import_module("pipeline.components.pusher").still_pushed(path)
