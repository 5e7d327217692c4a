"""What a large data set costs before training: listing its pairs, and a second look at files that did not change.

    python -m benchmarks.large_folders --files 100000

The files are tiny and written for this; seconds are of CPU time. docs/reliability.md has the figures.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
import time

from kseg.pairs.image_folder import list_pairs
from pipeline.engine import file_digests
from pipeline.engine.file_digests import FileDigests
from pipeline.examples.sources.fingerprints import source_artifact
from pipeline.settings.example_gen import ExampleGen


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000, help="images and masks together")
    arguments = parser.parse_args(argv)
    file_digests.RECENT = 0  # the files were written just now
    with tempfile.TemporaryDirectory() as folder:
        root = write_pairs(pathlib.Path(folder, "many"), arguments.files // 2)
        for source in (root, root / "pairs.csv"):
            print(f"{source.name}: {', '.join(measure(source, pathlib.Path(folder, 'runs')))}", flush=True)


def write_pairs(root: pathlib.Path, pairs: int) -> pathlib.Path:
    """Images and masks in two folders, and a table of them; returns the folder."""
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
        for number in range(pairs):
            (root / kind / f"{number}.png").write_bytes(b"%d" % number)
    rows = (f"images/{number}.png,masks/{number}.png\n" for number in range(pairs))
    (root / "pairs.csv").write_text("image,mask\n" + "".join(rows))
    return root


def measure(source: pathlib.Path, runs: pathlib.Path) -> list[str]:
    """What listing, a first and a second look at a source cost, as texts."""
    return [
        f"{name} {seconds(action):.1f} s"
        for name, action in (
            ("listing", lambda: list_pairs(source)),
            ("first look", lambda: source_artifact(str(source), ExampleGen(), FileDigests(runs))),
            ("second look", lambda: source_artifact(str(source), ExampleGen(), FileDigests(runs))),
        )
    ]


def seconds(action) -> float:
    """CPU time of a call."""
    start = time.process_time()
    action()
    return time.process_time() - start


if __name__ == "__main__":
    main()
