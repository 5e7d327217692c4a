"""The cost of DenseCRF, in units that do not depend on the machine.

    python -m benchmarks.refinement

DenseCRF: 10 iterations on an image of 480x360 with 12 classes (position 3; position 80, colour 13), per image, against one
float32 product of two 4096 x 4096 matrices; then how the time grows with pixels, classes and iterations. Both run compiled,
after two warm-up calls, and alternate, so that other load on the machine affects both; each time is the fastest of `--rounds`.
Slopes are of log time over log size: 1 is linear, less has a fixed part.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

import kseg
from kseg import streets

CASES = {  # name -> (width, height), classes, iterations
    "480x360, 12 classes, 10 iterations": ((480, 360), 12, 10),
    "240x180": ((240, 180), 12, 10),
    "960x720": ((960, 720), 12, 10),
    "6 classes": ((480, 360), 6, 10),
    "24 classes": ((480, 360), 24, 10),
    "5 iterations": ((480, 360), 12, 5),
    "20 iterations": ((480, 360), 12, 20),
}
SLOPES = {
    "pixels": ("240x180", "960x720", 16),
    "classes": ("6 classes", "24 classes", 4),
    "iterations": ("5 iterations", "20 iterations", 4),
}


def product():
    """A call that multiplies two 4096 x 4096 matrices."""
    matrix = tf.random.stateless_normal((4096, 4096), seed=(0, 0))
    multiply = tf.function(lambda: tf.matmul(matrix, matrix))
    return lambda: multiply()[0, 0].numpy()


def crf(width_and_height: tuple[int, int], classes: int, iterations: int):
    """A call that refines random logits of a generated street."""
    width, height = width_and_height
    image = streets.draw(0, split="test", size=(height, width))[0][None].astype(np.float32)
    logits = tf.random.stateless_normal((1, height, width, classes), seed=(1, 1))
    sigmas = {"smoothness_sigma": 3, "appearance_position_sigma": 80, "appearance_colour_sigma": 13}
    refine = tf.function(kseg.DenseCRF(iterations, **sigmas, smoothness_weight=3, appearance_weight=10))
    return lambda: refine([logits, image])[0, 0, 0].numpy()


def fastest(calls: dict, rounds: int) -> dict[str, float]:
    """The fewest seconds that each call took; calls alternate, and the first two rounds are warm-ups."""
    best = dict.fromkeys(calls, np.inf)
    for number in range(rounds + 2):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if number >= 2:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def main() -> None:
    """Prints one table and the slopes."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10, help="timed rounds, of which the fastest counts")
    arguments = parser.parse_args()
    calls = {"product": product()} | {name: crf(*case) for name, case in CASES.items()}
    seconds = fastest(calls, arguments.rounds)
    print(f"{'DenseCRF':38}{'seconds':>9}{'ratio':>8}")
    for name, value in seconds.items():
        print(f"{name:38}{value:9.3f}{value / seconds['product']:8.2f}")
    for name, (small, large, times) in SLOPES.items():
        print(f"slope over {name}: {np.log(seconds[large] / seconds[small]) / np.log(times):.2f}")


if __name__ == "__main__":
    main()
