"""Callbacks that only the trainer needs: equal weights on all machines, and progress where the output is no terminal."""

from __future__ import annotations

import keras
import numpy as np

from kseg.training import distribution as distribute
from pipeline.engine import progress


class CheckEqualWeights(keras.callbacks.Callback):
    """Refuses to train on several machines whose weights differ.

    Args:
        segmentor: the network.
        strategy: of the training.
    """

    def __init__(self, segmentor: keras.Model, strategy):
        super().__init__()
        self.segmentor, self.strategy = segmentor, strategy

    def on_epoch_begin(self, epoch, logs=None):
        """Compares the sums of the absolute weights."""
        total = sum(float(np.abs(weight).sum()) for weight in self.segmentor.get_weights())
        check_equal(distribute.gather_scalar(self.strategy, total), "weights whose absolute values sum to")


def check_equal(values: list[float], what: str):
    """Refuses machines that would not resume from the same checkpoint.

    Args:
        values: one of each machine.
        what: the values are, for the message.

    Raises:
        ValueError: they differ by more than rounding.
    """
    if max(values) - min(values) > 1e-3 * max(map(abs, values)):  # different processors round differently
        raise ValueError(
            f"All machines must resume from the same checkpoint. Received: {what} {', '.join(f'{v:g}' for v in values)}. "
            "Give all of them the same --root, on a shared file system."
        )


class EpochProgress(keras.callbacks.Callback):
    """Counts epochs, and prints one line for each with its loss and scores.

    Args:
        epochs: in total.
        initial_epoch: epochs that an earlier session finished.
    """

    def __init__(self, epochs: int, initial_epoch: int):
        super().__init__()
        self.epochs, self.initial_epoch = epochs, initial_epoch

    def on_train_begin(self, logs=None):
        """Starts the count of epochs."""
        progress.set_total(self.epochs, self.initial_epoch)

    def on_epoch_end(self, epoch, logs=None):
        """Prints the line."""
        progress.advance()
        progress.print_message("  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items()))
