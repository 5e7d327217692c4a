"""The segmentor's best weights, alone or inside a game. Keras only."""

from __future__ import annotations

import os
import pathlib

import keras
import numpy as np


class BestCheckpoint(keras.callbacks.ModelCheckpoint):
    """Keeps the segmentor as it was at the epoch of its best score.

    Args:
        path: file to write: `*.weights.h5` for weights, `*.keras` for the whole segmentor. It gets that name when it is whole.
        segmentor: the network to keep; inside a game, that one alone.
        monitor: name in the logs. What ends with "loss" is better when smaller, anything else when greater.

    Raises:
        ValueError: the logs of an epoch do not hold `monitor`, or it never was a number.

    Example:
        >>> model.fit(..., callbacks=[BestCheckpoint("best.weights.h5", model.segmentor)])
        >>> model.segmentor.load_weights("best.weights.h5")
    """

    def __init__(self, path, segmentor: keras.Model, monitor: str = "val_mean_iou"):
        self.path = pathlib.Path(path)
        super().__init__(
            self.path.with_name(f".{self.path.name}"),
            monitor=monitor,
            mode="min" if monitor.endswith("loss") else "max",
            save_best_only=True,
            save_weights_only=self.path.name.endswith(".weights.h5"),
        )
        self.segmentor = segmentor

    def set_model(self, model):
        """Watches the logs of `model`, but keeps the segmentor."""
        super().set_model(self.segmentor)

    def on_epoch_end(self, epoch, logs=None):
        """Keeps the segmentor if this epoch's score is the best so far."""
        if self.monitor not in (logs or {}):
            raise ValueError(
                f"`monitor` must be in the logs of each epoch. Received: monitor={self.monitor!r}, logs of "
                f"{', '.join(logs or {})}. Validation scores need validation data, and their metric in `compile`."
            )
        before = self.best
        super().on_epoch_end(epoch, logs)
        if self.best is not before:
            os.replace(self.filepath, self.path)

    def on_train_end(self, logs=None):
        """Refuses a training that kept nothing."""
        super().on_train_end(logs)
        if not np.isfinite(self.best):
            raise ValueError(
                f"{self.monitor} must be a number at some epoch. Received: NaN or infinity at all of them; nothing is at "
                f"{self.path}."
            )
