"""python -m pipeline.predict: labels every picture that a pattern matches, with a pushed model.

Needs the SavedModel and no network of kseg. Finished pictures are skipped when the same command runs again; unreadable ones are
listed in unreadable.csv. Arguments after a bare `--` are Beam's.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import sys

from pipeline.engine import progress
from pipeline.engine.console import imports, run_command
from pipeline.engine.files import check_output_folder
from pipeline.engine.fingerprints import external
from pipeline.prediction.model_checks import check_classes, check_models
from pipeline.prediction.picture_files import claim, picture_files
from pipeline.publishing.entries import check_outside
from pipeline.publishing.versions import find_saved_model
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
    check_outside(output, models)
    check_classes(models)
    for model in models if options.crf else []:
        refinement_settings.check_unrefined(model, "Leave out --crf.")
    pictures = picture_files(arguments.input, output)

    # Load the models, then label.
    with imports():
        from pipeline.prediction import bulk, tables

        check_models(models)
    claim(output, {"model": [external(model).fingerprint for model in models], **dataclasses.asdict(options)})
    with progress.component("predict"):
        result = bulk.predict(pictures, output, models, options, beam_options)

    # Say where the results lie.
    print(f"{'label maps':14}{output / bulk.LABEL_MAPS}  {result.done} new, {result.skipped} finished before")
    print(f"{'class shares':14}{output / tables.CLASS_SHARES}")
    if result.regions:
        print(f"{'regions':14}{result.regions}")
    if options.min_area or options.max_hole:
        print(f"{'changed':14}{output / tables.CHANGED_PIXELS}  {result.changed} pixels")
    tables.print_unreadable(output, result.unreadable, len(pictures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
