"""The arithmetic of the model: straight lines through measured points, and what follows for other sizes. Standard library only.

Seconds are of CPU time or of the clock, as said; bytes are bytes. Nothing here is measured or assumed: that comes as arguments.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Line(NamedTuple):
    """start + slope * n."""

    start: float
    slope: float

    def at(self, n: float) -> float:
        """The value at n."""
        return self.start + self.slope * n

    def reaches(self, limit: float) -> float:
        """The n at which the value is `limit`; infinity if it does not grow, 0 if it begins above."""
        return max(0.0, (limit - self.start) / self.slope) if self.slope > 0 else math.inf


def line_through(points: list[tuple[float, float]]) -> Line:
    """The line of least squares through (n, value) of at least two different n.

    Example:
        >>> line_through([(1, 5.0), (3, 9.0)])
        Line(start=3.0, slope=2.0)
    """
    middle = sum(n for n, _ in points) / len(points)
    mean = sum(value for _, value in points) / len(points)
    slope = sum((n - middle) * (value - mean) for n, value in points) / sum((n - middle) ** 2 for n, _ in points)
    return Line(mean - slope * middle, slope)


def seconds_of_component(alone: Line, shared: float, images: int, workers: int, shards: int) -> float:
    """Seconds by the clock of a component that workers share.

    Each worker takes whole shards, so the slowest has `shards` / `workers` of them, rounded up. Nobody shares the rest, which the
    command itself does.

    Args:
        alone: seconds by the clock with one worker, by images.
        shared: CPU seconds of that worker for each image.
        images: in the data set.
        workers: that run at the same time, each on a core of its own.
        shards: in the data set.

    Example:
        >>> seconds_of_component(Line(2.0, 0.011), 0.01, images=1000, workers=4, shards=16)  # 13 s, of which 10 are shared
        5.5
    """
    return alone.at(images) - shared * images * (1 - math.ceil(shards / workers) / shards)


def images_in(seconds: float, per_image: float, per_pair_of_images: float) -> float:
    """The n for which per_image * n + per_pair_of_images * n^2 is that many seconds.

    Example:
        >>> images_in(20.0, 1.0, 0.1)  # 10 + 0.1 * 100
        10.0
    """
    if not per_pair_of_images:
        return seconds / per_image if per_image else math.inf
    half = per_image / per_pair_of_images / 2
    return math.sqrt(half**2 + seconds / per_pair_of_images) - half


def compared_hashes(images: float, bands: int, bits: int = 128) -> float:
    """Pairs of random hashes that agree in a band but for one bit at most, of which all are compared.

    A band has `bits` / `bands` bits; two hashes agree in b bits with probability 2^-b, and differ in one of them with b * 2^-b.

    Example:
        >>> compared_hashes(1024, bands=16)  # 16 bands of 8 bits, 9 of whose 256 values are near: 16 * 1024^2 / 2 * 9 / 256
        294912.0
    """
    of_each = bits / bands
    return bands * images**2 / 2 * (1 + of_each) / 2**of_each


def input_rates(points: list[tuple[int, float]]) -> tuple[float, float]:
    """What reading costs every machine, and what decoding and augmenting costs all machines together.

    Args:
        points: (machines, CPU seconds of one of them for each image of the whole batches).

    Returns:
        (read, prepare), so that a machine of k takes read + prepare / k.

    Example:
        >>> input_rates([(1, 10.0), (4, 4.0)])
        (2.0, 8.0)
    """
    return tuple(line_through([(1 / machines, cost) for machines, cost in points]))


class Cluster(NamedTuple):
    """What is assumed of the machines that train."""

    machines: int
    devices: int  # of each
    cores: int  # of each, for the data
    flops: float  # that a device sustains, floating-point operations in a second
    network: float  # between machines, bytes in a second, of each
    storage: float  # of the shared disk, bytes in a second, for all machines together


class Pass(NamedTuple):
    """Seconds of a pass over the data, if nothing else took time, and the bytes that it moves."""

    compute: float
    exchange: float  # of gradients, after the computation
    cores: float  # reading, decoding, augmenting
    storage: float
    bytes_read: float  # from the shared disk, by all machines
    bytes_exchanged: float  # by each machine, in both directions together

    @property
    def seconds(self) -> float:
        """Of the whole pass: the data are prepared while devices compute, gradients are exchanged behind that."""
        return max(self.compute + self.exchange, self.cores, self.storage)

    @property
    def limit(self) -> str:
        """What takes the longest."""
        found = {"devices": self.compute + self.exchange, "cores": self.cores, "storage": self.storage}
        return max(found, key=found.get)


def seconds_of_pass(
    cluster: Cluster,
    *,
    images: int,
    image_bytes: float,
    batch_size: int,
    multiply_adds: float,
    parameters: int,
    read: float,
    prepare: float,
) -> Pass:
    """A pass of training over the data, each machine reading all of them.

    Args:
        cluster: the machines.
        images: in the split.
        image_bytes: of a stored pair.
        batch_size: of all devices together.
        multiply_adds: of one image forwards; backwards costs twice as much, and each is two operations.
        parameters: of the network, float32.
        read, prepare: CPU seconds an image, as `input_rates` returns them.
    """
    devices, steps = cluster.machines * cluster.devices, images / batch_size
    exchanged = ring_bytes(4 * parameters, cluster.machines) * steps
    everything = images * image_bytes * cluster.machines
    return Pass(
        compute=6 * multiply_adds * images / devices / cluster.flops,
        exchange=exchanged / cluster.network,
        cores=(read + prepare / cluster.machines) * images / cluster.cores,
        storage=everything / cluster.storage,
        bytes_read=everything,
        bytes_exchanged=exchanged,
    )


def ring_bytes(size: float, machines: int) -> float:
    """Bytes that each machine sends when `size` bytes are summed over all in a ring; it receives as many.

    Example:
        >>> ring_bytes(100, 4)  # three quarters are sent to be summed, three quarters as sums
        150.0
    """
    return 2 * size * (machines - 1) / machines
