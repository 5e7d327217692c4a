"""python -m pipeline.run: from a folder of image and mask pairs to a SavedModel that is served.

Arguments are read before anything heavy is imported, so `--help` and a run in which everything is cached answer at once. The
components and their order are in `pipeline.line`. Arguments after a bare `--` are Beam's.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import sys
import typing

from pipeline import folds, line, machines
from pipeline.engine.arguments import Parser
from pipeline.engine.console import imports, run_command
from pipeline.engine.files import check_output_folder, read_json
from pipeline.engine.urls import is_url
from pipeline.evaluation import gate
from pipeline.planning.choosing import planned_network
from pipeline.publishing import entries, remote, versions
from pipeline.settings import config as settings
from pipeline.settings import encoders, run_flags
from pipeline.settings.exporter import check_formats
from pipeline.storage.copies import name_by_url, possible_copies, saying_urls

PROG = "python -m pipeline.run"
NOT_BLESSED = 3
"""Exit status of a run whose model did not pass the gate."""


class Request(typing.NamedTuple):
    """What the command line asks for."""

    config: settings.Config
    beam_options: list[str]
    stages: line.Stages
    rollback: bool


def main(argv: list[str] | None = None, prog: str = PROG) -> int:
    """Runs the line.

    Returns:
        The exit status: 0 pushed or cached, 2 a wrong setting or input, 3 not blessed, 4 a machine is lost, 130 interrupted.
    """
    after_interrupt = (
        "The same command resumes: finished results are kept, training continues from its last checkpoint."
    )
    return run_command(functools.partial(_run, prog=prog), argv, after_interrupt=after_interrupt)


def _run(argv: list[str], prog: str) -> int:
    request = parse(argv, prog)
    config, stages = request.config, request.stages
    if request.rollback:
        return roll_back(config)
    if (config.data == "streets" or config.data.startswith("tfds:") or is_url(config.data)) and (
        config.example_gen.data_root or config.example_gen.follow_links
    ):
        raise ValueError(
            f"--data-root and --follow-links go with files on this disk. Received: --data {config.data}. Leave them out, or give "
            "a folder."
        )
    given = settings.without_masks(config)
    if given and not is_url(given[1]) and not pathlib.Path(given[1]).is_dir():
        raise ValueError(f"{given[0]} must be a folder of images. Received: {' '.join(given)}. Check the path.")
    if config.schema and not pathlib.Path(config.schema).is_file():
        raise ValueError(f"--schema must be a file. Received: --schema {config.schema}. Check the path.")
    _check_outside_data(config, "--root", config.root, pathlib.Path(config.root))
    if not stages.explain:
        check_output_folder(config.root, "--root")
    with saying_urls(_copies(config)):
        if stages.whole and (config.trainer.strategy != "multiworker" or machines.this_machine().is_chief):
            _check_push_to(config)
        if config.folds:
            artifacts = folds.run(config, request.beam_options, stages)
            return 0 if stages.explain else _conclude_folds(config, artifacts)
        artifacts = line.run(config, request.beam_options, stages)
        return _conclude(config, artifacts) if stages.whole and "pusher" in artifacts else 0


def _copies(config: settings.Config) -> dict[str, pathlib.Path]:
    """By URL, the copies of what the run reads from object stores and pushes to them."""
    copies = {}
    for place in filter(is_url, _places_of_data(config).values()):
        copies |= possible_copies(place, config.root)
    pushed = {config.push_to: remote.local_folder(config.push_to, config.root)} if is_url(config.push_to) else {}
    return copies | pushed


def _check_push_to(config: settings.Config):
    """Refuses a place where no version can be published, before any work."""
    if is_url(config.push_to):
        _check_pushed_beside(config)
        remote.check_writable(config.push_to, config.name)
        versions.next_number(remote.refresh(config.push_to, config.root, config.name) / config.name)
        return
    folder = pathlib.Path(config.push_to, config.name)
    check_output_folder(folder, "--push-to")
    versions.next_number(folder)
    _check_outside_data(config, "--push-to", config.push_to, folder)


def _check_pushed_beside(config: settings.Config):
    """Refuses models among the data of an object store: they would be taken for data."""
    for option, place in _places_of_data(config).items():
        if f"{config.push_to}/{config.name}/".startswith(f"{place}/"):
            raise ValueError(
                "--push-to must lie outside the data, which would change with each run. "
                f"Received: --push-to {config.push_to} [in {option} {place}]. Choose another place."
            )


def _places_of_data(config: settings.Config) -> dict[str, str]:
    """The places that the run reads data from, by their flags."""
    places = {"--data": config.data, "--target": config.target, "--unlabelled": config.unlabelled}
    return {flag: place for flag, place in places.items() if place and place != "streets"}


def _check_outside_data(config: settings.Config, flag: str, given: str, folder: pathlib.Path):
    """Refuses results inside the data folder: they would be taken for data, and change while they are read."""
    for option, place in _places_of_data(config).items():
        data = pathlib.Path(place)
        if data.is_dir() and folder.resolve().is_relative_to(data.resolve()):
            raise ValueError(
                f"{flag} must lie outside the data, which would change with each run. Received: {flag} {given} "
                f"[in {option} {place}]. Choose a folder elsewhere, or move images and masks into a folder of their own."
            )


def roll_back(config: settings.Config) -> int:
    """Moves the newest version of the model out of the server's sight; returns the exit status."""
    folder = remote.local_folder(config.push_to, config.root) / config.name
    with saying_urls(_copies(config)):
        if is_url(config.push_to):
            with remote.updating(config.push_to, folder.parent, config.name):
                place, newest = versions.roll_back(folder)
        else:
            place, newest = versions.roll_back(folder)
    texts = [f"rolled back   {place}", f"newest        {place.with_name(str(newest))}"]
    texts += [f"versions      {fault}" for fault in entries.describe_faults(folder)]
    print("\n".join(name_by_url(texts, folder)))
    return 0


