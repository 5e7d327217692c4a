"""What follows from the measured points: how well they are reproduced, sizes that were not run, and what breaks first."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from benchmarks.scale_model import arithmetic
from benchmarks.scale_model.arithmetic import Cluster, Line, line_through
from benchmarks.scale_model.measuring import ALL_COMPARED, BITS, COMPONENTS
from pipeline.examples.prepared import shard_count

HOUR, GB, TB = 3600, 1e9, 1e12
BANDS = BITS // 2 + 1
MACHINES = (1, 2, 4, 8, 16, 32)
"""Of 8 GPUs, that train."""


class Assumed(NamedTuple):
    """What was not measured; each is an option of the command."""

    memory: float = 64.0  # GB, of the machine that runs the command
    disk: float = 5.0  # GB/s, of the shared disk for all machines together
    network: float = 12.5  # GB/s, of each machine that trains
    cores: int = 96  # of each machine that trains
    tflops: float = 100.0  # that a GPU sustains, in 10^12 operations a second
    gpu_batch: int = 16  # images of a GPU in a step
    core_hour: float = 0.04  # US dollars
    gpu_hour: float = 2.5


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds an option for each of `Assumed`."""
    for name, value in Assumed()._asdict().items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)


class Component(NamedTuple):
    """The lines of a component, by images."""

    alone: Line  # seconds by the clock with one worker
    shared: float  # CPU seconds of a worker for an image
    read: float  # bytes of an image
    written: float


class Model:
    """The rates, from the points of `benchmarks.scale_model.measuring`.

    Args:
        rows: the points.
    """

    def __init__(self, rows: list[dict]):
        self.rows = rows
        self.about = self._of("network")[0]
        fitted = self.about["pairs"][:-1]
        self.components = {}
        for what in COMPONENTS:
            points = [row for row in self._of(what) if row["pairs"] in fitted and row["workers"] == 1]
            alone, worker = (
                line_through([(row["pairs"], row[name]) for row in points]) for name in ("seconds", "worker")
            )
            last = points[-1]
            source = last["source"] if what == COMPONENTS[0] else self._of(COMPONENTS[0])[len(points) - 1]["written"]
            per_image = [number / last["pairs"] for number in (source, last["written"])]
            self.components[what] = Component(alone, worker.slope, *per_image)
        names = self._of("names")
        self.listing, self.names = (
            line_through([(row["number"], row[name]) for row in names]) for name in ("cpu", "memory")
        )
        (digests,) = self._of("digests")
        self.hashing = digests["cpu"] / digests["bytes"]
        compared, banded = self._of("near_duplicates")
        self.comparison = compared["cpu"] / (ALL_COMPARED**2 / 2)
        number = banded["number"]
        found = self.comparison * arithmetic.compared_hashes(number, BANDS)
        self.banding = max(0.0, banded["cpu"] - found) / number
        self.hashes = banded["memory"] / number
        inputs = [(row["machines"], row["cpu"] / row["images"]) for row in self._of("training_input")]
        self.inputs, self.input_check = [inputs[0], inputs[-1]], inputs[1:-1]
        self.read, self.prepare = arithmetic.input_rates(self.inputs)

    def _of(self, what: str) -> list[dict]:
        return [row for row in self.rows if row["what"] == what]

    def reproduced(self) -> list[tuple[str, float, float]]:
        """(point, measured, by the model) of what gave no rate: seconds of components, milliseconds of input."""
        number, found = self.about["pairs"][-1], []
        for what in COMPONENTS:
            for row in self._of(what):
                if row["pairs"] == number:
                    seconds = self.component_seconds(what, number, row["workers"])
                    found.append((f"{what}, {number:,} pairs, workers: {row['workers']}, s", row["seconds"], seconds))
        for machines, cost in self.input_check:
            expected = self.read + self.prepare / machines
            found.append((f"input of training, one of {machines} machines, ms an image", 1000 * cost, 1000 * expected))
        return found

    def component_seconds(self, what: str, images: int, workers: int) -> float:
        """By the clock."""
        one = self.components[what]
        shards = shard_count(images, int(images * self.components[COMPONENTS[0]].read))
        return arithmetic.seconds_of_component(one.alone, one.shared, images, workers, shards)

    def near_duplicate_seconds(self, images: int) -> float:
        """Of one core."""
        return self.banding * images + self.comparison * arithmetic.compared_hashes(images, BANDS)

    def preparation(self, images: int, workers: int, assumed: Assumed) -> list[tuple]:
        """(step, seconds, cores that it keeps, bytes read, bytes written) of all steps before training."""
        source = self.components[COMPONENTS[0]].read * images
        rows = [("first look at the files", self.hashing * source, 1, source, 0.0)]
        for what, one in self.components.items():
            read, written = one.read * images, one.written * images
            computed = self.component_seconds(what, images, workers)
            moved = (read + written) / (assumed.disk * GB)
            rows.append((what, max(computed, moved), workers, read, written))
        return [*rows, ("near duplicates", self.near_duplicate_seconds(images), 1, 0.0, 0.0)]

    def limits(self, assumed: Assumed) -> list[tuple[str, float]]:
        """(what breaks, at how many images) whatever the number of workers."""
        first = self.components[COMPONENTS[0]]
        compared = self.comparison * arithmetic.compared_hashes(1, BANDS)
        return [
            (f"names fill {assumed.memory:g} GB in the command", self.names.reaches(assumed.memory * GB)),
            (f"hashes of near duplicates fill {assumed.memory:g} GB", assumed.memory * GB / self.hashes),
            ("the first look takes an hour of one core", HOUR / self.hashing / first.read),
            ("listing takes an hour of one core", self.listing.reaches(HOUR)),
            ("near duplicates take an hour of one core", arithmetic.images_in(HOUR, self.banding, compared)),
            *(
                (
                    f"{what}: what nobody shares takes an hour",
                    (HOUR - one.alone.start) / unshared
                    if (unshared := one.alone.slope - one.shared) > 0
                    else float("inf"),
                )
                for what, one in self.components.items()
            ),
        ]

    def saturating_workers(self, assumed: Assumed) -> list[tuple[str, float]]:
        """(component, workers that the shared disk can feed)."""
        return [
            (what, assumed.disk * GB / ((one.read + one.written) / one.shared)) for what, one in self.components.items()
        ]

    def training(self, images: int, machines: int, assumed: Assumed) -> arithmetic.Pass:
        """A pass over the pairs that transform left, on machines of 8 GPUs."""
        flops, network, storage = assumed.tflops * 1e12, assumed.network * GB, assumed.disk * GB
        return arithmetic.seconds_of_pass(
            Cluster(machines, 8, assumed.cores, flops, network, storage),
            images=images,
            image_bytes=self.components["transform"].written,
            batch_size=machines * 8 * assumed.gpu_batch,
            multiply_adds=self.about["multiply_adds"],
            parameters=self.about["parameters"],
            read=self.read,
            prepare=self.prepare,
        )


