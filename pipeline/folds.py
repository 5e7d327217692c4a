"""Cross-validation of a whole run: which components run for each fold, and what becomes of their networks.

    example_gen ... planner, transform, of all pairs
    for each fold   fold -> statistics_gen, transform -> trainer -> evaluator
    cross_validation of all evaluations; on request fold_mean of all networks -> evaluator, if there is a test split
                                                                              -> infra_validator -> pusher

Every component has a recipe of its own, as in `pipeline/line.py`, so a second run finds all folds cached, and another number of
folds trains all anew. Refused: stages, and several machines.
"""

from __future__ import annotations

import dataclasses
import pathlib

from pipeline import line
from pipeline.engine.files import read_json
from pipeline.engine.fingerprints import Artifact, Untracked
from pipeline.engine.loading import component
from pipeline.engine.store import Store
from pipeline.examples.folds import check_pairs
from pipeline.settings import config as settings
from pipeline.settings.exporter import crf_choice
from pipeline.settings.fold import Fold, FoldMean
from pipeline.settings.trainer import choices

TEST = "test"


def check(config: settings.Config, stages: line.Stages):
    """Refuses what does not go with --folds.

    Raises:
        ValueError: an argument does not.
    """
    if config.export_mean and not config.folds:
        raise ValueError("--export-mean goes with --folds. Received: --export-mean without it. Add --folds 5.")
    if config.folds and (stages.first != line.COMPONENTS[0] or stages.last != line.COMPONENTS[-1]):
        raise ValueError(
            f"--folds runs every component. Received: --folds {config.folds} with --from, --until, --only or --dry-run. "
            "Leave them out."
        )
    if config.folds and config.trainer.train_on_validation:
        raise ValueError(
            "A cross-validation trains on the pairs of all splits but test. "
            f"Received: --folds {config.folds} with trainer.train_on_validation=true. Leave one out."
        )
    if config.folds and config.evaluator.split not in ("auto", TEST):
        raise ValueError(
            "A cross-validation scores each pair by the network that did not see it, and the mean of all on the test split. "
            f"Received: --folds {config.folds} with evaluator.split={config.evaluator.split}, from which the networks learn. "
            "Leave it out."
        )
    if config.folds and config.evaluator.refinements and not config.export_mean:
        raise ValueError(_unrefined(config, "without --export-mean. Add it, or leave the refinements out."))
    if config.folds and config.trainer.strategy == "multiworker":
        raise ValueError(
            f"--folds trains on one machine. Received: --folds {config.folds} --strategy multiworker. Choose another strategy."
        )


def _unrefined(config: settings.Config, cure: str) -> str:
    """The message about refinements that no score would show, with what is missing and the cure."""
    return (
        "Refinements of a cross-validation are scored on the test split, with the mean of the folds' networks. "
        f"Received: --folds {config.folds} with evaluator.refinements={','.join(config.evaluator.refinements)} {cure}"
    )


def run(config: settings.Config, beam_options: list[str], stages: line.Stages) -> dict[str, pathlib.Path]:
    """Trains and scores each fold; returns the folders of "cross_validation" and, of what was exported, of its components."""
    store = Store(config.root, forced=stages.forced, explain=stages.explain, verify=stages.verify)
    beam = Untracked(beam_options)
    validator = dataclasses.replace(config.example_validator, cross_validated=True)
    config = dataclasses.replace(config, example_validator=validator)
    whole = _prepare(config, beam_options, store, stages)
    if "transform" not in whole:  # it depends on a plan that is not made yet, and this run makes nothing
        return {}
    planned = {"planned": whole["planner"]} if "planner" in whole else {}
    if planned:
        config = settings.apply_plan(config, read_json(whole["planner"].path / "plan.json"))
        config = bound_validation(config, whole["example_gen"].path)
    fitted = config.transform
    plan = read_json(whole["transform"].path / "plan.json", {})
    if plan.get("image_size"):  # all networks see images of one size, whatever the median of their fold
        fitted = dataclasses.replace(fitted, image_size=tuple(plan["image_size"]))
    normalized = (
        {"normalized_as": whole["transform"]} if plan.get("normalization") else {}
    )  # as the mean of all networks is
    scored_alone = dataclasses.replace(
        config.evaluator,
        split=TEST,
        margin=None,
        min_gain=-1.0,
        min_mean_iou=0.0,
        thresholds={},
        refinements=(),
        crf=None,
    )
    scored_export = dataclasses.replace(config.exporter, formats=())
    pretrained, training_config = line.pretrained_weights(config.trainer)

    # Train and score each fold.
    models, evaluations = {}, {}
    for number in range(config.folds):
        part = store.run(
            component("fold"),
            Fold(config.folds, number),
            examples=whole["example_gen"],
            statistics=whole["statistics_gen"],
            beam_options=beam,
        )
        statistics = store.run(component("statistics_gen"), config.statistics_gen, examples=part, beam_options=beam)
        transform = store.run(
            component("transform"), fitted, examples=part, statistics=statistics, **normalized, beam_options=beam
        )
        model = store.run(
            component("trainer"),
            training_config,
            choices=choices(config.trainer),
            resume=True,
            transform=transform,
            **pretrained,
            **planned,
            name=Untracked(f"{config.name}-fold{number + 1}"),
        )
        models[f"model_{number:02}"] = model
        evaluations[f"evaluation_{number:02}"] = store.run(
            component("evaluator"),
            scored_alone,
            choices=crf_choice(False),
            export=line.export(scored_export, store, model, transform, part),
            examples=part,
            transform=transform,
            statistics=statistics,
            beam_options=beam,
        )
    result = store.run(component("cross_validation"), config.evaluator, **evaluations)
    artifacts = {"cross_validation": result}
    if config.export_mean:
        artifacts |= _export(config, store, beam, whole, models, result)
    return {name: artifact.path for name, artifact in artifacts.items()}


