"""How often pipeline.inspect warns of shifted or shuffled masks, where they are and where they are not.

    python -m benchmarks.shifted_masks --data ../shared/data

Runs of consecutive pairs are drawn from each split; each is checked as it is, with every mask taken from the next pair, and with
the masks shuffled. `--coarse` reduces masks to blocks of 16 x 16 pixels and adds noise of 40 grey levels. docs/inspect.md has the
figures.
"""

from __future__ import annotations

import argparse
import itertools
import pathlib
import random

import numpy as np
from PIL import Image

from pipeline.inspection.alignment import Outline, check_fits, compare_fits, outline

LENGTHS, DRAWS, BLOCK, NOISE = (15, 20, 40, 100), 300, 16, 40


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--coarse", action="store_true")
    arguments = parser.parse_args(argv)
    for name in ("camvid", "isbi2012_em", "voc_sample"):
        for split in sorted((arguments.data / name / "images").iterdir()):
            outlines = read_outlines(arguments.data / name, split.name, arguments.coarse)
            print(f"{name} {split.name}: {len(outlines)} pairs, {_compare(outlines)}", flush=True)
            for length in LENGTHS:
                if length < len(outlines):
                    print(f"  {length:4} pairs", rates(outlines, length), flush=True)


def read_outlines(root: pathlib.Path, split: str, coarse: bool = False) -> list[Outline]:
    """The outlines of a split, in the order of names."""
    found = []
    for path in sorted((root / "images" / split).iterdir()):
        image = np.asarray(Image.open(path))
        mask = np.asarray(Image.open(root / "masks" / split / f"{path.stem}.png"))
        if coarse:
            image, mask = _coarse(image, mask)
        found.append(outline(image.reshape(*image.shape[:2], -1), mask))
    return found


def rates(outlines: list[Outline], length: int) -> dict[str, float]:
    """Shares of draws that are warned of: as they are (false alarms), shifted and shuffled."""
    draw, counts = random.Random(length), dict.fromkeys(("false_shifted", "false_mismatched", "shifted", "shuffled"), 0)
    for _ in range(DRAWS):
        start = draw.randrange(len(outlines) - length)
        run, order = outlines[start : start + length + 1], draw.sample(range(length), length)
        given = _names(run[:length])
        counts["false_shifted"] += "shifted_masks" in given
        counts["false_mismatched"] += "mismatched_masks" in given
        pairs = itertools.pairwise(run)
        counts["shifted"] += "shifted_masks" in _names([Outline(a.ranks, b.edges) for a, b in pairs])
        shuffled = [Outline(run[n].ranks, run[other].edges) for n, other in enumerate(order)]
        counts["shuffled"] += "mismatched_masks" in _names(shuffled)
    return {name: round(count / DRAWS, 4) for name, count in counts.items()}


def _names(run: list[Outline]) -> list[str]:
    return [anomaly.name for anomaly in check_fits(_compare(run))]


def _compare(run: list[Outline]):
    return compare_fits(dict(enumerate(run)))


def _coarse(image, mask):
    height, width = mask.shape
    small = Image.fromarray(mask).resize((width // BLOCK, height // BLOCK), Image.Resampling.NEAREST)
    noise = np.random.default_rng(0).normal(0, NOISE, image.shape)
    blocks = small.resize((width, height), Image.Resampling.NEAREST)
    return np.clip(image + noise, 0, 255).astype(np.uint8), np.asarray(blocks)


if __name__ == "__main__":
    main()
