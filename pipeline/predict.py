"""python -m pipeline.predict: the label map of every picture that a pattern matches, by a model that was pushed.

Needs the SavedModel and no network of kseg. A picture that is finished is skipped when the same command runs again; one that
cannot be read is listed in unreadable.csv. What follows a bare `--` goes to Beam.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import os
import pathlib
import sys

from pipeline import progress, versions
from pipeline.console import native_chatter_dropped, raised_by_us
from pipeline.picture_files import picture_files
from pipeline.store import external

REGIONS = ("csv", "json", "geojson", "coco")
"""What `pipeline.region_files` writes, named here so that --help needs no numpy."""

SETTINGS = "settings.json"
"""In the folder of the answers: what they were made with."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What changes the answers, and so must be the same when a folder of answers is gone on with."""

    overlays: bool = False
    regions: str | None = None
    min_area: int = 0
    max_hole: int = 0
    max_pixels: int = 50_000_000


def main(argv: list[str] | None = None) -> int:
    """Labels; returns the exit status: 0 done, 2 a wrong argument or nothing that could be read, 130 stopped."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return _predict(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from the pictures that are finished.", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        if not raised_by_us(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2


def _predict(argv: list[str]) -> int:
    arguments, settings, beam_options = parse(argv)
    output = pathlib.Path(arguments.output)
    model = saved_model(arguments.model)
    pictures = picture_files(arguments.input, output)
    with native_chatter_dropped():
        from pipeline import predicted

        predicted.check(model)
    _claim(output, {"model": external(model).fingerprint, **dataclasses.asdict(settings)})
    with progress.line("predict"):
        result = predicted.predict(pictures, output, model, settings, beam_options)
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


def parse(argv: list[str]) -> tuple[argparse.Namespace, Settings, list[str]]:
    """Reads the command line: what to label, the settings, and Beam's options, which follow a bare `--`.

    Raises:
        ValueError: an argument is unknown, missing or wrong.
    """
    ours, beam = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    parser = _parser()
    parser.error = lambda message: _refuse(message, ours)
    arguments, unknown = parser.parse_known_args(ours)
    if unknown:
        known = [option for action in parser._actions for option in action.option_strings]
        nearest = difflib.get_close_matches(unknown[0].split("=")[0], known, n=1)
        cure = f" Did you mean {nearest[0]!r}?" if nearest else " Beam's own options go behind a bare `--`."
        raise ValueError(f"Unknown argument {unknown[0]!r}. Received: {' '.join(ours)}.{cure}")
    fields = [field.name for field in dataclasses.fields(Settings)]
    settings = Settings(**{name: getattr(arguments, name) for name in fields})
    if beam:
        from pipeline.beam import pipeline_options

        pipeline_options(beam)
    return arguments, settings, beam


def _refuse(message: str, argv: list[str]):
    raise ValueError(f"Arguments must be as --help says. Received: {' '.join(argv) or 'none'} [{message}].")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.predict",
        usage="%(prog)s --model savedmodels/NAME --input 'photos/**/*.jpg' --output out [options] [-- Beam's options]",
        description=__doc__.partition("\n\n")[0],
        epilog=__doc__.partition("\n\n")[2],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    one = Settings()
    parser.add_argument(
        "--model", required=True, help="pushed model, of which the newest version is taken, or a version"
    )
    parser.add_argument("--input", required=True, nargs="+", help="quoted patterns, folders or files of JPEG or PNG")
    parser.add_argument("--output", required=True, help="folder of the answers, made when missing")
    parser.add_argument("--overlays", action="store_true", help="also JPEGs of the classes' colours over the pictures")
    parser.add_argument(
        "--regions", choices=REGIONS, help="also the regions of each class, their areas, boxes and outlines"
    )
    parser.add_argument(
        "--min-area",
        type=_pixels,
        default=one.min_area,
        help="pixels; smaller regions are merged into their surroundings",
    )
    parser.add_argument(
        "--max-hole",
        type=_pixels,
        default=one.max_hole,
        help="pixels; holes up to that are filled, whatever is in them",
    )
    parser.add_argument(
        "--max-pixels", type=_pixels, default=one.max_pixels, help="of one picture; larger ones are not read"
    )
    return parser


def _pixels(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of pixels, 0 or more, not {text!r}")
    return int(text)


def saved_model(place: str) -> pathlib.Path:
    """The folder of a SavedModel: the newest version at a pushed model's place, or the place itself.

    Raises:
        ValueError: there is none, or it is not one of kseg's.
    """
    folder = pathlib.Path(place)
    numbers = versions.numbers(folder)
    found = folder / str(numbers[-1]) if numbers else folder
    if not (found / "saved_model.pb").is_file():
        raise ValueError(
            f"`--model` must be a pushed model. Received: --model {place}, where there is no saved_model.pb. "
            "`python -m pipeline.run` pushes one to savedmodels/NAME."
        )
    if not (found / "assets" / "labels.json").is_file():
        raise ValueError(
            "`--model` must know the names of its classes. "
            f"Received: {found} without assets/labels.json. Export it with kseg.export."
        )
    return found


def _claim(output: pathlib.Path, made_with: dict):
    """Says in the folder what its answers are made with, unless another command's answers lie there."""
    file = output / SETTINGS
    output.mkdir(parents=True, exist_ok=True)
    if file.is_file():
        before = json.loads(file.read_text(encoding="utf-8"))
        unlike = [name for name in sorted({*before, *made_with}) if before.get(name) != made_with.get(name)]
        if unlike:
            raise ValueError(
                "`--output` must hold no answers of another model or of other settings. "
                f"Received: {file}, which differs in {', '.join(unlike)}. Choose another folder, or remove that one."
            )
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(made_with, indent=1), encoding="utf-8")
    unfinished.replace(file)


if __name__ == "__main__":
    sys.exit(main())
