"""Tables and a figure of the results. numpy, SciPy and matplotlib."""

from __future__ import annotations

import dataclasses

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from benchmarks.adversarial_gain.pictures import Data
from benchmarks.adversarial_gain.plan import (
    ADVERSARIAL_ARM,
    ARMS,
    LONGER_ARM,
    MEASURED,
    PLAIN_ARM,
    SEEDS,
    STEPS,
    best,
    change_runs,
    confirmation_runs,
    discriminator_runs,
    encoding_runs,
    key_of,
    measurement_runs,
    search_runs,
)
from benchmarks.adversarial_gain.settings import ENCODINGS

SCORES = ("mean_iou", "boundary_f1", "wheels", "lines", "neighbours")
TITLES = {
    "mean_iou": "mean IoU",
    "boundary_f1": "boundary F1",
    "wheels": "cars with two wheels",
    "lines": "lines without a gap",
    "neighbours": "impossible neighbours",
}
CONFIDENCE = 0.95


def interval(differences) -> tuple[float, float, float]:
    """Mean of paired differences (N,) and its 95 % interval by Student's t, infinite for fewer than two.

    Example:
        >>> [round(value, 3) for value in interval([1.0, 2.0, 3.0])]
        [2.0, -0.484, 4.484]
    """
    values = np.asarray(differences, float)
    mean = float(values.mean())
    if len(values) < 2:
        return mean, -np.inf, np.inf
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return mean, float(mean - half), float(mean + half)


def values(rows: list[dict], data: Data, arm: str, ratio: float) -> dict[str, np.ndarray]:
    """Scores (N,) of an arm by seed, classes under their names; only seeds that every arm has finished."""
    wanted = measurement_runs(data.name, rows, ratio)
    scores_of = _scores_by_key(rows)
    finished = [seed for seed in SEEDS[data.name] if all(run.key() in scores_of for run in wanted if run.seed == seed)]
    own = [scores_of[run.key()] for run in wanted if run.arm == arm and run.seed in finished]
    names = [name for name in SCORES if not own or name in own[0]]
    found = {name: np.array([scores[name] for scores in own]) for name in names}
    classes = {name: np.array([scores["iou"][k] for scores in own], float) for k, name in enumerate(data.class_names)}
    return found | classes


def search_table(rows: list[dict]) -> str:
    """Scores of each setting on the validation split of streets, as Markdown; the best of each arm in bold."""
    chosen = {best(rows, arm) for arm in (PLAIN_ARM, ADVERSARIAL_ARM)}
    return _score_table(sorted(search_runs(), key=lambda run: run.arm, reverse=True), rows, SCORES, chosen)


def changes_table(rows: list[dict]) -> str:
    """Scores of each change on the validation split of CamVid, as Markdown."""
    return _score_table(change_runs(), rows, ("mean_iou", "boundary_f1"))


def confirmed_table(rows: list[dict]) -> str:
    """Means over seeds of the plain arm and of the best change on CamVid, and their paired differences, as Markdown."""
    scores_of = _scores_by_key(rows)
    games = confirmation_runs(rows)
    plain = [dataclasses.replace(run, arm=PLAIN_ARM, setting=best(rows, PLAIN_ARM)) for run in games]
    lines = [
        f"| score, {len(games)} seeds | plain, {plain[0].setting} | {games[0].setting} | gain at equal steps |",
        "| --- " + "| ---: " * 3 + "|",
    ]
    for name in ("mean_iou", "boundary_f1"):
        ours, theirs = (np.array([scores_of[run.key()][name] for run in runs]) for runs in (games, plain))
        lines.append(f"| {TITLES[name]} | {theirs.mean():.4f} | {ours.mean():.4f} | {format_gain(ours - theirs)} |")
    return "\n".join(lines)


def _scores_by_key(rows: list[dict]) -> dict[str, dict]:
    """Scores of the finished runs by key; the other rows hold costs of steps."""
    return {key_of(row): row["scores"] for row in rows if "scores" in row}


def format_gain(differences) -> str:
    """Mean and interval as text; of one difference there is no interval."""
    mean, low, high = interval(differences)
    return f"{mean:+.4f}" + (f" ({low:+.4f} to {high:+.4f})" if len(differences) > 1 else "")


def _score_table(runs, rows, names, bold=()):
    """One line per finished run: arm, setting and scores."""
    scores_of = _scores_by_key(rows)
    heads = [TITLES[name] if name in ("mean_iou", "boundary_f1") else name for name in names]
    lines = [f"| arm | setting | {' | '.join(heads)} |", "| --- | --- " + "| ---: " * len(names) + "|"]
    for run in (run for run in runs if run.key() in scores_of):
        mark = "**" if run.setting in bold else ""
        scores = scores_of[run.key()]
        cells = [f"{scores[name]:.3f}" if name != "neighbours" else f"{scores[name]:.4f}" for name in names]
        lines.append(f"| {run.arm} | {mark}{run.setting}{mark} | {' | '.join(cells)} |")
    return "\n".join(lines)


