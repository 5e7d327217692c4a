"""The benchmark of windows compares labels, not only times."""

import numpy as np

from benchmarks import windows


def test_both_predictions_are_timed_and_their_labels_compared():
    settings = {"window": 8, "kernel_sizes": (3,), "filters": (4,), "dense_units": ()}
    image = np.random.default_rng(0).uniform(0, 255, (1, 20, 18, 3)).astype(np.float32)
    slow, fast, equal = windows.compare(settings, image)
    assert slow > 0 and fast > 0 and equal == 1