def _conclude(config, artifacts) -> int:
    """Writes the report; prints the scores, the verdict and where things lie; returns the exit status."""
    from pipeline.report import page as report
    from pipeline.report.terminal import summarize

    page = pathlib.Path(config.root) / f"report-{config.name}.html"
    folder = remote.local_folder(config.push_to, config.root) / config.name
    faults = name_by_url(entries.describe_faults(folder), folder)
    report.write(page, name=config.name, artifacts=artifacts, faults=faults)
    print(summarize(read_json(artifacts["evaluator"] / "scores.json")))
    print(f"{'TensorBoard':14}tensorboard --logdir {artifacts['trainer'] / 'logs'}")
    print(f"{'report':14}{page}")
    return _print_pushed(config, read_json(artifacts["pusher"] / "pushed.json"))


def _print_pushed(config, pushed: dict) -> int:
    """Prints where the model lies, or why it was not pushed; returns the exit status."""
    if not pushed["pushed"]:
        print("not blessed   " + "\n              ".join(pushed["reasons"]))
        print("              Nothing was pushed.")
        return NOT_BLESSED
    place = config.push_to if is_url(config.push_to) else pathlib.Path(config.push_to)
    print(f"{'SavedModel':14}{place}/{config.name}/{pushed['version']}")
    return 0


def _conclude_folds(config, artifacts) -> int:
    """Writes the report of a cross-validation; prints its scores, and what became of the mean; returns the exit status."""
    from pipeline.report import page as report
    from pipeline.report.terminal import summarize_folds

    page = pathlib.Path(config.root) / f"report-{config.name}-folds.html"
    found = read_json(artifacts["cross_validation"] / "scores.json")
    mean = read_json(artifacts["evaluator"] / "scores.json") if config.export_mean else None
    report.write_folds(page, name=config.name, folds=found, mean=mean)
    print(summarize_folds(found, mean))
    print(f"{'scores':14}{artifacts['cross_validation'] / 'scores.json'}")
    print(f"{'report':14}{page}")
    return _print_pushed(config, read_json(artifacts["pusher"] / "pushed.json")) if config.export_mean else 0


def parse(argv: list[str], prog: str = PROG) -> Request:
    """Reads the command line: the settings of the run, the stages, and Beam's options after a bare `--`.

    Raises:
        ValueError: an argument or a setting is unknown or wrong, or two contradict each other.
    """
    arguments, beam_options = build_parser(prog).parse(argv)
    config = run_flags.read_config(arguments)
    if not config.data:
        raise ValueError(f"--data must name a folder of pairs. Received: --config {arguments.config} without --data.")
    settings.check_sizes(config)
    settings.check_game(config)
    settings.check_without_masks(config)
    settings.check_refinements(config)
    encoders.check(planned_network(config.trainer))
    check_formats(config.exporter, config.trainer.model)
    gate.check_thresholds(config.evaluator.thresholds, object_class=config.evaluator.object_class)
    stages = parse_stages(arguments)
    folds.check(config, stages)
    if config.trainer.strategy == "multiworker":
        settings.check_machines(config, len(machines.this_machine().addresses))
    if beam_options:
        with imports():
            from pipeline.examples.runner_options import pipeline_options
        pipeline_options(beam_options)
    if "planner" in (stages.first, stages.last, *stages.forced) and not settings.is_planned(config):
        raise ValueError(
            "The planner runs where it has something to choose. "
            f"Received: --model {config.trainer.model} without --minutes. Give --minutes, or --model auto."
        )
    return Request(settings.resolve_auto(config), beam_options, stages, arguments.rollback)


def parse_stages(arguments: argparse.Namespace) -> line.Stages:
    """The part of the line to run.

    Raises:
        ValueError: the last component comes before the first.
    """
    first = arguments.only or arguments.first or line.COMPONENTS[0]
    last = arguments.only or arguments.until or ("planner" if arguments.dry_run else line.COMPONENTS[-1])
    if arguments.dry_run and last != "planner":
        raise ValueError(
            f"--dry-run stops after the planner. Received: --dry-run with {'--only' if arguments.only else '--until'} {last}. "
            "Leave one out."
        )
    if arguments.rollback and (arguments.dry_run or arguments.explain):
        raise ValueError(
            "--rollback moves a version and runs nothing. "
            f"Received: --rollback with {'--dry-run' if arguments.dry_run else '--explain'}. Leave one out."
        )
    if line.COMPONENTS.index(first) > line.COMPONENTS.index(last):
        raise ValueError(f"--from must not come after --until. Received: --from {first} --until {last}.")
    return line.Stages(first, last, tuple(arguments.force), arguments.explain, arguments.verify)


def build_parser(prog: str = PROG) -> Parser:
    """The parser of this command."""
    return run_flags.build_parser(prog, line.COMPONENTS)


if __name__ == "__main__":
    sys.exit(main())
