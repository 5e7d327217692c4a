"""python -m pipeline.predict: the label map of every picture that a pattern matches, by a model that was pushed.

Needs the SavedModel and no network of kseg. A picture that is finished is skipped when the same command runs again; one that
cannot be read is listed in unreadable.csv. What follows a bare `--` goes to Beam.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sys

from pipeline.engine import progress
from pipeline.engine.console import imports, interrupts_kept, raised_by_us, stopped
from pipeline.engine.files import read_json, write_json
from pipeline.engine.store import external
from pipeline.prediction.picture_files import picture_files
from pipeline.publishing import versions
from pipeline.settings import refinements as refinement_settings
from pipeline.settings.prediction import parse

SETTINGS = "settings.json"
"""In the folder of the answers: what they were made with."""


def main(argv: list[str] | None = None) -> int:
    """Labels; returns the exit status: 0 done, 2 a wrong argument or nothing that could be read, 130 stopped."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with interrupts_kept():
            return _predict(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        return stopped("The same command goes on from the pictures that are finished.")
    except (ValueError, OSError) as error:
        if not raised_by_us(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2


def _predict(argv: list[str]) -> int:
    arguments, settings, beam_options = parse(argv)
    if beam_options:
        from pipeline.examples.runner_options import pipeline_options

        pipeline_options(beam_options)  # refuses what Beam does not know
    output = pathlib.Path(arguments.output)
    models = [versions.saved_model_folder(place) for place in arguments.model]
    _check_classes(models)
    for model in models if settings.crf else []:
        refinement_settings.check_unrefined(model, "Leave --crf away.")
    pictures = picture_files(arguments.input, output)
    with imports():
        from pipeline.prediction import bulk as predicted

        predicted.check(models)
    _claim(output, {"model": [external(model).fingerprint for model in models], **dataclasses.asdict(settings)})
    with progress.line("predict"):
        result = predicted.predict(pictures, output, models, settings, beam_options)
    print(f"{'label maps':14}{output / predicted.LABEL_MAPS}  {result.done} new, {result.skipped} finished before")
    print(f"{'class shares':14}{output / predicted.SHARES}")
    if result.regions:
        print(f"{'regions':14}{result.regions}")
    if settings.min_area or settings.max_hole:
        print(f"{'changed':14}{output / predicted.CHANGED}  {result.changed} pixels")
    if result.unreadable:
        print(f"{'unreadable':14}{output / predicted.UNREADABLE}  {result.unreadable} of {len(pictures)} pictures")
    if result.unreadable == len(pictures):
        raise ValueError(
            f"At least one picture must be readable. Received: {len(pictures)} that are not. "
            f"See {output / predicted.UNREADABLE}."
        )
    return 0


def _check_classes(models: list[pathlib.Path]):
    """Models that are averaged must mean the same by the same number."""
    tables = [read_json(model / "assets" / "labels.json")["names"] for model in models]
    unlike = next((number for number, names in enumerate(tables) if names != tables[0]), None)
    if unlike is not None:
        raise ValueError(
            f"Models must have the same classes to be averaged. Received: {', '.join(tables[0])} [{models[0]}], "
            f"{', '.join(tables[unlike])} [{models[unlike]}]."
        )


def _claim(output: pathlib.Path, made_with: dict):
    """Says in the folder what its answers are made with, unless another command's answers lie there."""
    file = output / SETTINGS
    output.mkdir(parents=True, exist_ok=True)
    if file.is_file():
        before = read_json(file)
        made_with = json.loads(json.dumps(made_with))  # tuples become lists, as they did before
        unlike = [name for name in sorted({*before, *made_with}) if before.get(name) != made_with.get(name)]
        if unlike:
            raise ValueError(
                "`--output` must hold no answers of another model or of other settings. "
                f"Received: {file}, which differs in {', '.join(unlike)}. Choose another folder, or remove that one."
            )
    write_json(file, made_with)


if __name__ == "__main__":
    sys.exit(main())
