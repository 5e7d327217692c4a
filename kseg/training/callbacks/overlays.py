"""Sheets of predictions on a few examples, one per epoch. TensorFlow, for TensorBoard's event files."""

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
        >>> labels = kseg.LabelMap(("ground", "sky"), ((90, 90, 90), (80, 140, 220)), (0, 1))
        >>> images, label_maps = np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 8, 8), np.uint8)
        >>> model = kseg.UNet(2, filters=(4, 8))
        >>> model.compile("adam", kseg.losses.CrossEntropy())
        >>> overlays = kseg.callbacks.Overlays(labels, images, label_maps, "overlays")
        >>> history = model.fit(images, label_maps, verbose=0, callbacks=[overlays])
        >>> [path.name for path in pathlib.Path("overlays").iterdir()]
        ['epoch_0001.png']
    """

    def __init__(self, labels: LabelMap, images: np.ndarray, label_maps: np.ndarray, directory, log_dir=None):
        super().__init__()
        self.labels, self.images, self.label_maps = labels, images, label_maps
        self.directory = pathlib.Path(directory)
        self.writer = None if log_dir is None else tf.summary.create_file_writer(str(log_dir))

    def on_epoch_end(self, epoch, logs=None):
        """Draws the epoch's sheet."""
        from kseg import plots  # imported only when drawing

        # One at a time: one eager pass over all examples would be training's peak of memory.
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
