"""The options of `pipeline.predict` that change its results, and its command line. Standard library only."""

from __future__ import annotations

import argparse
import dataclasses

from pipeline.engine.arguments import Parser, add_option
from pipeline.settings import crf as crf_settings
from pipeline.settings.values import image_size, shorten

MAX_SIDE, MAX_PIXELS = 16_384, 1_000_000_000
"""Of a tile, and of a picture; numbers of superpixels lie below, too."""
REGIONS = ("csv", "json", "geojson", "coco")
"""The formats of `pipeline.prediction.region_files`, listed here so that --help does not need numpy."""


@dataclasses.dataclass(frozen=True)
class PredictionOptions:
    """What changes the results, and so must stay the same while a folder of results is completed."""

    tile: tuple[int, int] | None = None  # (height, width)
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


def parse(argv: list[str], prog: str) -> tuple[argparse.Namespace, PredictionOptions, list[str]]:
    """Reads the command line: what to label, the options, and Beam's options after a bare `--`.

    Raises:
        ValueError: an argument is unknown, missing or wrong.
    """
    arguments, beam_options = build_parser(prog).parse(argv)
    given = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(PredictionOptions)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return arguments, _with_overlap(PredictionOptions(**values)), beam_options


def _with_overlap(options: PredictionOptions) -> PredictionOptions:
    """Returns the options with the default overlap of the tiles.

    Raises:
        ValueError: options contradict each other.
    """
    for name in ("flips", "rotations", "scales"):
        if len(set(given := getattr(options, name))) < len(given):
            shown = shorten(" ".join(map(str, given)))
            raise ValueError(
                f"`--{name}` must be different values. Received: --{name} {shown}. Write each of them once."
            )
    if options.scales != (1.0,) and not options.tile:
        raise ValueError(
            "`--scales` requires `--tile`, since a model otherwise fits every picture into the size it was trained at. "
            f"Received: --scales {' '.join(map(str, options.scales))} without --tile. Give that size as --tile WIDTHxHEIGHT."
        )
    if not options.tile:
        return dataclasses.replace(options, overlap=None)
    overlap = min(options.tile) // 4 if options.overlap is None else options.overlap
    if overlap >= min(options.tile):
        height, width = options.tile
        raise ValueError(
            f"`--overlap` must be smaller than the tile. Received: --overlap {overlap} --tile {width}x{height}."
        )
    return dataclasses.replace(options, overlap=overlap)


def build_parser(prog: str) -> Parser:
    """The parser of `pipeline.predict`."""
    parser = Parser(
        prog,
        "Labels every picture that a pattern matches, with a pushed model. Finished pictures are skipped when the same\n"
        "command runs again; unreadable ones are listed in unreadable.csv.",
        usage="%(prog)s --model savedmodels/NAME --input 'photos/**/*.jpg' --output out [options] [-- Beam's options]",
        beam=True,
    )
    add_places(parser.add_argument_group("model and pictures"))
    _add_refinements(parser.add_argument_group("refinement"))
    _add_results(parser.add_argument_group("results"))
    return parser


def add_places(group, output: str | None = None):
    """Adds --model, --input, --output and --max-pixels to a group of a parser.

    Args:
        group: argument group of a `Parser`.
        output: default of --output; None: it is required.
    """
    add_option(
        group,
        "--model",
        "pushed model, of which the newest version is taken, or a version; several are averaged",
        required=True,
        nargs="+",
        metavar="FOLDER",
    )
    add_option(
        group,
        "--input",
        "quoted patterns, folders or files of JPEG or PNG",
        required=True,
        nargs="+",
        metavar="PATTERN",
    )
    results = "folder for the results, made when missing"
    add_option(group, "--output", results, required=output is None, default=output, metavar="FOLDER")
    _add_pixels(group, "--max-pixels", "size limit of a picture in pixels; larger ones are not read")


def _add_refinements(group):
    add_option(
        group,
        "--tile",
        "predict by tiles of the size that the model was trained at, which preserves the detail of large pictures; "
        "otherwise pictures are fitted into that size",
        type=_size,
        metavar="WIDTHxHEIGHT",
    )
    _add_pixels(group, "--overlap", "pixels that tiles share", shown="a quarter of their shorter side")
    add_option(
        group,
        "--flips",
        "average over flips",
        nargs="+",
        choices=("horizontal", "vertical"),
        default=(),
        metavar="AXIS",
    )
    add_option(
        group,
        "--rotations",
        "average over rotations, in degrees",
        nargs="+",
        type=int,
        choices=(0, 90, 180, 270),
        default=(0,),
        metavar="ANGLE",
    )
    add_option(
        group,
        "--scales",
        "average over scales; requires --tile",
        nargs="+",
        type=_scale,
        default=(1.0,),
        metavar="FACTOR",
    )
    add_option(
        group,
        "--average",
        "quantity whose mean is taken",
        choices=("probabilities", "logits"),
        default="probabilities",
        metavar="QUANTITY",
    )
    add_option(
        group,
        "--crf",
        "refine by DenseCRF at the size of the picture, with the parameters in a file that pipeline.tune_crf wrote, in a JSON "
        "object, or auto, which suits coarse networks; refused for models exported with DenseCRF",
        type=_crf,
        metavar="auto|JSON|FILE",
    )
    _add_pixels(group, "--superpixels", "superpixels per picture, in each of which pixels vote on one class; 0: none")


def _add_results(group):
    add_option(
        group, "--overlays", "write JPEGs of the class colours over the pictures", action="store_true", default=False
    )
    add_option(
        group,
        "--regions",
        "write the regions of each class: areas, bounding boxes and outlines",
        choices=REGIONS,
        metavar="FORMAT",
    )
    _add_pixels(group, "--min-area", "pixels; smaller regions are merged into their surroundings")
    _add_pixels(group, "--max-hole", "pixels; holes of at most this size are filled, whatever is inside")


def _add_pixels(group, flag: str, meaning: str, **options):
    default = getattr(PredictionOptions(), flag[2:].replace("-", "_"))
    add_option(group, flag, meaning, type=_pixels, default=default, metavar="N", **options)


def _size(text: str) -> tuple[int, int]:
    try:
        size = image_size(text)
    except ValueError:
        size = (0, 0)
    if not 0 < min(size) <= max(size) <= MAX_SIDE:
        raise argparse.ArgumentTypeError(
            f"must be WIDTHxHEIGHT in pixels, each at most {MAX_SIDE:,}, not {shorten(text)!r}"
        )
    return size


def _crf(text: str) -> dict[str, float]:
    try:
        return crf_settings.read_parameters(text)
    except (ValueError, OSError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale <= 16:
        raise argparse.ArgumentTypeError(f"must be a factor above 0, at most 16, not {shorten(text)!r}")
    return scale


def _pixels(text: str) -> int:
    return whole_number(text, 0, MAX_PIXELS)


def whole_number(text: str, lowest: int, highest: int) -> int:
    """Reads an argument.

    Raises:
        argparse.ArgumentTypeError: it is no whole number from `lowest`, which is not negative, to `highest`.
    """
    if not (text.isdecimal() and len(text) <= len(str(highest)) and lowest <= int(text) <= highest):
        raise argparse.ArgumentTypeError(
            f"must be a whole number from {lowest:,} to {highest:,}, not {shorten(text)!r}"
        )
    return int(text)
