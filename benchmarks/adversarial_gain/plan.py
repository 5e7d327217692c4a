"""The runs of the comparison: the settings of both arms on validation, then measurements of the best of each.

A finished run is a dictionary of the fields of `Run` and the results (`scores`, `minutes`), and a line of one file. Standard
library only.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib

from benchmarks import json_lines
from benchmarks.adversarial_gain.pictures import CAMVID, STREETS
from benchmarks.adversarial_gain.settings import ADVERSARIAL, CHANGES, DISCRIMINATORS, ENCODINGS, PLAIN, Setting

STEPS = {STREETS: 500, CAMVID: 920}  # CamVid: 20 epochs of 46
SEARCH_SEED = 100
SEARCH_SEEDS = range(SEARCH_SEED, SEARCH_SEED + 3)
SEEDS = {STREETS: range(5), CAMVID: range(3)}
MEASURED = {STREETS: "test", CAMVID: "validation"}
PLAIN_ARM, LONGER_ARM, ADVERSARIAL_ARM = "plain", "plain, equal minutes", "adversarial"
ARMS = (PLAIN_ARM, LONGER_ARM, ADVERSARIAL_ARM)


@dataclasses.dataclass(frozen=True)
class Run:
    """One run: data, arm, setting, seed, scored split and steps."""

    data: str
    arm: str
    setting: Setting
    seed: int
    split: str
    steps: int

    def key(self) -> str:
        """Identifies the run."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def read(path: pathlib.Path) -> list[dict]:
    """Reads the finished runs of a file; none if it does not exist."""
    return [row | {"setting": Setting(**row["setting"])} for row in json_lines.read(path)]


def append(path: pathlib.Path, run: Run, **found) -> None:
    """Appends a finished run to the file, replacing a line that a kill cut off."""
    json_lines.append(path, dataclasses.asdict(run) | found)


def key_of(row: dict) -> str:
    """The key of the run of a row."""
    return Run(**{field.name: row[field.name] for field in dataclasses.fields(Run)}).key()


def search_runs() -> list[Run]:
    """Every setting of both arms, alternately."""
    pairs = zip(PLAIN, ADVERSARIAL, strict=True)
    arms = [(arm, setting) for pair in pairs for arm, setting in zip((PLAIN_ARM, ADVERSARIAL_ARM), pair, strict=True)]
    return [Run(STREETS, arm, setting, SEARCH_SEED, "validation", STEPS[STREETS]) for arm, setting in arms]


def best(rows: list[dict], arm: str) -> Setting:
    """The setting of an arm with the highest mean IoU on the validation split of streets, among the finished ones."""
    keys = {run.key() for run in search_runs() if run.arm == arm}
    return max((row for row in rows if key_of(row) in keys), key=lambda row: row["scores"]["mean_iou"])["setting"]


def discriminator_runs(rows: list[dict]) -> list[Run]:
    """The best setting of each arm with each of `DISCRIMINATORS`, on streets.

    Args:
        rows: finished runs, including the whole search.
    """
    return _runs_with_plain(
        rows, STREETS, [{"filters": filters, "stride": stride} for filters, stride in DISCRIMINATORS], SEARCH_SEEDS
    )


def encoding_runs(rows: list[dict], data: str) -> list[Run]:
    """The best setting of each arm with each of `ENCODINGS`.

    Args:
        rows: finished runs, including the whole search.
        data: name of the data set.
    """
    seeds = SEARCH_SEEDS if data == STREETS else SEEDS[data]  # the test split of streets is not for choosing
    return _runs_with_plain(rows, data, [{"encoding": encoding} for encoding in ENCODINGS], seeds)


def _runs_with_plain(rows, data, changes, seeds):
    """The plain arm and the game with each of `changes`, on the validation split, one seed after the other."""
    plain, adversarial = (best(rows, arm) for arm in (PLAIN_ARM, ADVERSARIAL_ARM))
    games = [(ADVERSARIAL_ARM, dataclasses.replace(adversarial, **change)) for change in changes]
    return [
        Run(data, arm, setting, seed, "validation", STEPS[data])
        for seed in seeds
        for arm, setting in [(PLAIN_ARM, plain), *games]
    ]


def change_runs() -> list[Run]:
    """Each of `CHANGES` on CamVid's validation split."""
    return [
        Run(CAMVID, ADVERSARIAL_ARM if setting.weight else PLAIN_ARM, setting, SEARCH_SEED, "validation", STEPS[CAMVID])
        for setting in CHANGES
    ]


def confirmation_runs(rows: list[dict]) -> list[Run]:
    """The best of the changes on CamVid, with the seeds of its plain arm.

    Args:
        rows: finished runs, including `change_runs`.
    """
    runs = {run.key(): run for run in change_runs() if run.arm == ADVERSARIAL_ARM}
    chosen = max((row for row in rows if key_of(row) in runs), key=lambda row: row["scores"]["mean_iou"])
    return [dataclasses.replace(runs[key_of(chosen)], seed=seed) for seed in SEEDS[CAMVID]]


def measurement_runs(data: str, rows: list[dict], ratio: float) -> list[Run]:
    """The best setting of each arm, for each seed, at equal steps and at equal minutes.

    Args:
        data: name of the data set.
        rows: finished runs, including the whole search.
        ratio: steps of the plain arm in the time of one step of the game.
    """
    plain, adversarial = (best(rows, arm) for arm in (PLAIN_ARM, ADVERSARIAL_ARM))
    steps = STEPS[data]
    chosen_settings = {
        PLAIN_ARM: (plain, steps),
        LONGER_ARM: (plain, round(ratio * steps)),
        ADVERSARIAL_ARM: (adversarial, steps),
    }
    return [
        Run(data, arm, chosen_settings[arm][0], seed, MEASURED[data], steps=chosen_settings[arm][1])
        for seed in SEEDS[data]
        for arm in (PLAIN_ARM, ADVERSARIAL_ARM, LONGER_ARM)
    ]


def unfinished_runs(runs: list[Run], rows: list[dict]) -> list[Run]:
    """The `runs` without a row."""
    done = {key_of(row) for row in rows}
    return [run for run in runs if run.key() not in done]
