"""The cost of classifying the window around every pixel, compared with the same classifier as a convolutional network.

    python -m benchmarks.windows

Each row is one classifier and one image: seconds to predict it window by window (`kseg.predict_windows`, 256 windows per batch),
seconds to predict it in one pass of the converted classifier (`kseg.convolutionalize`; the fastest of three), their ratio, and
the share of pixels with the same label. Both run compiled, after a warm-up call.

On two cores shared with other work, TensorFlow 2.21, in 3 minutes. The ratio grows with the window, of which neighbours share
most, and with the image, since the conversion computes its mirrored border too:

    classifier                    image   windows  converted  ratio   equal
    window 18, two stages         64x48     0.07s    0.0034s     21 100.00%
    window 18, two stages        128x96     0.20s    0.0086s     23 100.00%
    window 18, two stages       240x180     0.68s    0.0251s     27 100.00%
    window 46, three stages       64x48     0.35s    0.0087s     40 100.00%
    window 46, three stages      128x96     1.33s    0.0192s     69 100.00%
    window 46, three stages     240x180     8.15s    0.0874s     93 100.00%
    window 95, N4                 64x48     7.57s    0.0409s    185 100.00%
    window 95, N4                128x96    30.56s    0.1094s    279 100.00%
    window 95, N4               240x180    90.08s    0.1997s    451 100.00%
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

import kseg
from kseg import streets
from pipeline.settings.values import image_size

CLASSIFIERS = {
    "window 18, two stages": {"window": 18, "kernel_sizes": (3, 3), "filters": (32, 48), "dense_units": (64,)},
    "window 46, three stages": {"window": 46, "kernel_sizes": (3, 3, 3), "filters": (32, 48, 64), "dense_units": (64,)},
    "window 95, N4": {},
}


def seconds(function, *arguments) -> tuple[float, np.ndarray]:
    """The duration of a call, and its result."""
    start = time.perf_counter()
    result = np.asarray(function(*arguments))
    return time.perf_counter() - start, result


def compare(settings: dict, image: np.ndarray) -> tuple[float, float, float]:
    """Seconds by windows, seconds of the converted classifier, and share of equal labels, for one image (1, H, W, 3)."""
    classifier = kseg.PatchClassifier(streets.LABELS.num_classes, **settings)
    network = kseg.convolutionalize(classifier)
    kseg.predict_windows(classifier, image[:, :16, :16])
    network.predict_on_batch(image)
    slow, slid = seconds(kseg.predict_windows, classifier, image)
    fast, whole = min((seconds(network.predict_on_batch, image) for _ in range(3)), key=lambda pair: pair[0])
    return slow, fast, np.mean(slid.argmax(-1) == whole.argmax(-1))


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", default=["64x48", "128x96", "240x180"], metavar="WIDTHxHEIGHT")
    arguments = parser.parse_args()
    print(f"{'classifier':26}{'image':>9}{'windows':>10}{'converted':>11}{'ratio':>7}{'equal':>8}")
    for name, settings in CLASSIFIERS.items():
        for size in arguments.sizes:
            keras.utils.set_random_seed(0)
            image = streets.draw(0, split="test", size=image_size(size))[0][None].astype(np.float32)
            slow, fast, equal = compare(settings, image)
            print(f"{name:26}{size:>9}{slow:9.2f}s{fast:10.4f}s{slow / fast:7.0f}{equal:8.2%}", flush=True)


if __name__ == "__main__":
    main()
