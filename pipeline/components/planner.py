"""planner: chooses network, sizes and length of a training that fits into the minutes that are given.

It times two or three trainings on this machine, and chooses from these seconds and the statistics
(`pipeline/planning/choosing.py`).
`plan.json` holds the settings and the reasons. TensorFlow.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib

from kseg.pairs.split_names import UNLABELLED
from pipeline.engine import progress
from pipeline.engine.files import read_json, write_json
from pipeline.engine.hardware import mixed_precision
from pipeline.planning.choosing import Settings, choose
from pipeline.planning.measuring import count_devices, measure
from pipeline.settings.changes import flatten, replace_setting
from pipeline.settings.encoders import cure_missing_weights
from pipeline.settings.planner import PLANNED, Planner
from pipeline.settings.values import as_text

FILE = "plan.json"


def planner(out: pathlib.Path, config: Planner, *, statistics: pathlib.Path, machine: str):
    """Writes `out/plan.json`.

    It holds `settings` (name -> text) for all of `PLANNED`; `choices`, each with a topic, its settings, the reason and what else
    was considered; what was `measured`; what is `expected` of the training: steps, passes, seconds, memory_bytes; `warnings`;
    and `minutes` and `machine`.

    Args:
        out: folder to write to.
        config: minutes, and the settings that are given.
        statistics: artifact of statistics_gen.
        machine: its kind, see `pipeline.engine.hardware.kind`.

    Raises:
        ValueError: there is no training split.
    """
    found = read_json(statistics / "statistics.json")
    train = found["splits"].get("train")
    if train is None:
        raise ValueError(f"There must be a split to train on. Received: none [{statistics}]. Name one 'train'.")
    domain = found.get(UNLABELLED, {}).get("domain", "")
    pairs = [text.split("=", 1) for text in config.given]
    settings = functools.reduce(lambda settings, pair: replace_setting(settings, *pair), pairs, Settings())

    def timed(candidate: Settings, working_size: tuple[int, int]):
        cost = measure(candidate, working_size, train["channels"], len(found["classes"]), domain)
        progress.advance()
        return cost

    plan = choose(
        found,
        settings,
        frozenset(name for name, _ in pairs),
        config.minutes,
        cure_missing_weights=cure_missing_weights,
        measure=timed,
        mixed_precision=mixed_precision(),
        devices=count_devices(settings.trainer),
    )
    values = flatten(plan.settings)
    record = dataclasses.asdict(plan)
    del record["given"]
    record |= {"settings": {name: as_text(values[name]) for name in PLANNED}}
    write_json(out / FILE, record | {"minutes": config.minutes, "machine": machine}, allow_nan=False)
