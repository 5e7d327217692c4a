"""Formulations of the game on CamVid: every arm continues from the same plain model of its seed, for the same minutes.

The plain model is the recipe of docs/accuracy.md: a light FPN on EfficientNet-Lite0 with ImageNet weights, on crops of 240 x 180
of images of 480 x 360, in float32. An arm then takes as many steps as fit into the time of `PLAIN_STEPS` plain ones, by the ratio
of their CPU seconds, which holds beside other work. Settings are chosen with one seed and measured with others, both on the
validation split. Last, plain, winner and controls train from the trunk, for the time of both trainings.
"""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
import time

import keras
import numpy as np

from benchmarks.adversarial_gain import plan, report, training
from benchmarks.adversarial_gain.pictures import Data, load_camvid_at
from benchmarks.adversarial_gain.settings import CONTINUED, CONTROLS, Setting

NAME = "camvid 480x360"
SIZE, CROP = (360, 480), (180, 240)
START_STEPS = 1622
"""Of the plain model: 7.3 minutes at 0.27 s."""
PLAIN_STEPS = 649
"""Of the plain arm that continues: 2.9 minutes."""
START_RATE = 2e-3
"""Learning rate of trainings from the trunk; those that continue have a lower one."""
SEARCH_SEED, SEEDS, FINAL_SEEDS = 100, range(3), range(5)
PLAIN = Setting(network="light_fpn", learning_rate=5e-4)
SCORES = ("mean_iou", "boundary_f1")


def start_model(data: Data, folder: pathlib.Path, seed: int) -> pathlib.Path:
    """The plain model of a seed, trained unless its file is there."""
    path = folder / f"start-{seed}.keras"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        model, _ = training.train(data, from_trunk(PLAIN), seed, START_STEPS)
        model.save(path.with_suffix(".part.keras"))
        path.with_suffix(".part.keras").rename(path)
        keras.utils.clear_session()
    return path


def from_trunk(setting: Setting) -> Setting:
    """The setting of a training that continues no model."""
    return dataclasses.replace(setting, learning_rate=START_RATE)


def continues(setting: Setting) -> bool:
    """Whether a training continues the plain model of its seed."""
    return setting.learning_rate != START_RATE


def ratio_run(setting: Setting) -> plan.Run:
    """The row that holds the cost of a setting's step, in plain steps."""
    return plan.Run(NAME, "cost", setting, 0, "train", training.COST_STEPS)


def step_ratio(data: Data, path: pathlib.Path, setting: Setting) -> float:
    """Plain steps in the time of one of the setting: measured, and stored in the file."""
    ratio = training.cost_ratio(data, PLAIN, setting, rounds=3, now=time.process_time)
    plan.append(path, ratio_run(setting), ratio=ratio)
    return ratio


def arm_of(setting: Setting) -> str:
    """The name of a setting's arm."""
    if setting.weight:
        return setting.game
    controls = {"hardest pixels": setting.hardest, "borders": setting.boundary, "even bets": setting.even}
    return next((arm for arm, weight in controls.items() if weight), plan.PLAIN_ARM)


def run_of(setting: Setting, seed: int, ratio: float) -> plan.Run:
    """The run of a setting that takes as long as the plain arm; from the trunk, as long as that and its start."""
    steps = PLAIN_STEPS if continues(setting) else START_STEPS + PLAIN_STEPS
    return plan.Run(NAME, arm_of(setting), setting, seed, "validation", round(steps / ratio))


def wanted(rows: list[dict], ratios: dict[Setting, float]) -> list[tuple[Setting, int]]:
    """Settings and seeds up to the stage that is reached.

    All with one seed; the best of each arm; the winner and its controls; these from the trunk.

    Args:
        rows: finished runs.
        ratios: cost of each setting's step.
    """
    pairs = [(setting, SEARCH_SEED) for setting in (PLAIN, *CONTINUED, *CONTROLS)]
    scores = scores_of(rows, ratios)
    best = _best_of_arms(scores)
    pairs += [(setting, seed) for seed in SEEDS for setting in best.values()]
    last = _finalists(scores)
    pairs += [(setting, seed) for seed in FINAL_SEEDS for setting in last]
    return pairs + [(from_trunk(setting), seed) for seed in SEEDS for setting in last]


def _best_of_arms(scores: dict) -> dict[str, Setting]:
    """The best setting of each arm; empty until all are finished with the seed of the search."""
    arms: dict[str, list[Setting]] = {}
    for setting in (PLAIN, *CONTINUED, *CONTROLS):
        if (setting, SEARCH_SEED) not in scores:
            return {}
        arms.setdefault(arm_of(setting), []).append(setting)
    return {arm: max(settings, key=lambda one: scores[one, SEARCH_SEED]["mean_iou"]) for arm, settings in arms.items()}


