"""The command line of `pipeline.predict`, and what of it changes the answers. Standard library only: --help answers at once."""

from __future__ import annotations

import argparse
import dataclasses

from pipeline.engine.messages import did_you_mean
from pipeline.settings import crf as crf_settings
from pipeline.settings.values import image_size

REGIONS = ("csv", "json", "geojson", "coco")
"""What `pipeline.prediction.region_files` writes, named here so that --help needs no numpy."""


@dataclasses.dataclass(frozen=True)
class PredictionOptions:
    """What changes the answers, and so must be the same when a folder of answers is gone on with."""

    tile: tuple[int, int] | None = None
    overlap: int | None = None
    flips: tuple[str, ...] = ()
    rotations: tuple[int, ...] = (0,)
    scales: tuple[float, ...] = (1.0,)
    average: str = "probabilities"
    crf: dict[str, float] | None = None
    superpixels: int = 0
    overlays: bool = False
    regions: str | None = None
    min_area: int = 0
    max_hole: int = 0
    max_pixels: int = 50_000_000


def parse(argv: list[str]) -> tuple[argparse.Namespace, PredictionOptions, list[str]]:
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
        cure = did_you_mean(unknown[0].split("=")[0], known, "Beam's own options go after a bare `--`.")
        raise ValueError(f"Unknown argument {unknown[0]!r}. Received: {' '.join(ours)}.{cure}")
    fields = [field.name for field in dataclasses.fields(PredictionOptions)]
    given = {name: getattr(arguments, name) for name in fields}
    settings = PredictionOptions(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    )
    settings = _with_overlap(settings)
    return arguments, settings, beam


def _with_overlap(settings: PredictionOptions) -> PredictionOptions:
    """The settings with the overlap that follows from the tile, when they agree."""
    if settings.scales != (1.0,) and not settings.tile:
        raise ValueError(
            "`--scales` needs `--tile`, since a model fits every picture into the size that it was trained at. "
            f"Received: --scales {' '.join(map(str, settings.scales))} without --tile. Give that size as --tile WIDTHxHEIGHT."
        )
    if not settings.tile:
        return dataclasses.replace(settings, overlap=None)
    overlap = min(settings.tile) // 4 if settings.overlap is None else settings.overlap
    if overlap >= min(settings.tile):
        height, width = settings.tile
        raise ValueError(
            f"`--overlap` must be smaller than the tile. Received: --overlap {overlap} --tile {width}x{height}."
        )
    return dataclasses.replace(settings, overlap=overlap)


def _refuse(message: str, argv: list[str]):
    raise ValueError(f"Arguments must be as --help says. Received: {' '.join(argv) or 'none'} [{message}].")


def _parser() -> argparse.ArgumentParser:
    one = PredictionOptions()
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.predict",
        usage="%(prog)s --model savedmodels/NAME --input 'photos/**/*.jpg' --output out [options] [-- Beam's options]",
        description="The label map of every picture that a pattern matches, by a model that was pushed. A picture that is "
        "finished is skipped when the same command runs again; one that cannot be read is listed in unreadable.csv.",
        allow_abbrev=False,
    )

    def argument(flag, meaning, **options):
        default = getattr(one, flag[2:].replace("-", "_"), None)
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        note = "" if shown in (None, "", False) else f" (default: {shown})"
        parser.add_argument(
            flag, help=meaning + note, **({"default": default} if "required" not in options else {}), **options
        )

    argument(
        "--model",
        "pushed model, of which the newest version is taken, or a version; several are averaged",
        required=True,
        nargs="+",
    )
    argument("--input", "quoted patterns, folders or files of JPEG or PNG", required=True, nargs="+")
    argument("--output", "folder of the answers, made when missing", required=True)
    argument(
        "--tile",
        "cut pictures into tiles of the size that the model was trained at, so that large ones keep their "
        "detail; else a picture is fitted into that size",
        type=_size,
        metavar="WIDTHxHEIGHT",
    )
    argument("--overlap", "pixels that tiles share; a quarter of their shorter side if not given", type=_pixels)
    argument("--flips", "average over these too", nargs="+", choices=("horizontal", "vertical"))
    argument("--rotations", "degrees to average over", nargs="+", type=int, choices=(0, 90, 180, 270))
    argument("--scales", "factors to average over; with --tile", nargs="+", type=_factor)
    argument("--average", "of what the mean is taken", choices=("probabilities", "logits"))
    argument(
        "--crf",
        "refine by DenseCRF with these settings, at the picture's own size: a file that pipeline.tune_crf wrote, a JSON "
        "object, or auto, which suits coarse networks; refused where a model was exported with DenseCRF",
        type=_crf,
        metavar="auto|JSON|FILE",
    )
    argument(
        "--superpixels", "so many of like colour a picture, whose pixels vote on one class; 0: none do", type=_pixels
    )
    argument("--overlays", "also JPEGs of the classes' colours over the pictures", action="store_true")
    argument("--regions", "also the regions of each class, their areas, boxes and outlines", choices=REGIONS)
    argument("--min-area", "pixels; smaller regions are merged into their surroundings", type=_pixels)
    argument("--max-hole", "pixels; holes up to that are filled, whatever is in them", type=_pixels)
    argument("--max-pixels", "of one picture; larger ones are not read", type=_pixels)
    return parser


def _size(text: str) -> tuple[int, int]:
    try:
        return image_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT in pixels, not {text!r}") from error


def _crf(text: str) -> dict[str, float]:
    try:
        return crf_settings.read_parameters(text)
    except (ValueError, OSError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor <= 16:
        raise argparse.ArgumentTypeError(f"must be a factor above 0, at most 16, not {text!r}")
    return factor


def _pixels(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of pixels, 0 or more, not {text!r}")
    return int(text)
