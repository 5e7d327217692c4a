"""Does the adversary help? The same segmentor with and without it, on generated streets and on CamVid.

    python -m benchmarks.adversarial_gain --minutes 60      # continues where it stopped; finished runs are appended to the file
    python -m benchmarks.adversarial_gain --minutes 0       # only prints tables and draws the figure of finished runs
    python -m benchmarks.adversarial_gain --discriminators  # narrower and coarser ones on streets, and their cost
    python -m benchmarks.adversarial_gain --encodings       # basic, product and scaling, on both
    python -m benchmarks.adversarial_gain --changes         # other settings of the game on CamVid
    python -m benchmarks.adversarial_gain --formulations --hours 4  # all formulations, from plain models of CamVid

Both arms train a U-Net from the same seeds: the same initial weights, images, augmentations and steps. On streets the same
number of settings is tried for each arm on the validation split with one seed; the best by mean IoU is then measured on the
test split with five others. On CamVid the same settings are measured on validation with three seeds. A third arm trains
without an adversary for as many more steps as fit into the game's time. Differences are paired means with a 95 % interval.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras

from benchmarks.adversarial_gain import continued, plan, report, training
from benchmarks.adversarial_gain.pictures import CAMVID, STREETS, Data, load
from benchmarks.adversarial_gain.settings import DISCRIMINATORS
from pipeline.settings.config import Config, resolve_auto

RATIO_ARM = "cost"


def step_ratio(data: Data, path: pathlib.Path, **changes: int) -> float:
    """Plain steps in the time of one step of the game, measured once per pair of settings and stored in the file.

    Args:
        data: to train on.
        path: of the file.
        changes: to the best setting of the game.
    """
    rows = plan.read(path)
    plain, adversarial = (plan.best(rows, arm) for arm in (plan.PLAIN_ARM, plan.ADVERSARIAL_ARM))
    adversarial = dataclasses.replace(adversarial, **changes)
    run = plan.Run(data.name, RATIO_ARM, adversarial, 0, "train", training.COST_STEPS)
    found = [row["ratio"] for row in rows if plan.key_of(row) == run.key()]
    if not found:
        found = [training.cost_ratio(data, plain, adversarial)]
        plan.append(path, run, ratio=found[0])
    return found[0]


def run_pending(runs: list[plan.Run], data: Data, path: pathlib.Path, until: float) -> bool:
    """Runs the unfinished ones of `runs`; False if time ran out."""
    for run in plan.unfinished_runs(runs, plan.read(path)):
        if time.monotonic() >= until:
            return False
        model, seconds = training.train(data, run.setting, run.seed, run.steps)
        scores = training.score(model, data, run.split)
        plan.append(path, run, minutes=round(seconds / 60, 2), scores=scores)
        print(f"{run.data}: {run.arm}, {run.setting}, seed {run.seed}: mean IoU {scores['mean_iou']:.4f}", flush=True)
        keras.utils.clear_session()
    return True


def compare_discriminators(path: pathlib.Path, until: float) -> None:
    """Trains with each discriminator while time allows, measures the cost of their steps, and prints the table."""
    data = load(STREETS)
    run_pending(plan.discriminator_runs(plan.read(path)), data, path, until)
    costs = {
        (filters, stride): step_ratio(data, path, filters=filters, stride=stride) for filters, stride in DISCRIMINATORS
    }
    print(report.discriminator_table(plan.read(path), costs))


def compare_encodings(names: list[str], path: pathlib.Path, until: float) -> None:
    """Trains with each encoding on each data set while time allows, and prints the table."""
    for name in names:
        run_pending(plan.encoding_runs(plan.read(path), name), load(name), path, until)
    print(report.encoding_table(plan.read(path), names))


def try_changes(path: pathlib.Path, until: float) -> None:
    """Trains on CamVid with each change, then with the best from other seeds, while time allows; prints the tables."""
    data = load(CAMVID)
    tried = run_pending(plan.change_runs(), data, path, until)
    print(report.changes_table(plan.read(path)), end="\n\n")
    if tried and run_pending(plan.confirmation_runs(plan.read(path)), data, path, until):
        print(report.confirmed_table(plan.read(path)))


def main() -> None:
    """Runs for the given time, prints the tables, and draws the figure once there is something to compare."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=600, help="start no run after this time")
    parser.add_argument(
        "--file", type=pathlib.Path, default=pathlib.Path("docs/adversarial_gain.jsonl"), help="finished runs"
    )
    parser.add_argument("--data", nargs="*", default=[STREETS, CAMVID], choices=[STREETS, CAMVID])
    parser.add_argument("--discriminators", action="store_true", help="compare these instead of the arms")
    parser.add_argument("--encodings", action="store_true", help="compare these instead")
    parser.add_argument("--changes", action="store_true", help="try these on CamVid instead")
    parser.add_argument("--formulations", action="store_true", help="continue from plain models of CamVid instead")
    parser.add_argument("--hours", type=float, help="in place of --minutes")
    parser.add_argument(
        "--models", type=pathlib.Path, default=pathlib.Path("runs/adversarial_gain"), help="plain models, by seed"
    )
    parser.add_argument("--picture", type=pathlib.Path, default=pathlib.Path("docs/adversarial_gain.png"))
    arguments = parser.parse_args()
    minutes = arguments.minutes if arguments.hours is None else 60 * arguments.hours
    until = time.monotonic() + 60 * minutes
    if arguments.formulations:
        print(continued.compare(arguments.file, arguments.models, lambda: time.monotonic() < until))
        return
    keras.config.set_dtype_policy(resolve_auto(Config()).trainer.precision)
    searched = run_pending(plan.search_runs(), load(STREETS), arguments.file, until)
    if plan.read(arguments.file):
        print(report.search_table(plan.read(arguments.file)), end="\n\n")
    if arguments.changes:
        try_changes(arguments.file, until)
        return
    if arguments.encodings:
        compare_encodings(arguments.data, arguments.file, until if searched else 0.0)
        return
    if arguments.discriminators:
        compare_discriminators(arguments.file, until if searched else 0.0)
        return
    compared = []
    for name in arguments.data if searched else []:
        data = load(name)
        ratio = step_ratio(data, arguments.file)
        run_pending(plan.measurement_runs(name, plan.read(arguments.file), ratio), data, arguments.file, until)
        rows = plan.read(arguments.file)
        if len(report.values(rows, data, plan.PLAIN_ARM, ratio)["mean_iou"]):
            print(report.gain_table(rows, data, ratio), end="\n\n")
            compared.append((data, ratio))
    if compared:
        report.picture(plan.read(arguments.file), compared).savefig(arguments.picture, dpi=100)


if __name__ == "__main__":
    main()
