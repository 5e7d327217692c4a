"""Trains the arms of a queue one after the other, while threads compile what later ones need. Keras on JAX.

Compiling on an accelerator measures algorithms there: minutes beside a training, instead of half a minute alone. So where time is
short, the first arms should be those that share one compiled function.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import pathlib
import threading
import time

import jax
import keras
import numpy as np

from benchmarks import json_lines
from benchmarks.recipe.settings import Arm
from benchmarks.recipe.training import Data, Network, count_epochs, hyperparameters, train


class Compiler:
    """Networks and compiled functions, each made once, in threads."""

    def __init__(self, data: Data, threads: int):
        self.data = data
        self.pool = concurrent.futures.ThreadPoolExecutor(threads)
        self.networks, self.functions = {}, {}
        self.tracing = threading.Lock()  # Keras traces in one thread at a time

    def request(self, arm: Arm) -> tuple:
        """Futures of the network and of its functions, begun if they are new."""
        key = arm.network, arm.encoder, bool(arm.auxiliary), arm.weight_decay
        if key not in self.networks:
            self.networks[key] = self.pool.submit(self._network, arm)
        wanted = {
            (phase.crop, phase.batch): ("epoch", *key, phase.crop, phase.batch, _loss_terms(arm))
            for phase in arm.phases
        }
        wanted["confusion"] = ("confusion", *key[:3])
        for name, function in wanted.items():
            if function not in self.functions:
                job = self._confusion if name == "confusion" else self._epoch
                self.functions[function] = self.pool.submit(job, arm, name, self.networks[key])
        return self.networks[key], {name: self.functions[function] for name, function in wanted.items()}

    def _network(self, arm):
        with self.tracing, jax.default_device(jax.devices("cpu")[0]):
            return Network(arm)

    def _epoch(self, arm, name, network):
        network = network.result()
        phase = next(phase for phase in arm.phases if (phase.crop, phase.batch) == name)
        hyper = hyperparameters(arm, phase, self.data)
        with self.tracing:
            function = network.epoch(phase, self.data.count // phase.batch, arm)
            state = _shapes(network.initial_state(0, None))
            lowered = jax.jit(function, donate_argnums=0).lower(state, self.data.train, hyper, jax.random.key(0))
        return _compile(lowered, f"epoch of {arm.name}, {name}")

    def _confusion(self, arm, name, network):
        network = network.result()
        with self.tracing:
            state = _shapes(network.initial_state(0, None))
            lowered = jax.jit(network.confusion).lower(state["values"], state["others"], *self.data.validation)
        return _compile(lowered, f"scores of {arm.network} {arm.encoder}")


def _loss_terms(arm: Arm) -> tuple:
    return bool(arm.dice), arm.hardest < 1, bool(arm.boundary), arm.auxiliary


def _shapes(tree):
    return jax.tree_util.tree_map(lambda value: jax.ShapeDtypeStruct(np.shape(value), value.dtype), tree)


def _compile(lowered, what: str):
    start = time.monotonic()
    compiled = lowered.compile()
    print(f"compiled in {time.monotonic() - start:.0f} s: {what}", flush=True)
    return compiled


def run(folder: pathlib.Path, results: pathlib.Path, queue: pathlib.Path, seconds: float, threads: int):
    """Trains all pending runs of a queue until the time is over.

    Args:
        folder: made by `pack`.
        results: file to append a line to for each run.
        queue: file with an arm a line, `dataclasses.asdict` as JSON; read again before each run, so that it can be changed.
        seconds: after which no more is trained.
        threads: that compile.
    """
    end = time.monotonic() + seconds
    data = Data(folder)
    compiler = Compiler(data, threads)
    device = jax.devices()[0].device_kind
    print(f"{device}: data in memory", flush=True)
    pace: dict[str, float] = {}  # seconds here per second of two CPU cores
    while time.monotonic() < end:
        pending = _pending(queue, results)
        ready = None
        for arm, seed in pending:
            futures = compiler.request(arm)
            if ready is None and all(future.done() for future in (futures[0], *futures[1].values())):
                network = futures[0].result()
                cost = sum(count_epochs(network, phase, data)[2] for phase in arm.phases)
                if time.monotonic() + cost * pace.get(arm.network, 0.0) < end:
                    ready = arm, seed, cost, network, {name: future.result() for name, future in futures[1].items()}
        if ready is None:
            if not pending:
                break
            time.sleep(0.5)
            continue
        arm, seed, cost, network, functions = ready
        start = time.monotonic()
        line = train(arm, seed, network, functions, data, end)
        if line is None:
            break
        pace[arm.network] = (time.monotonic() - start) / cost
        _append(results, {"arm": arm.name, "seed": seed, "device": device, **line, "settings": _changed(arm)})


def _pending(queue, results) -> list[tuple[Arm, int]]:
    """Runs in the order of the queue, without those that are finished."""
    finished = {(line["arm"], line["seed"]) for line in json_lines.read(results)}
    arms = [Arm.from_json(json.loads(line)) for line in queue.read_text().splitlines() if line.strip()]
    return [(arm, seed) for arm in arms for seed in arm.seeds if (arm.name, seed) not in finished]


def _changed(arm: Arm) -> dict:
    """The fields of an arm that differ from the defaults."""
    base = dataclasses.asdict(Arm(arm.name))
    fields = dataclasses.asdict(arm)
    return {name: value for name, value in fields.items() if value != base[name] and name != "seeds"}


def _append(results, line: dict) -> None:
    print(f"{line['arm']}, seed {line['seed']}: {line['last, plain']}, {line['last, flip']} flipped; "
          f"{line['training_seconds']} s + {line['scoring_seconds']} s", flush=True)  # fmt: skip
    json_lines.append(results, line)


def check_backend() -> None:
    """Refuses any backend but JAX.

    Raises:
        SystemExit: Keras runs on another backend.
    """
    if keras.backend.backend() != "jax":
        raise SystemExit(f"Keras must run on JAX: set KERAS_BACKEND=jax. Received: {keras.backend.backend()}.")
