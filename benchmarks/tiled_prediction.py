"""What tiles, views and superpixels cost beyond the pixels that the network has to see.

    python -m benchmarks.tiled_prediction

Each row is one way to predict an image: seconds, the seconds of the network alone for as many tiles (or views) of that size one
after the other, and their ratio, which is what cutting, blending, turning and averaging add; then the same ratio in seconds of
CPU, of all threads together, which says less about waiting and more about work where a machine is shared. Calls come in turns,
after one that is not counted, and each time is the fastest of `--rounds`. A vote of superpixels sees no network; its row compares
it with one pass.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

import kseg
from kseg import inference, streets
from kseg.postprocess.superpixels import majority_vote, slic
from pipeline.settings.values import image_size

FILTERS = (16, 32, 64, 128, 256)
TILES = [(256, 64), (256, 128), (512, 128)]  # tile and overlap, pixels
VIEWS = {
    "2 flips": ({"flips": ["horizontal"]}, 2),
    "8 turns": ({"flips": ["horizontal"], "rotations": (0, 90, 180, 270)}, 8),
}


class Counted:
    """A model that counts the images it is shown."""

    def __init__(self, model):
        self.model, self.number = model, 0

    def __call__(self, images):
        self.number += len(images)
        return self.model.predict_on_batch(images)


def fastest(calls: dict, rounds: int) -> dict[str, np.ndarray]:
    """The fewest seconds (by the clock, of the CPU) that each call took, all called in turns; the first turn is not counted."""
    best = {name: np.full(2, np.inf) for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            start = np.array([time.perf_counter(), time.process_time()])
            call()
            seconds = np.array([time.perf_counter(), time.process_time()]) - start
            if turn:
                best[name] = np.minimum(best[name], seconds)
    return best


def compare(image: np.ndarray, num_classes: int, rounds: int) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Rows (name, seconds, seconds of the network alone) for one image (H, W, 3); both by the clock and of the CPU."""
    keras.utils.set_random_seed(0)
    network = kseg.UNet(num_classes, filters=FILTERS)
    ways, alone = {}, {}

    def repeated(shown, number):
        return lambda: [network.predict_on_batch(shown) for _ in range(number)]

    for tile, overlap in TILES:
        name, settings = f"tiles {tile}, overlap {overlap}", {"tile": tile, "overlap": overlap, "margin": 0}
        counted = Counted(network)
        inference.predict_tiles(counted, image, **settings)
        ways[name] = lambda settings=settings: inference.predict_tiles(
            network, image, output_mode="label_map", **settings
        )
        alone[name] = repeated(np.zeros((1, tile, tile, 3), image.dtype), counted.number)
    square = image[: min(image.shape[:2]), : min(image.shape[:2])]  # turned or not, one shape is compiled
    for name, (views, number) in VIEWS.items():
        ways[name] = lambda views=views: inference.average_views(network, **views)(square[None])
        alone[name] = repeated(square[None], number)
    label_map = network.predict_on_batch(square[None])[0].argmax(-1)
    ways["1000 superpixels"] = lambda: majority_vote(label_map, slic(square, num_superpixels=1000))
    alone["1000 superpixels"] = repeated(square[None], 1)
    calls = {f"{way} {name}": call for name in ways for way, call in (("all", ways[name]), ("alone", alone[name]))}
    seconds = fastest(calls, rounds)
    return [(name, seconds[f"all {name}"], seconds[f"alone {name}"]) for name in ways]


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--size", default="960x720", metavar="WIDTHxHEIGHT")
    parser.add_argument("--classes", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    image = streets.draw(0, split="test", size=image_size(arguments.size))[0]
    print(f"{'':26}{'seconds':>9}{'network alone':>15}{'ratio':>7}{'of CPU':>8}")
    for name, seconds, alone in compare(image, arguments.classes, arguments.rounds):
        clock, cpu = seconds / alone
        print(f"{name:26}{seconds[0]:8.2f}s{alone[0]:14.2f}s{clock:7.2f}{cpu:8.2f}", flush=True)


if __name__ == "__main__":
    main()
