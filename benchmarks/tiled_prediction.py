"""The cost of tiles, views and superpixels beyond the network's own.

    python -m benchmarks.tiled_prediction

Each row is one way to predict an image: seconds; seconds of the network alone for as many tiles (or views) of that size, one
after the other; and their ratio, which is what cutting, blending, rotating and averaging add. The last column is the same ratio
in CPU seconds of all threads, which measures work rather than waiting on a shared machine. Calls alternate, after a warm-up
round that is not counted, and each time is the fastest of `--rounds`. A majority vote of superpixels runs no network; its row
compares it with one forward pass.
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
    "8 views": ({"flips": ["horizontal"], "rotations": (0, 90, 180, 270)}, 8),
}


class CountingModel:
    """A model that counts the images it predicts."""

    def __init__(self, model):
        self.model, self.number = model, 0

    def __call__(self, images):
        self.number += len(images)
        return self.model.predict_on_batch(images)


def fastest(calls: dict, rounds: int) -> dict[str, np.ndarray]:
    """The fewest (wall-clock, CPU) seconds that each call took; calls alternate, and the first round is a warm-up."""
    best = {name: np.full(2, np.inf) for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            start = np.array([time.perf_counter(), time.process_time()])
            call()
            seconds = np.array([time.perf_counter(), time.process_time()]) - start
            if number:
                best[name] = np.minimum(best[name], seconds)
    return best


def compare(image: np.ndarray, num_classes: int, rounds: int) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Rows (name, seconds, seconds of the network alone) for one image (H, W, 3); each is (wall-clock, CPU)."""
    keras.utils.set_random_seed(0)
    network = kseg.UNet(num_classes, filters=FILTERS)
    predictions, alone = {}, {}

    def repeated(images, number):
        return lambda: [network.predict_on_batch(images) for _ in range(number)]

    for tile, overlap in TILES:
        name, settings = f"tiles {tile}, overlap {overlap}", {"tile": tile, "overlap": overlap, "margin": 0}
        counted = CountingModel(network)
        inference.predict_tiles(counted, image, **settings)
        predictions[name] = lambda settings=settings: inference.predict_tiles(
            network, image, output_mode="label_map", **settings
        )
        alone[name] = repeated(np.zeros((1, tile, tile, 3), image.dtype), counted.number)
    square = image[: min(image.shape[:2]), : min(image.shape[:2])]  # rotated or not, one shape is compiled
    for name, (views, number) in VIEWS.items():
        predictions[name] = lambda views=views: inference.average_views(network, **views)(square[None])
        alone[name] = repeated(square[None], number)
    label_map = network.predict_on_batch(square[None])[0].argmax(-1)
    predictions["1000 superpixels"] = lambda: majority_vote(label_map, slic(square, num_superpixels=1000))
    alone["1000 superpixels"] = repeated(square[None], 1)
    calls = {
        f"{kind} {name}": call
        for name in predictions
        for kind, call in (("all", predictions[name]), ("alone", alone[name]))
    }
    seconds = fastest(calls, rounds)
    return [(name, seconds[f"all {name}"], seconds[f"alone {name}"]) for name in predictions]


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