def gain_table(rows: list[dict], data: Data, ratio: float) -> str:
    """Means of the arms and paired differences with their intervals, as Markdown."""
    arms = {arm: values(rows, data, arm, ratio) for arm in ARMS}
    seeds = len(arms[PLAIN_ARM]["mean_iou"])
    lines = [
        f"{data.name}, {MEASURED[data.name]} split, {seeds} seeds, {STEPS[data.name]} steps; a step of the game takes "
        f"{ratio:.2f} plain steps, so equal minutes are {round(ratio * STEPS[data.name])} plain steps.",
        "",
        "| score | plain | plain, equal minutes | adversarial | gain at equal steps | gain at equal minutes |",
        "| --- " + "| ---: " * 5 + "|",
    ]
    for name, adversarial in arms[ADVERSARIAL_ARM].items():
        means = [f"{np.mean(arms[arm][name]):.4f}" for arm in ARMS]
        cells = means + [format_gain(adversarial - arms[arm][name]) for arm in (PLAIN_ARM, LONGER_ARM)]
        lines.append(f"| {TITLES.get(name, name)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def discriminator_table(rows: list[dict], costs: dict[tuple[int, int], float]) -> str:
    """Gains over the plain arm with each discriminator, as Markdown.

    Args:
        rows: finished runs.
        costs: by filters and stride, plain steps per step of the game.
    """
    runs = discriminator_runs(rows)
    names = ("mean_iou", "wheels", "boundary_f1", "lines", "neighbours")
    lines = [
        "| filters | stride | game's step, in plain steps | seeds | mean IoU | wheels | boundary F1 | lines | neighbours |",
        "| ---: " * 9 + "|",
    ]
    for (filters, stride), cost in costs.items():
        games = [run for run in runs if (run.setting.filters, run.setting.stride) == (filters, stride)]
        gains = _gains(rows, runs, games, names)
        if gains["mean_iou"]:
            cells = [format_gain(gains[name]) for name in names[:2]] + [
                f"{np.mean(gains[name]):+.4f}" for name in names[2:]
            ]
            lines.append(f"| {filters} | {stride} | {cost:.2f} | {len(gains['mean_iou'])} | {' | '.join(cells)} |")
    return "\n".join(lines)


def encoding_table(rows: list[dict], names: list[str]) -> str:
    """Gains over the plain arm with each encoding on each data set, as Markdown.

    Args:
        rows: finished runs.
        names: of the data sets.
    """
    lines = ["| data | encoding | seeds | mean IoU | boundary F1 |", "| --- | --- | ---: | ---: | ---: |"]
    for name in names:
        runs = encoding_runs(rows, name)
        for encoding in ENCODINGS:
            games = [run for run in runs if run.setting.encoding == encoding]
            gains = _gains(rows, runs, games, ("mean_iou", "boundary_f1"))
            if gains["mean_iou"]:
                cells = " | ".join(map(format_gain, gains.values()))
                lines.append(f"| {name} | {encoding} | {len(gains['mean_iou'])} | {cells} |")
    return "\n".join(lines)


def _gains(rows, runs, games, names):
    """By score, the differences of each finished one of `games` to the plain run of its seed among `runs`."""
    scores_of = _scores_by_key(rows)
    plain = {run.seed: scores_of[run.key()] for run in runs if not run.setting.weight and run.key() in scores_of}
    games = [run for run in games if run.setting.weight and run.key() in scores_of and run.seed in plain]
    return {name: [scores_of[run.key()][name] - plain[run.seed][name] for run in games] for name in names}


def picture(rows: list[dict], compared: list[tuple[Data, float]]) -> Figure:
    """Paired differences with their intervals, one panel per data set."""
    counts = [len(values(rows, data, PLAIN_ARM, ratio)) for data, ratio in compared]
    figure = Figure(figsize=(8, 0.3 * sum(counts) + 1.2 * len(counts)), layout="constrained")
    panels = figure.subplots(len(compared), 1, squeeze=False, height_ratios=counts)[:, 0]
    for panel, (data, ratio) in zip(panels, compared, strict=True):
        arms = {arm: values(rows, data, arm, ratio) for arm in ARMS}
        names = list(arms[ADVERSARIAL_ARM])
        for arm, label, colour, shift in (
            (PLAIN_ARM, "at equal steps", "#1f5fa8", -0.13),
            (LONGER_ARM, "at equal minutes", "#d1662a", 0.13),
        ):
            found = np.array([interval(arms[ADVERSARIAL_ARM][name] - arms[arm][name]) for name in names])
            at = np.arange(len(names)) + shift
            panel.errorbar(
                found[:, 0], at, xerr=[found[:, 0] - found[:, 1], found[:, 2] - found[:, 0]], fmt="o", ms=4, lw=1.5,
                color=colour, label=label,
            )  # fmt: skip
        panel.axvline(0, color="0.4", lw=0.8)
        panel.set_yticks(range(len(names)), [TITLES.get(name, name) for name in names])
        panel.invert_yaxis()
        panel.grid(axis="x", color="0.9")
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xlabel(
            f"adversarial minus plain, {data.name} {MEASURED[data.name]}: mean of paired differences, 95 % interval"
        )
        panel.legend(frameon=False, loc="best", fontsize="small")
    return figure
