"""Pictures of a few examples at the end of each epoch. TensorFlow, for TensorBoard's event files."""

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
