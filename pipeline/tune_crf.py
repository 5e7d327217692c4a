"""python -m pipeline.tune_crf: searches parameters of DenseCRF for a pushed model, and measures what they gain.

The images of a split, in the order of their keys, are cut in two: the first part is searched, the second measures the gain of the
best parameters, with an interval over images; a gain on the searched images would be biased. Candidates are drawn at random from
a grid without zero weights, after two sets from the literature, so the best one may still harm. `pipeline.predict --crf` reads
the output, as do the settings `evaluator.crf` and `exporter.crf` of `pipeline.run`.
"""

from __future__ import annotations

import argparse
import functools
import json
import pathlib
import sys

from pipeline.engine.arguments import Parser, add_option
from pipeline.engine.console import imports, run_command
from pipeline.engine.files import check_output_file, read_json, write_json
from pipeline.publishing.versions import find_saved_model
from pipeline.settings.refinements import check_unrefined

PROG = "python -m pipeline.tune_crf"


def main(argv: list[str] | None = None, prog: str = PROG) -> int:
    """Searches and writes; returns the exit status: 0 done, 2 a wrong argument or input, 130 interrupted."""
    return run_command(functools.partial(_tune, prog=prog), argv, after_interrupt="Nothing was written.")


def _tune(argv: list[str], prog: str) -> int:
    arguments, _ = build_parser(prog).parse(argv)
    output, data = pathlib.Path(arguments.output), pathlib.Path(arguments.data)
    check_output_file(arguments.output, "--output", _is_result)
    model = find_saved_model(arguments.model)
    check_unrefined(model, "Tune a model exported without it: with exporter.crf=none, or by kseg.export.")
    with imports():
        from kseg.labels import LabelMap
        from pipeline.prediction import crf_search
    pairs = crf_search.read_pairs(data, arguments.split)[:: arguments.every]
    num_searched = arguments.search_images or len(pairs) // 2
    if not 0 < num_searched < len(pairs):
        raise ValueError(
            "`--search-images` must leave an image to search and one to report on. "
            f"Received: {num_searched} of {len(pairs)} images of {arguments.split!r}."
        )
    result = crf_search.search(
        model,
        pairs,
        num_searched=num_searched,
        num_classes=LabelMap.load(data).num_classes,
        trials=arguments.trials,
        iterations=arguments.iterations,
        seed=arguments.seed,
    )
    try:
        write_json(output, result)
    except OSError:  # the place was checked, but a search takes hours
        print(json.dumps(result, indent=1))
        raise
    print(f"best of {len(result['trials'])} trials: {json.dumps(result['settings'])}")
    for name, gain in result["report"].items():
        print(f"{name:12}{gain['without']:.4f} -> {gain['with']:.4f}  {_describe(gain)}")
    print(f"on {result['images']['report']} images that were not searched; see {output}")
    return 0


def _is_result(file: pathlib.Path) -> bool:
    try:
        return bool(read_json(file, keys=("settings",)))
    except ValueError:
        return False


def _describe(gain: dict) -> str:
    verdict = "helps" if gain["low"] > 0 else "harms" if gain["high"] < 0 else "no significant difference"
    return f"{gain['difference']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f}): {verdict}"


def build_parser(prog: str = PROG) -> Parser:
    """The parser of this command."""
    summary, _, details = __doc__.partition(": ")[2].partition("\n\n")
    parser = Parser(prog, summary[0].upper() + summary[1:], epilog=details)
    data = parser.add_argument_group("model and data")
    add_option(
        data,
        "--model",
        "pushed model, of which the newest version is taken, or a version",
        required=True,
        metavar="FOLDER",
    )
    add_option(data, "--data", "prepared data set: the folder that example_gen wrote", required=True, metavar="FOLDER")
    add_option(data, "--split", "images to search and to report on", default="validation", metavar="NAME")
    add_option(data, "--every", "take every Nth image only", type=_positive, default=1, metavar="N")
    add_option(data, "--search-images", "images to search", type=_positive, shown="the first half", metavar="N")
    search = parser.add_argument_group("search")
    add_option(search, "--trials", "parameters to try", type=_positive, default=24, metavar="N")
    add_option(search, "--iterations", "iterations of mean-field inference", type=_positive, default=5, metavar="N")
    add_option(search, "--seed", "seed of the draw from the grid", type=int, default=0, metavar="N")
    places = parser.add_argument_group("places")
    add_option(places, "--output", "file for the best parameters and their gain", default="crf.json", metavar="FILE")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
