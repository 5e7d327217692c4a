"""The table of finished runs. No framework."""

from __future__ import annotations

import statistics

from benchmarks.recipe.settings import DECAYS


def table(lines: list[dict]) -> str:
    """Markdown: an arm a line, in the order of the file, with the mean IoU of each seed and the means of all other scores."""
    arms: dict[str, list[dict]] = {}
    for line in lines:
        arms.setdefault(line["arm"], []).append(line)
    heads = ["arm", "minutes", "steps", "each seed", "mean", "with flip"]
    heads += [f"average {decay}" for decay in DECAYS]
    rows = [f"| {' | '.join(heads)} |", "| --- |" + " ---: |" * (len(heads) - 1)]
    for name, runs in arms.items():
        runs = sorted(runs, key=lambda run: run["seed"])
        cells = [name, f"{runs[0]['minutes']:.0f}", str(runs[0]["steps"])]
        cells.append(", ".join(f"{run['last, plain']:.3f}" for run in runs))
        cells += [_mean(runs, "last, plain"), _mean(runs, "last, flip")]
        cells += [_mean(runs, f"average {decay}, plain") for decay in DECAYS]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _mean(runs: list[dict], score: str) -> str:
    return f"{statistics.mean(run[score] for run in runs):.3f}"
