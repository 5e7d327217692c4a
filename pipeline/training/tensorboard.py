"""TensorBoard's run of a training: its name, its settings, and curves that Keras's callback lacks. TensorFlow, for event files.

A run is named by data, network and date, so that `tensorboard --logdir runs/trainer` compares trainings by what they were.
"""

from __future__ import annotations

import dataclasses
import glob
import pathlib
import time

import keras
import tensorflow as tf

from kseg import metrics
from kseg.labels import LabelMap, display_name
from pipeline.settings.trainer import Trainer

NAME_LENGTH = 80  # characters of a class's name


def run_folder(logs: pathlib.Path, name: str, network: str) -> pathlib.Path:
    """The folder of the run, such as `logs/streets-unet-2026-11-27_0415`; a resumed training continues in its own.

    Args:
        logs: folder of all event files of this training.
        name: of the data or the model.
        network: such as "unet".
    """
    earlier = sorted(logs.glob(f"{glob.escape(name)}-{network}-*"))
    return earlier[0] if earlier else logs / f"{name}-{network}-{time.strftime('%Y-%m-%d_%H%M')}"


def write_settings(folder: pathlib.Path, config: Trainer):
    """Writes the settings as text, and as hyperparameters for the HParams dashboard.

    Args:
        folder: of the run.
        config: of the trainer.
    """
    from tensorboard.plugins.hparams import api as hparams

    settings = {name: _plain(value) for name, value in dataclasses.asdict(config).items()}
    rows = [f"| {name} | {value} |" for name, value in settings.items()]
    with tf.summary.create_file_writer(str(folder)).as_default() as writer:
        tf.summary.text("settings", "\n".join(["| setting | value |", "| --- | --- |", *rows]), step=0)
        hparams.hparams(settings, trial_id=folder.name)
        writer.close()


def _plain(value):
    """A value as HParams takes it: number, boolean or string."""
    if isinstance(value, bool | int | float | str):
        return value
    return "none" if value is None else str(value)


class RunCurves(keras.callbacks.Callback):
    """Writes the IoU of each class on validation, and the images per second of training.

    Args:
        folder: of the run; files go to its `validation/` and `train/`, next to those of Keras.
        labels: names of the classes.
        metric: the compiled confusion matrix, which holds the counts of validation at the end of an epoch; None: no IoU.
        batch_size: images per step.
    """

    def __init__(self, folder: pathlib.Path, labels: LabelMap, metric: metrics.ConfusionMatrix | None, batch_size: int):
        super().__init__()
        self.labels, self.metric, self.batch_size = labels, metric, batch_size
        self._writers = {part: tf.summary.create_file_writer(str(folder / part)) for part in ("train", "validation")}
        self._steps, self._start, self._seconds = 0, 0.0, 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Starts to time the training steps."""
        self._steps, self._start = 0, time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """Counts a step; validation, which follows the last one, is not timed."""
        self._steps += 1
        self._seconds = time.monotonic() - self._start

    def on_epoch_end(self, epoch, logs=None):
        """Writes the epoch's values."""
        if self._steps:
            with self._writers["train"].as_default():
                tf.summary.scalar("images_per_second", self._steps * self.batch_size / self._seconds, step=epoch)
        if self.metric is not None:
            with self._writers["validation"].as_default():
                for name, iou in zip(self.labels.names, metrics.scores(self.metric.matrix())["iou"], strict=True):
                    if iou is not None:
                        tf.summary.scalar(f"iou/{display_name(name, NAME_LENGTH)}", iou, step=epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs=None):
        """Closes the event files."""
        for writer in self._writers.values():
            writer.close()
