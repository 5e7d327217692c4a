"""CPU seconds of a training step with `kseg.layers.BatchNormalization` and with Keras's, taking turns.

    python -m benchmarks.batch_normalization

Prints a row for each network: the medians, and the ratio of ours to Keras's. CPU seconds count work, not waiting, so that a busy
machine spoils them little.
"""

from __future__ import annotations

import os
import statistics
import time
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

import kseg
from kseg import blocks
from kseg.encoders import efficientnet_lite
from kseg.layers import BatchNormalization

SIZE, BATCH, CLASSES, STEPS = (192, 256), 8, 11, 9
NETWORKS = {
    "LightFPN": lambda: kseg.LightFPN(CLASSES),
    "UNet": lambda: kseg.UNet(CLASSES, filters=(16, 32, 64, 128, 256), batch_normalization=True),
    "SegNet": lambda: kseg.SegNet(CLASSES, width=0.25),
}


def build_step(network: str, layer: type):
    """A function that trains the network once on a batch of noise, with all its normalisations of that class."""
    ours = {"BatchNormalization": layer}
    with mock.patch.multiple(blocks, **ours), mock.patch.multiple(efficientnet_lite, **ours):
        model = NETWORKS[network]()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    draw = np.random.default_rng(0)
    images = draw.uniform(0, 255, (BATCH, *SIZE, 3)).astype("float32")
    label_maps = draw.integers(0, CLASSES, (BATCH, *SIZE))
    return lambda: model.train_on_batch(images, label_maps)


def main() -> None:
    print("| network | Keras's, s | kseg's, s | ratio |\n| --- | ---: | ---: | ---: |")
    for network in NETWORKS:
        steps = [build_step(network, layer) for layer in (keras.layers.BatchNormalization, BatchNormalization)]
        spent = [[], []]
        for turn in range(STEPS + 1):
            for step, times in zip(steps, spent, strict=True):
                start = time.process_time()
                step()
                if turn:  # the first one traces
                    times.append(time.process_time() - start)
        theirs, ours = map(statistics.median, spent)
        print(f"| {network} | {theirs:.3f} | {ours:.3f} | {ours / theirs:.2f} |", flush=True)


if __name__ == "__main__":
    main()
