"""python -m pipeline.predict: labels every picture that a pattern matches, with a pushed model.

Needs the SavedModel and no network of kseg. Finished pictures are skipped when the same command runs again; unreadable ones are
listed in unreadable.csv. Arguments after a bare `--` are Beam's.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import sys

from pipeline.engine import progress
from pipeline.engine.console import imports, run_command
from pipeline.engine.files import check_output_folder, read_json, write_json
from pipeline.engine.fingerprints import external
from pipeline.prediction.picture_files import OPTIONS, picture_files
from pipeline.publishing.versions import find_saved_model, list_versions
from pipeline.settings import prediction as prediction_settings
from pipeline.settings import refinements as refinement_settings

PROG = "python -m pipeline.predict"

build_parser = functools.partial(prediction_settings.build_parser, PROG)


def main(argv: list[str] | None = None, prog: str = PROG) -> int:
    """Labels; returns the exit status: 0 done, 2 a wrong argument or nothing readable, 130 interrupted."""
    return run_command(
        functools.partial(_predict, prog=prog), argv, after_interrupt="The same command skips the finished pictures."
    )


def _predict(argv: list[str], prog: str) -> int:
    # Check arguments and models before anything heavy is imported.
    arguments, options, beam_options = prediction_settings.parse(argv, prog)
    output = pathlib.Path(arguments.output)
    check_output_folder(output, "--output")
    if beam_options:
        from pipeline.examples.runner_options import pipeline_options

        pipeline_options(beam_options)
    models = [find_saved_model(place) for place in arguments.model]
    _check_outside(output, models)
    _check_classes(models)
    for model in models if options.crf else []:
        refinement_settings.check_unrefined(model, "Leave out --crf.")
    pictures = picture_files(arguments.input, output)

    # Load the models, then label.
    with imports():
        from pipeline.prediction import bulk, tables
        from pipeline.prediction.model_checks import check_models

        check_models(models)
    _claim(output, {"model": [external(model).fingerprint for model in models], **dataclasses.asdict(options)})
    with progress.component("predict"):
        result = bulk.predict(pictures, output, models, options, beam_options)

    # Say where the results lie.
    print(f"{'label maps':14}{output / bulk.LABEL_MAPS}  {result.done} new, {result.skipped} finished before")
    print(f"{'class shares':14}{output / tables.CLASS_SHARES}")
    if result.regions:
        print(f"{'regions':14}{result.regions}")
    if options.min_area or options.max_hole:
        print(f"{'changed':14}{output / tables.CHANGED_PIXELS}  {result.changed} pixels")
    if result.unreadable:
        print(f"{'unreadable':14}{output / tables.UNREADABLE}  {result.unreadable} of {len(pictures)} pictures")
    if result.unreadable == len(pictures):
        raise ValueError(
            f"At least one picture must be readable. Received: {len(pictures)} that are not. "
            f"See {output / tables.UNREADABLE}."
        )
    return 0


def _check_outside(output: pathlib.Path, models: list[pathlib.Path]):
    """Refuses to write into a model, or among its versions, where every entry has a meaning."""
    for model in models:
        folder = model.absolute()
        folder = folder.parent if folder.name in map(str, list_versions(folder.parent)) else folder
        if output.resolve().is_relative_to(folder.resolve()):
            raise ValueError(
                f"`--output` must lie outside the models. Received: --output {output}. Choose another folder."
            )


def _check_classes(models: list[pathlib.Path]):
    """Refuses to average models whose classes differ."""
    names = [read_json(model / "assets" / "labels.json", keys=("names",))["names"] for model in models]
    other = next((number for number, found in enumerate(names) if found != names[0]), None)
    if other is not None:
        raise ValueError(
            f"Models must have the same classes to be averaged. Received: {', '.join(names[0])} [{models[0]}], "
            f"{', '.join(names[other])} [{models[other]}]."
        )


def _claim(output: pathlib.Path, options: dict):
    """Records the options in the output folder, unless it holds results of others.

    Raises:
        ValueError: it does.
    """
    file = output / OPTIONS
    if before := read_json(file, None):
        options = json.loads(json.dumps(options))  # tuples become lists, as they did before
        differing = [name for name in sorted({*before, *options}) if before.get(name) != options.get(name)]
        if differing:
            raise ValueError(
                "`--output` must not hold results of another model or of other options. "
                f"Received: {file}, which differs in {', '.join(differing)}. Choose another folder, or remove that one."
            )
    write_json(file, options)


if __name__ == "__main__":
    sys.exit(main())
