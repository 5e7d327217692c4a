"""The command: see `benchmarks.serving`."""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import tempfile

from benchmarks import serving
from benchmarks.serving import load
from benchmarks.serving.models import draw, encode, export_two
from benchmarks.serving.parts import compare_parts
from benchmarks.serving.runtimes import compare_runtimes

TABLES = ("parts", "runtimes", "cpu", "memory", "versions")
SIZE, PICTURES = (
    (360, 480),
    8,
)  # (height, width) of a picture that `kseg serve` is asked about, pixels; how many of them


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        description=serving.__doc__.partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--model", type=pathlib.Path, help="folder of a pushed model; its two newest versions are used")
    parser.add_argument("--seconds", type=float, default=60.0, help='of each row of "cpu", and of "versions"')
    parser.add_argument("--turn", type=float, default=5.0, help="seconds of a turn")
    parser.add_argument("--requests", type=int, default=10_000, help='of "memory"')
    parser.add_argument(
        "--rounds", type=int, default=40, help='calls of each part and runtime, of "parts" and "runtimes"'
    )
    parser.add_argument("--epochs", type=int, default=8, help='of training the networks of "parts"')
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    parser.add_argument("--pictures", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        return load.loop_bare(arguments.bare, arguments.pictures)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start\n", flush=True)
    with tempfile.TemporaryDirectory() as name:
        measure(arguments, pathlib.Path(name))
    return None


def measure(arguments: argparse.Namespace, folder: pathlib.Path):
    """Prints the tables that are asked for; writes below `folder`."""
    from pipeline.publishing.entries import list_versions

    tables, versions = set(arguments.tables), []
    if arguments.model or tables & {"cpu", "memory", "versions"}:
        model = arguments.model or export_two(folder)
        versions = [model / str(number) for number in list_versions(model)[-2:]]
    if "parts" in tables:
        compare_parts(versions[-1] if arguments.model else None, folder, arguments.rounds, arguments.epochs)
    if "runtimes" in tables:
        compare_runtimes(folder, arguments.rounds)
    if not tables & {"cpu", "memory", "versions"}:
        return
    images = draw(PICTURES, SIZE)
    pictures = [encode(image, SIZE) for image in images]
    for index, picture in enumerate(pictures):
        (folder / f"{index}.jpg").write_bytes(picture)
    served_alone = folder / "alone"
    shutil.copytree(versions[-1], served_alone / "1")
    print(f"{SIZE[1]}x{SIZE[0]} JPEG over gRPC\n")
    if tables & {"cpu", "memory"}:
        with load.Served(served_alone) as served:
            if "cpu" in tables:
                with load.Bare(served_alone / "1", folder) as bare:
                    load.compare_cpu(served, bare, pictures, arguments.seconds, arguments.turn)
            if "memory" in tables:
                load.watch_memory(served, images[0], arguments.requests)
    if "versions" in tables:
        load.swap_versions([versions[0], versions[-1]], pictures, folder, arguments.seconds)


if __name__ == "__main__":
    main()
