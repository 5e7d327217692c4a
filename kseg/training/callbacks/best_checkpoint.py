"""Saves the best weights of a segmentor, trained alone or inside a game. Keras only."""

from __future__ import annotations

import os
import pathlib

import keras
import numpy as np


class BestCheckpoint(keras.callbacks.ModelCheckpoint):
    """Saves the segmentor at the epoch of its best score.

    Args:
        path: file to write: `*.weights.h5` for weights, `*.keras` for the whole segmentor. It appears under this name only when
            complete.
        segmentor: the network to save, also inside a game.
        monitor: name in the logs. Smaller is better if it ends with "loss", greater otherwise.

    Raises:
        ValueError: the logs of an epoch lack `monitor`, or it was never finite.

    Example:
        >>> model = kseg.UNet(2, filters=(4, 8))
        >>> model.compile("sgd", kseg.losses.CrossEntropy(), metrics=[kseg.metrics.ConfusionMatrix(2)])
        >>> images, label_maps = np.zeros((2, 8, 8, 3), np.float32), np.zeros((2, 8, 8), np.uint8)
        >>> best = kseg.callbacks.BestCheckpoint("best.weights.h5", model)
        >>> history = model.fit(
        ...     images, label_maps, validation_data=(images, label_maps), verbose=0, callbacks=[best]
        ... )
        >>> model.load_weights("best.weights.h5")
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
        """Watches the logs of `model`, but saves the segmentor."""
        super().set_model(self.segmentor)

    def on_epoch_end(self, epoch, logs=None):
        """Saves the segmentor if this epoch's score is the best so far."""
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
        """Refuses a training in which nothing was saved."""
        super().on_train_end(logs)
        if not np.isfinite(self.best):
            raise ValueError(
                f"{self.monitor} must be finite at some epoch. Received: NaN or infinity at all; nothing was saved at "
                f"{self.path}. Check that validation masks hold labelled pixels, and lower the learning rate."
            )