def _finalists(scores: dict) -> tuple[Setting, ...]:
    """Plain, the winner and its controls; empty until the best of each arm are finished with all of `SEEDS`."""
    best = _best_of_arms(scores)
    if not best or not all((setting, seed) in scores for setting in best.values() for seed in SEEDS):
        return ()
    games = [setting for setting in best.values() if setting.weight]
    winner = max(games, key=lambda one: statistics.mean(scores[one, seed]["mean_iou"] for seed in SEEDS))
    controls = ("hardest pixels", "even bets") if winner.game == "gambler" else ("borders",)
    return best[plan.PLAIN_ARM], winner, *(best[arm] for arm in controls)


def scores_of(rows: list[dict], ratios: dict[Setting, float]) -> dict:
    """(setting, seed) -> scores of the finished runs."""
    by_key = {plan.key_of(row): row["scores"] for row in rows if "scores" in row}
    seeds = {SEARCH_SEED, *SEEDS, *FINAL_SEEDS}
    runs = {(setting, seed): run_of(setting, seed, ratio).key() for setting, ratio in ratios.items() for seed in seeds}
    return {pair: by_key[key] for pair, key in runs.items() if key in by_key}


def compare(path: pathlib.Path, models: pathlib.Path, pending, data: Data | None = None) -> str:
    """Runs what is missing while `pending` says that there is time, and returns the table.

    Args:
        path: file of finished runs.
        models: folder of the plain models to continue from.
        pending: function that says whether another run may begin.
        data: CamVid at its own size; None: read when a run begins.
    """
    settings, data = [PLAIN, *CONTINUED, *CONTROLS], data or (load_camvid_at(NAME, SIZE, CROP) if pending() else None)
    ratios = {PLAIN: 1.0}
    for setting in settings[1:]:
        known = [row["ratio"] for row in plan.read(path) if plan.key_of(row) == ratio_run(setting).key()]
        if known or pending():
            ratios[setting] = known[0] if known else step_ratio(data, path, setting)
    complete = len(ratios) == len(settings)
    ratios |= {from_trunk(setting): ratio for setting, ratio in ratios.items()}
    while pending() and complete:
        rows = plan.read(path)
        done = scores_of(rows, ratios)
        left = [pair for pair in wanted(rows, ratios) if pair not in done]
        if not left:
            break
        setting, seed = left[0]
        run = run_of(setting, seed, ratios[setting])
        start = keras.saving.load_model(start_model(data, models, seed)) if continues(setting) else None
        model, seconds = training.train(data, setting, seed, run.steps, start)
        plan.append(path, run, minutes=round(seconds / 60, 2), scores=training.score(model, data, run.split))
        keras.utils.clear_session()
    return table(plan.read(path), ratios)


def table(rows: list[dict], ratios: dict[Setting, float]) -> str:
    """Gains over the plain arm of the same seed, start and minutes, a line a setting; then the winner's over others."""
    scores = scores_of(rows, ratios)
    lines = [
        "| arm | setting | plain steps a step | seeds | mean IoU | boundary F1 |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for setting, ratio in ratios.items():
        plain = PLAIN if continues(setting) else from_trunk(PLAIN)
        seeds = [seed for seed in FINAL_SEEDS if {(setting, seed), (plain, seed)} <= scores.keys()]
        seeds = seeds or [seed for seed in (SEARCH_SEED,) if {(setting, seed), (plain, seed)} <= scores.keys()]
        if seeds:
            cells = _cells(scores, seeds, setting, plain)
            lines.append(f"| {arm_of(setting)} | {setting} | {ratio:.2f} | {len(seeds)} | {cells} |")
    return "\n".join(lines + _duels(scores))


def _duels(scores: dict) -> list[str]:
    """Gains of the winner over plain and its controls, from the plain model and from the trunk, as lines of Markdown."""
    plain, winner, *controls = _finalists(scores) or (None, None)
    if winner is None:
        return []
    lines = [
        "",
        f"| {arm_of(winner)} over | from | seeds | mean IoU | boundary F1 |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for name, change in (("the plain model", lambda setting: setting), ("the trunk", from_trunk)):
        for other in (plain, *controls):
            pair = change(winner), change(other)
            if seeds := [seed for seed in FINAL_SEEDS if {(one, seed) for one in pair} <= scores.keys()]:
                lines.append(f"| {arm_of(other)} | {name} | {len(seeds)} | {_cells(scores, seeds, *pair)} |")
    return lines


def _cells(scores: dict, seeds: list[int], setting: Setting, other: Setting) -> str:
    """Gains of a setting over another with the same seeds; the scores themselves where both are one."""
    cells = []
    for name in SCORES:
        ours, theirs = (np.array([scores[one, seed][name] for seed in seeds]) for one in (setting, other))
        cells.append(f"{ours.mean():.4f}" if setting == other else report.format_gain(ours - theirs))
    return " | ".join(cells)