def _prepare(config, beam_options, store, stages) -> dict[str, Artifact]:
    """Runs the line on all pairs up to transform."""
    artifacts = {}
    for name, artifact in line.compute(config, beam_options, store):
        artifacts[name] = artifact
        if not stages.explain:
            line.note(name, artifact.path)
            if name == "example_gen":
                _check_pairs(config, artifact.path)
        if name == "transform":
            break
    return artifacts


def bound_validation(config: settings.Config, examples: pathlib.Path) -> settings.Config:
    """A planned run in which no more pairs score an epoch than the plan counted with.

    A fold has no validation split: the pairs that it learns from would all score each epoch, which takes longer than planned.

    Args:
        config: settings of the run, with those that the planner chose.
        examples: artifact of example_gen.
    """
    pairs = _split_sizes(examples).get("validation")
    if pairs is None or config.trainer.validation_pairs or "trainer.validation_pairs=none" in config.planner.given:
        return config
    return settings.replace_setting(config, "trainer.validation_pairs", pairs)


def _check_pairs(config: settings.Config, examples: pathlib.Path):
    """Refuses fewer pairs than folds, and refinements without a test split, before anything is planned and trained."""
    sizes = _split_sizes(examples)
    check_pairs(sum(number for split, number in sizes.items() if split != TEST), config.folds)
    if config.evaluator.refinements and TEST not in sizes:
        raise ValueError(_unrefined(config, "and data without a test split. Leave the refinements out."))


def _export(config, store, beam, whole, models, result) -> dict[str, Artifact]:
    """Averages the networks, checks the mean, and pushes it where the gate allows."""
    model = store.run(
        component("fold_mean"), FoldMean(), choices=crf_choice(False), examples=whole["example_gen"], **models
    )
    exported = line.export(config.exporter, store, model, whole["transform"], whole["example_gen"])
    evaluation = result
    if has_test_split(whole["example_gen"].path):
        evaluation = store.run(
            component("evaluator"),
            config.evaluator,
            choices=crf_choice("crf" in config.evaluator.refinements),
            export=exported,
            examples=whole["example_gen"],
            transform=whole["transform"],
            statistics=whole["statistics_gen"],
            **line.pushed_baseline(config, exported),
            beam_options=beam,
        )
    validation = store.run(
        component("infra_validator"),
        config.infra_validator,
        choices=crf_choice(config.exporter.crf is not None),
        model=model,
        export=exported,
        examples=whole["example_gen"],
        transform=whole["transform"],
    )
    pushed = line.push(config, store, exported, evaluation, validation, whole["example_validator"])
    return {
        "trainer": model,
        "exporter": exported,
        "evaluator": evaluation,
        "infra_validator": validation,
        "pusher": pushed,
    }


def has_test_split(examples: pathlib.Path) -> bool:
    """Whether prepared examples have a test split, on which the mean of the folds can be scored."""
    return TEST in _split_sizes(examples)


def _split_sizes(examples: pathlib.Path) -> dict[str, int]:
    """Number of pairs of each split; nothing where there are no examples yet."""
    from pipeline.examples import prepared  # takes half a second, which --help need not

    return prepared.split_sizes(examples) if (examples / "dataset_info.json").exists() else {}