def lines(rows: list[dict], assumed: Assumed, images: int, workers: int, machines: int):
    """Yields the tables as Markdown."""
    model = Model(rows)
    yield f"Measured on {model.about['day']}, {model.about['processor']}, images of {model.about['size']}."
    yield from (
        "",
        "| not among the points that give the rates | measured | by the model | ratio |",
        "| --- | --- | --- | --- |",
    )
    for what, measured, expected in model.reproduced():
        yield f"| {what} | {measured:.2f} | {expected:.2f} | {expected / measured:.2f} |"

    yield from ("", f"{images:,} images, {workers} workers:", "")
    yield from ("| step | hours | core hours | read | written |", "| --- | --- | --- | --- | --- |")
    total = [0.0] * 4
    for what, seconds, cores, *moved in model.preparation(images, workers, assumed):
        sums = seconds / HOUR, seconds * cores / HOUR, *(number / TB for number in moved)
        total = [before + number for before, number in zip(total, sums, strict=True)]
        yield "| {} | {:.2f} | {:.1f} | {:.2f} TB | {:.2f} TB |".format(what, *sums)
    yield "| together | {:.2f} | {:.1f} | {:.2f} TB | {:.2f} TB |".format(*total)
    yield from ("", f"At {assumed.core_hour} dollars a core hour: {total[1] * assumed.core_hour:.0f} dollars.")
    yield from ("", "What breaks first:", "", "| limit | reached at images |", "| --- | --- |")
    for what, number in sorted(model.limits(assumed), key=lambda limit: limit[1]):
        yield f"| {what} | {_millions(number)} |"
    yield from ("", "| shared disk | workers that it can feed |", "| --- | --- |")
    for what, number in model.saturating_workers(assumed):
        yield f"| {what} | {number:.0f} |"

    yield from ("", f"One pass of training over {images:,} images, {assumed.gpu_batch} a GPU in a step:", "")
    yield "| machines of 8 GPUs | hours | limit | devices | gradients | cores | storage | read | dollars |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for number in sorted({*MACHINES, machines}):
        found = model.training(images, number, assumed)
        hours = (found.seconds, found.compute, found.exchange, found.cores, found.storage)
        whole, *parts = (f"{seconds / HOUR:.2f}" for seconds in hours)
        dollars = found.seconds / HOUR * number * 8 * assumed.gpu_hour
        row = [number, whole, found.limit, *parts, f"{found.bytes_read / TB:.1f} TB", f"{dollars:.0f}"]
        yield f"| {' | '.join(map(str, row))} |"


def _millions(number: float) -> str:
    return f"{number / 1e6:,.1f} million" if number < 1e12 else "never"
