"""What `fit` leaves behind beside its history: pictures of each epoch, and the segmentor's best weights.

Both work for a segmentor that is trained alone and for one inside a game. Refused: watching a score that the logs do not hold.
TensorFlow, for TensorBoard's event files.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import pathlib  # noqa: E402  (only after the backend is known)

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from kseg.labels import LabelMap  # noqa: E402


class Overlays(keras.callbacks.Callback):
    """Draws image, truth and prediction of a few examples at the end of each epoch.

    Args:
        labels: names and colours of the classes.
        images: (N, H, W, C), uint8.
        label_maps: (N, H, W), ids, 255 where void.
        directory: where `epoch_0001.png`, `epoch_0002.png`, ... are written.
        log_dir: where TensorBoard's event file is written; None: no event file.

    Example:
        >>> model.fit(..., callbacks=[Overlays(labels, images, label_maps, "overlays", log_dir="logs/overlays")])
    """

    def __init__(self, labels: LabelMap, images: np.ndarray, label_maps: np.ndarray, directory, log_dir=None):
        super().__init__()
        self.labels, self.images, self.label_maps = labels, images, label_maps
        self.directory = pathlib.Path(directory)
        self.writer = None if log_dir is None else tf.summary.create_file_writer(str(log_dir))

    def on_epoch_end(self, epoch, logs=None):
        """Writes the epoch's sheet."""
        from kseg import plots  # drawing is loaded by those who draw

        # One at a time: an eager pass over all examples at once would be the peak of the training's memory.
        logits = [self.model(image[None], training=False) for image in self.images]
        predictions = np.concatenate([keras.ops.convert_to_numpy(one).argmax(axis=-1) for one in logits])
        sheet = plots.overlay_sheet(self.images, self.label_maps, predictions, self.labels)
        self.directory.mkdir(parents=True, exist_ok=True)
        sheet.save(self.directory / f"epoch_{epoch + 1:04}.png")
        if self.writer is not None:
            with self.writer.as_default():
                tf.summary.image("overlays", np.asarray(sheet)[None], step=epoch)
            self.writer.flush()

    def on_train_end(self, logs=None):
        """Closes the event file."""
        if self.writer is not None:
            self.writer.close()


class BestCheckpoint(keras.callbacks.ModelCheckpoint):
    """Keeps the segmentor as it was at the epoch of its best score.

    Args:
        path: file to write: `*.weights.h5` for weights, `*.keras` for the whole segmentor.
        segmentor: the network to keep; inside a game, that one alone.
        monitor: name in the logs. What ends with "loss" is better when smaller, anything else when greater.

    Raises:
        ValueError: the logs of an epoch do not hold `monitor`, or it never was a number.

    Example:
        >>> model.fit(..., callbacks=[BestCheckpoint("best.weights.h5", model.segmentor)])
        >>> model.segmentor.load_weights("best.weights.h5")
    """

    def __init__(self, path, segmentor: keras.Model, monitor: str = "val_mean_iou"):
        path = str(path)
        super().__init__(
            path,
            monitor=monitor,
            mode="min" if monitor.endswith("loss") else "max",
            save_best_only=True,
            save_weights_only=path.endswith(".weights.h5"),
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
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        """Refuses a training that kept nothing."""
        super().on_train_end(logs)
        if not np.isfinite(self.best):
            raise ValueError(
                f"{self.monitor} must be a number at some epoch. Received: NaN or infinity at all of them; nothing is at "
                f"{self.filepath}."
            )
