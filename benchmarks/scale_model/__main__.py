"""What sizes that cannot be run here would take, from rates that are measured here.

    python -m benchmarks.scale_model                                # the tables from the points that are kept
    python -m benchmarks.scale_model --measure --folder pairs       # measures the points anew, on two cores that do nothing else

docs/scale.md has the tables.
"""

from __future__ import annotations

import argparse
import pathlib

from benchmarks import json_lines
from benchmarks.scale_model import measuring, report

FILE = pathlib.Path("docs/scale_model.jsonl")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--machines", type=int, default=16, help="that train, of 8 GPUs each")
    report.add_options(parser.add_argument_group("assumed"))
    parser.add_argument("--file", type=pathlib.Path, default=FILE, help="of the measured points")
    measured = parser.add_argument_group("measuring")
    measured.add_argument("--measure", action="store_true")
    measured.add_argument("--folder", type=pathlib.Path, help="where generated pairs are kept")
    measured.add_argument("--size", default="360x480", help="HEIGHTxWIDTH of the images")
    measured.add_argument("--pairs", type=int, nargs="+", default=[200, 600, 1200])
    measured.add_argument("--many", type=int, default=30_000, help="names to list, and hashes to compare")
    arguments = parser.parse_args(argv)
    if arguments.measure:
        if not arguments.folder or len(arguments.pairs) < 3:
            parser.error("--measure must come with --folder and three numbers of --pairs at least")
        measuring.measure(arguments.file, arguments.folder, arguments.size, arguments.pairs, arguments.many)
    assumed = report.Assumed(**{name: getattr(arguments, name) for name in report.Assumed._fields})
    rows = json_lines.read(arguments.file)
    for line in report.lines(rows, assumed, arguments.images, arguments.workers, arguments.machines):
        print(line)


if __name__ == "__main__":
    main()
