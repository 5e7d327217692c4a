"""Functions that are timed in turns, so that what else the machine does meets all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

WARM_UP = 3


def take_turns(functions: Mapping[str, Callable], rounds: int) -> dict[str, tuple[float, float]]:
    """Calls each function once a round.

    Args:
        functions: by name; each is called with the number of the round.
        rounds: that count.

    Returns:
        Median CPU milliseconds of this process, and median milliseconds, of each.
    """
    cpu, wall = ({name: [] for name in functions} for _ in range(2))
    for number in range(-WARM_UP, rounds):
        for name, function in functions.items():
            before = time.process_time(), time.perf_counter()
            function(number)
            after = time.process_time(), time.perf_counter()
            if number >= 0:
                cpu[name].append(1000 * (after[0] - before[0]))
                wall[name].append(1000 * (after[1] - before[1]))
    return {name: (statistics.median(cpu[name]), statistics.median(wall[name])) for name in functions}
