"""What suggested pictures are worth: 50 that `kseg suggest` names after 50 random ones, against 100 random ones, on CamVid.

    python -m benchmarks.suggest --data $KSEG_DATA/camvid

For each seed three networks of equal settings and steps are trained: on 50 random pairs, on these and the 50 about which the
first is unsure, and on these and 50 more random ones; all are scored on the whole validation split. Each finished training is a
line of --out, so the command continues where it was stopped; `--report` prints the table of what is there. By default a training
takes about 8 minutes on two quiet cores, and there are 9.
"""

from __future__ import annotations

import argparse
import csv
import json
import pathlib
import random
import statistics
import subprocess
import sys

from benchmarks import json_lines
from pipeline import line, run, suggest

ARMS = ("first", "suggested", "random")
"""In the order in which they run; the second needs the network of the first."""
NETWORK = (
    "--model=light_fpn",
    "--set=trainer.encoder=efficientnet_lite0",
    "--set=trainer.weights=imagenet",
    "--image-size=480x360",
    "--set=trainer.crop_size=240x180",
    "--set=trainer.scale=0.75,1.25",
    "--set=trainer.validation_pairs=24",
)


def main(argv: list[str] | None = None) -> None:
    """Trains what is missing, and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data", type=pathlib.Path, help="folder with images/SPLIT, masks/SPLIT and classes.csv")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pairs", type=int, default=50, help="of the first training, and added to it")
    parser.add_argument("--epochs", type=int, default=8, help="each of --steps")
    parser.add_argument("--steps", type=int, default=100, help="between two validations")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path("runs/suggest"), help="intermediate results")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/suggest.jsonl"))
    parser.add_argument("--set", nargs="+", default=[], metavar="SETTING=VALUE", help="changes of all trainings")
    parser.add_argument("--report", action="store_true", help="train nothing")
    arguments = parser.parse_args(argv)
    rows = json_lines.read(arguments.out)
    if not arguments.report:
        if not arguments.data:
            parser.error("--data is required unless --report is given")
        for seed in arguments.seeds:
            measure(seed, arguments, rows)
    print(describe(rows))


def measure(seed: int, arguments, rows: list[dict]):
    """Trains the arms of one seed that `rows` lacks, and appends them to it and to the file."""
    pairs = read_pairs(arguments.data)
    order = random.Random(seed).sample(pairs["train"], len(pairs["train"]))
    first, rest = order[: arguments.pairs], order[arguments.pairs :]
    settings = [arguments.pairs, arguments.epochs, arguments.steps, *arguments.set]
    for arm in ARMS:
        if any((row["seed"], row["arm"], row["settings"]) == (seed, arm, settings) for row in rows):
            continue
        added = []
        if arm == "suggested":
            model = train(f"first-{seed}", first, pairs["validation"], seed, arguments)["exporter"] / "saved_model"
            added = suggested(model, rest, arguments.root / f"suggestions-{seed}", arguments.pairs)
        elif arm == "random":
            added = rest[: arguments.pairs]
        artifacts = train(f"{arm}-{seed}", [*first, *added], pairs["validation"], seed, arguments)
        scores = json.loads((artifacts["evaluator"] / "scores.json").read_text())
        training = json.loads((artifacts["trainer"] / "training.json").read_text())
        row = {"seed": seed, "arm": arm, "pairs": len(first) + len(added), "settings": settings}
        row |= {"mean_iou": scores["original_size"]["mean_iou"], "images": scores["images"]}
        row |= {"iou": dict(zip(scores["classes"], scores["original_size"]["iou"], strict=True))}
        row |= {"minutes": round(training["seconds"] / 60, 2), "finished": training["finished"]}
        rows.append(row)
        json_lines.append(arguments.out, row)


def read_pairs(data: pathlib.Path) -> dict[str, list[tuple[str, str]]]:
    """(image, mask) of the training and the validation split, as absolute paths, in order."""
    pairs = {}
    for name, folder in (("train", "train"), ("validation", "val")):
        images = sorted((data / "images" / folder).resolve().iterdir())
        masks = {path.stem: path for path in (data / "masks" / folder).resolve().iterdir()}
        pairs[name] = [(str(path), str(masks[path.stem])) for path in images]
    return pairs


def train(name: str, training: list, validation: list, seed: int, arguments) -> dict[str, pathlib.Path]:
    """Trains and scores in a process of its own, unless both are finished; returns the folders of the artifacts."""
    table = arguments.root / f"{name}.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    with open(table, "w", newline="") as file:
        rows = [(*pair, "train") for pair in training] + [(*pair, "validation") for pair in validation]
        csv.writer(file).writerows([("image", "mask", "split"), *rows])
    command = [
        f"--data={table}",
        f"--data-root={arguments.data.resolve()}",
        f"--classes={arguments.data / 'classes.csv'}",
    ]
    command += ["--ignore-value=11", f"--name={name}", f"--root={arguments.root}", *NETWORK, f"--seed={seed}"]
    command += [f"--epochs={arguments.epochs}", f"--set=trainer.steps_per_epoch={arguments.steps}"]
    command += [*(f"--set={text}" for text in arguments.set), "--until=evaluator"]
    subprocess.run([sys.executable, "-m", "pipeline.run", *command], check=True)
    request = run.parse(command)
    return line.run(request.config, [], request.stages)  # cached


def suggested(model: pathlib.Path, pairs: list, output: pathlib.Path, count: int) -> list[tuple[str, str]]:
    """The pairs whose images the model suggests."""
    images = [image for image, _ in pairs]
    arguments = ["--model", str(model), "--output", str(output), "--count", str(count), "--format", "lines"]
    if suggest.main([*arguments, "--input", *images]):
        raise SystemExit(2)
    masks = dict(pairs)
    return [(image, masks[image]) for image in (output / "suggestions.txt").read_text().splitlines()]


def describe(rows: list[dict]) -> str:
    """The table, in Markdown: mean IoU of each arm by seed, and the mean difference between suggested and random pictures."""
    seeds = sorted({row["seed"] for row in rows})
    found = {(row["arm"], row["seed"]): row["mean_iou"] for row in rows}
    lines = [f"| training pairs | {' | '.join(f'seed {seed}' for seed in seeds)} |", f"| --- |{' ---: |' * len(seeds)}"]
    for arm in ARMS:
        cells = [f"{found[arm, seed]:.3f}" if (arm, seed) in found else "" for seed in seeds]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    both = [seed for seed in seeds if {("suggested", seed), ("random", seed)} <= found.keys()]
    gains = [found["suggested", seed] - found["random", seed] for seed in both]
    if gains:
        spread = f", standard deviation {statistics.stdev(gains):.3f}" if len(gains) > 1 else ""
        lines.append(f"\nsuggested - random: {statistics.fmean(gains):+.3f} over {len(gains)} seeds{spread}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
