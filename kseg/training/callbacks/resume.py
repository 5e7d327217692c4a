"""The whole state of a training in one file, from which a killed `fit` resumes. TensorFlow, for `tf.distribute`."""

from __future__ import annotations

import json
import os
import pathlib
import time
import zipfile
import zlib

import keras
import numpy as np

from kseg._checks import check_integer, check_number
from kseg.training.callbacks.best_checkpoint import BestCheckpoint
from kseg.training.callbacks.game_health import GameHealth
from kseg.training.distribution import is_chief, local_value

MIN_PAUSE = 20
"""Pause between two checkpoints, at least, in times what writing one took: large networks do not train slower for it."""

OPTIMIZERS = ("discriminator_optimizer", "optimizer")
"""Attributes that hold a model's optimizers, in the order of the file."""


class Resume(keras.callbacks.Callback):
    """Writes the whole state of a training to one file, from which the same `fit` resumes bit for bit after being killed.

    `keras.callbacks.BackupAndRestore` starts the epoch from its beginning, forgets the best score and the history, and can be
    killed between its two files. The file holds every variable of the model (weights, moving statistics, seeds), of its
    optimizers (a game has two) and of its metrics, the step, the history, the best score of `best` and the state of `health`.
    It appears under its name only when complete. The data must resume too: `training_set(..., initial_step=resume.step)`.

    On several devices the weights are the same bits too, but not the training scores of the interrupted epoch, since Keras
    redistributes a restored sum over the devices. Of several machines the chief writes the file and all read it; it holds
    the chief's part of those scores.

    Args:
        path: file to write, `*.npz`; if it exists, training resumes from it.
        steps_per_epoch: of `fit`.
        batch: inputs and targets of the size that `fit` gets, to create the variables of metrics; Keras would create them in the
            first step, too late to restore them. None: no metrics were compiled, as for a GAN.
        best: callback that saves the best weights. List it before this one, and callbacks that stop training after it.
        health: callback that watches a game.
        seconds: minimum time between two checkpoints. The end of an epoch always writes one; in between, writing takes less than
            a twentieth of the time.

    Raises:
        ValueError: an argument is out of range; or the file at `path` is from another model, or damaged.

    Example:
        >>> import tensorflow as tf
        >>> images, label_maps = np.zeros((4, 8, 8, 3), np.float32), np.zeros((4, 8, 8), np.uint8)
        >>> def train(epochs):
        ...     model = kseg.UNet(2, filters=(4, 8))
        ...     model.compile("adam", kseg.losses.CrossEntropy(), metrics=[kseg.metrics.ConfusionMatrix(2)])
        ...     batch = images[:2], label_maps[:2]
        ...     resume = kseg.callbacks.Resume("checkpoint.npz", steps_per_epoch=2, batch=batch)
        ...     batches = tf.data.Dataset.from_tensor_slices((images, label_maps)).repeat().batch(2).skip(resume.step)
        ...     steps = {"steps_per_epoch": 2, "initial_epoch": resume.epoch, "epochs": epochs}
        ...     model.fit(batches, **steps, verbose=0, callbacks=[resume])
        ...     return resume
        >>> train(epochs=1).step
        2
        >>> resumed = train(epochs=3)  # as if the first had been killed
        >>> resumed.step, len(resumed.history["loss"])
        (6, 3)
    """

    def __init__(
        self,
        path,
        *,
        steps_per_epoch: int,
        batch: tuple | None,
        best: BestCheckpoint | None = None,
        health: GameHealth | None = None,
        seconds: float = 10.0,
    ):
        super().__init__()
        check_integer("steps_per_epoch", steps_per_epoch)
        check_number("seconds", seconds, minimum=0)
        if not isinstance(batch, tuple | None):
            raise ValueError(
                f"`batch` must be a tuple (inputs, targets) or None. Received: batch of type {type(batch).__name__}."
            )
        self.path, self.steps_per_epoch, self.batch = pathlib.Path(path), steps_per_epoch, batch
        self.best, self.health, self.seconds = best, health, seconds
        self.step, self.history = 0, {}
        self._values = None  # to restore
        self._resumed_mid_epoch = False
        self._write_seconds, self._last_write = 0.0, time.monotonic()
        if self.path.exists():
            self._read()

    def _read(self):
        try:
            with np.load(self.path, allow_pickle=False) as file:
                self._values = [file[f"{number:05}"] for number in range(len(file.files) - 1)]
                about = json.loads(str(file["about"]))
            self.step, self.history, best, health = (about[name] for name in ("step", "history", "best", "health"))
        except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
            raise ValueError(
                f"A checkpoint must be whole. Received: {error} [{self.path}]. Remove the file to train from the beginning."
            ) from None
        if self.best is not None:
            self.best.best = best
        if self.health is not None and health:
            self.health.state = health

    @property
    def epoch(self) -> int:
        """The epoch to resume with, counted from 0: `initial_epoch` of `fit`."""
        return self.step // self.steps_per_epoch

    def on_train_begin(self, logs=None):
        """Restores the state."""
        if self._values is not None:
            if self.batch is not None:
                self.model.evaluate(*self.batch, verbose=0)
            if not self.model.optimizer.built:
                self.model.optimizer.build(self.model.trainable_variables)
        self._restore()

    def on_epoch_begin(self, epoch, logs=None):
        """Restores the state again in the middle of an epoch, where Keras has just reset the metrics."""
        self._resumed_mid_epoch = self.step % self.steps_per_epoch > 0
        if self._resumed_mid_epoch:
            self._restore()
        self._values = None

    def _restore(self):
        if self._values is None:
            return
        variables = self._saved_variables()
        shapes = [tuple(variable.shape) for variable in variables]
        if shapes != [value.shape for value in self._values]:
            raise ValueError(
                f"A checkpoint must be from the same model. Received: {len(self._values)} variables, or other shapes, where the "
                f"model has {len(shapes)} [{self.path}]. Remove the file to train from the beginning."
            )
        for variable, value in zip(variables, self._values, strict=True):
            variable.assign(value)

    def on_train_batch_end(self, batch, logs=None):
        """Counts the step, and writes a checkpoint if one is due."""
        self.step += 1
        if self.step % self.steps_per_epoch == 0:
            self.model.stop_training |= self._resumed_mid_epoch  # `fit` would give a resumed epoch all its steps
            return
        pause = max(self.seconds, MIN_PAUSE * self._write_seconds)
        if is_chief(self.model.distribute_strategy) and time.monotonic() - self._last_write >= pause:
            self._write()

    def on_epoch_end(self, epoch, logs=None):
        """Writes a checkpoint with the epoch's scores."""
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        if self._resumed_mid_epoch:
            self.model.stop_training = False
        if is_chief(self.model.distribute_strategy):
            self._write()

    def _variables(self) -> list:
        """All variables that a step changes: of the model, of its optimizers, of its metrics."""
        optimizers = [getattr(self.model, name) for name in OPTIMIZERS if hasattr(self.model, name)]
        found = [*self.model.variables, *(variable for one in optimizers for variable in one.variables)]
        found += self.model.metrics_variables
        return list({id(variable): variable for variable in found}.values())

    def _saved_variables(self) -> list:
        """The variables whose values the file holds: one of kseg 0.1.0 lacks the counts of invalid ids."""
        variables = self._variables()
        older = [variable for variable in variables if variable.name != "invalid_words"]
        return older if len(self._values) == len(older) else variables

    def _write(self):
        start = time.monotonic()
        best = None if self.best is None else self.best.best
        about = {"step": self.step, "history": self.history, "best": None if best is None else float(best)}
        about["health"] = None if self.health is None else self.health.state
        strategy = self.model.distribute_strategy
        arrays = {f"{n:05}": local_value(strategy, variable) for n, variable in enumerate(self._variables())}
        unfinished = self.path.with_name(f".{self.path.name}")
        with open(unfinished, "wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)
        os.replace(unfinished, self.path)
        self._last_write = time.monotonic()
        self._write_seconds = self._last_write - start
