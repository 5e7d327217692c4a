"""The command line of `pipeline.suggest`. Standard library only."""

from __future__ import annotations

import argparse

from pipeline.engine.arguments import Parser, add_option
from pipeline.settings.prediction import add_places, whole_number
from pipeline.settings.values import shorten

FORMATS = ("csv", "json", "lines")
MOST = 1_000_000
"""Pictures that can be asked for."""


def build_parser(prog: str) -> Parser:
    """The parser of `pipeline.suggest`."""
    parser = Parser(
        prog,
        "Suggests which pictures to label next: those that a model is most unsure about, and unlike each other. Scored pictures\n"
        "are not scored again when the same command runs again; unreadable ones are listed in unreadable.csv.",
        usage="%(prog)s --model savedmodels/NAME --input 'unlabelled/**/*.jpg' [--count 50] [options] [-- Beam's options]",
        epilog="docs/suggest.md says how uncertainty and diversity are measured.",
        beam=True,
    )
    add_places(parser.add_argument_group("model and pictures"), output="suggestions")
    _add_choice(parser.add_argument_group("choice"))
    _add_results(parser.add_argument_group("results"))
    return parser


def _add_choice(group):
    add_option(group, "--count", "pictures to suggest", type=_count, default=50, metavar="N")
    add_option(
        group,
        "--labelled",
        "quoted patterns, folders or files of pictures that are labelled already; files with the same bytes are left out",
        nargs="+",
        default=(),
        metavar="PATTERN",
    )
    add_option(
        group,
        "--top-share",
        "share of a picture's pixels, the most uncertain ones, whose mean counts; a small one suits small objects",
        type=_share,
        default=1.0,
        metavar="SHARE",
    )


def _add_results(group):
    add_option(
        group,
        "--format",
        "of the list; lines: paths alone",
        choices=FORMATS,
        default="csv",
        metavar="FORMAT",
    )


def _count(text: str) -> int:
    return whole_number(text, 1, MOST)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"must be a share above 0, at most 1, not {shorten(text)!r}")
    return share
