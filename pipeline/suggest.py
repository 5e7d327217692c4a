"""python -m pipeline.suggest: which pictures to label next, by the uncertainty of a pushed model and by diversity.

Needs the SavedModel and no network of kseg. Scored pictures are not scored again when the same command runs again; unreadable
ones are listed in unreadable.csv. Arguments after a bare `--` are Beam's.
"""

from __future__ import annotations

import functools
import pathlib
import sys

from pipeline.engine import progress
from pipeline.engine.console import imports, run_command
from pipeline.engine.files import check_output_folder
from pipeline.engine.fingerprints import external
from pipeline.prediction.model_checks import check_classes, check_models
from pipeline.prediction.picture_files import claim, picture_files, without_copies
from pipeline.publishing.entries import check_outside
from pipeline.publishing.versions import find_saved_model
from pipeline.settings import suggestion as suggestion_settings

PROG = "python -m pipeline.suggest"

build_parser = functools.partial(suggestion_settings.build_parser, PROG)


def main(argv: list[str] | None = None, prog: str = PROG) -> int:
    """Suggests; returns the exit status: 0 done, 2 a wrong argument or nothing readable, 130 interrupted."""
    return run_command(
        functools.partial(_suggest, prog=prog), argv, after_interrupt="The same command keeps the scored pictures."
    )


def _suggest(argv: list[str], prog: str) -> int:
    # Check arguments and models before anything heavy is imported.
    arguments, beam_options = suggestion_settings.build_parser(prog).parse(argv)
    output = pathlib.Path(arguments.output)
    check_output_folder(output, "--output")
    if beam_options:
        from pipeline.examples.runner_options import pipeline_options

        pipeline_options(beam_options)
    models = [find_saved_model(place) for place in arguments.model]
    check_outside(output, models)
    check_classes(models)
    found = picture_files(arguments.input, output, whole_names=True)
    pictures = without_copies(found, arguments.labelled, "--labelled")
    if not pictures:
        raise ValueError(
            f"At least one picture must not be labelled. Received: {len(found)}, all with the bytes of a file of --labelled. "
            "Check --input and --labelled."
        )

    # Load the models, score, choose.
    with imports():
        from pipeline.prediction import suggestions, tables

        check_models(models)
    claim(output, {"command": "suggest"})
    with progress.component("suggest"):
        result = suggestions.suggest(
            pictures,
            output,
            models,
            fingerprints=[external(model).fingerprint for model in models],
            count=arguments.count,
            top_share=arguments.top_share,
            max_pixels=arguments.max_pixels,
            file_format=arguments.format,
            beam_options=beam_options,
        )

    # Say where the results lie.
    if len(pictures) < len(found):
        print(f"{'labelled':14}{len(found) - len(pictures)} of {len(found)} pictures are left out")
    tables.print_unreadable(output, result.unreadable, len(pictures))
    print(f"{'suggestions':14}{result.file}  {result.suggested} of {result.scored} pictures")
    print(f"{'contact sheet':14}{result.sheet}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
