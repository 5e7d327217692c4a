"""The whole state of a training in one file, from which a killed `fit` goes on. TensorFlow, for `tf.distribute`."""

from __future__ import annotations

import json
import os
import pathlib
import time

import keras
import numpy as np

from kseg.games.health import GameHealth
from kseg.training.callbacks.best_checkpoint import BestCheckpoint
from kseg.training.distribution import keeps, several_machines

PAUSE = 20
"""Times what the last checkpoint took until the next one, at least: large networks do not train slower for it."""


class Resume(keras.callbacks.Callback):
    """Keeps the whole state of a training in one file, from which the same `fit` goes on bit for bit after being killed.

    `keras.callbacks.BackupAndRestore` starts the epoch again from its beginning, forgets the best score and the history, and can
    be killed between its two files. Kept here: every variable of the model (weights, moving statistics, seeds), of its optimizers
    (a game has two) and of its metrics, the step, the history, the best score of `best` and what `health` has seen. It gets its
    name when it is whole. The data must go on too: `training_set(..., initial_step=resume.step)`. On several devices the weights
    are the same bits as well, but not the training scores of the interrupted epoch, since Keras deals a kept sum out to
    the devices anew. Of several machines the chief writes the file and all read it; it counts the chief's part of those scores.

    Args:
        path: file to write, `*.npz`; where it exists, training goes on from it.
        steps_per_epoch: of `fit`.
        batch: inputs and targets of a batch as large as `fit` gets them, by which the variables of metrics are made; Keras would
            make them in the first step, too late to put kept values into them. None: no metrics were compiled, as for a GAN.
        best: callback that keeps the best weights. Put it before this one in the list, and what stops training behind.
        health: callback that watches a game.
        seconds: between two checkpoints, at least; the end of an epoch is always one, and in between writing them takes less than
            a twentieth of the time.

    Raises:
        ValueError: the file at `path` is of another model.

    Example:
        >>> best = BestCheckpoint("best.weights.h5", model)
        >>> resume = Resume("checkpoint.npz", steps_per_epoch=64, batch=(images, label_maps), best=best)
        >>> batches = training_set("prepared", size=(96, 128), batch_size=8, initial_step=resume.step)
        >>> model.fit(batches, steps_per_epoch=64, initial_epoch=resume.epoch, epochs=20, callbacks=[best, resume], ...)
        >>> resume.history["loss"]  # of all 20 epochs
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
        self.path, self.steps_per_epoch, self.batch = pathlib.Path(path), steps_per_epoch, batch
        self.best, self.health, self.seconds = best, health, seconds
        self.step, self.history = 0, {}
        self._kept, self._short, self._cost, self._last = None, False, 0.0, time.monotonic()
        if self.path.exists():
            with np.load(self.path, allow_pickle=False) as file:
                self._kept = [file[f"{number:05}"] for number in range(len(file.files) - 1)]
                about = json.loads(str(file["about"]))
            self.step, self.history = about["step"], about["history"]
            if best is not None:
                best.best = about["best"]
            if health is not None and about["health"]:
                health.seen = about["health"]

    @property
    def epoch(self) -> int:
        """The epoch to go on with, counted from 0: `initial_epoch` of `fit`."""
        return self.step // self.steps_per_epoch

    def on_train_begin(self, logs=None):
        """Puts back what was kept."""
        if self._kept is not None:
            if self.batch is not None:
                self.model.evaluate(*self.batch, verbose=0)
            if not self.model.optimizer.built:
                self.model.optimizer.build(self.model.trainable_variables)
        self._restore()

    def on_epoch_begin(self, epoch, logs=None):
        """Puts it back once more in the middle of an epoch, since Keras empties the metrics just before; at its start rightly."""
        self._short = self.step % self.steps_per_epoch > 0
        if self._short:
            self._restore()
        self._kept = None

    def _restore(self):
        if self._kept is None:
            return
        variables = self._variables()
        shapes = [tuple(variable.shape) for variable in variables]
        if shapes != [value.shape for value in self._kept]:
            raise ValueError(
                f"A checkpoint must be of the model that goes on. Received: {len(self._kept)} variables, or other shapes, where "
                f"the model has {len(shapes)} [{self.path}]. Remove the file to train from the beginning."
            )
        for variable, value in zip(variables, self._kept, strict=True):
            variable.assign(value)

    def on_train_batch_end(self, batch, logs=None):
        """Counts the step, and writes a checkpoint where it is time."""
        self.step += 1
        if self.step % self.steps_per_epoch == 0:
            self.model.stop_training |= self._short  # `fit` would give an epoch begun earlier all its steps
        elif keeps(self.model.distribute_strategy) and time.monotonic() - self._last >= max(
            self.seconds, PAUSE * self._cost
        ):
            self._write()

    def on_epoch_end(self, epoch, logs=None):
        """Writes a checkpoint with the epoch's scores."""
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        if self._short:
            self.model.stop_training = False
        if keeps(self.model.distribute_strategy):
            self._write()

    def _variables(self) -> list:
        """Everything that a step changes, in an order that the model's code decides."""
        optimizers = [
            value for _, value in sorted(vars(self.model).items()) if isinstance(value, keras.optimizers.Optimizer)
        ]
        found = [*self.model.variables, *(variable for one in optimizers for variable in one.variables)]
        found += self.model.metrics_variables
        return list({id(variable): variable for variable in found}.values())

    def _value(self, variable) -> np.ndarray:
        """The variable as it is here: what other machines have counted would have to be asked of all at one moment."""
        strategy = self.model.distribute_strategy
        if several_machines(strategy) and variable.synchronization == "on_read":
            return sum(part.numpy() for part in strategy.experimental_local_results(variable.value))
        return keras.ops.convert_to_numpy(variable)

    def _write(self):
        start = time.monotonic()
        best = None if self.best is None else self.best.best
        about = {"step": self.step, "history": self.history, "best": None if best is None else float(best)}
        about["health"] = None if self.health is None else self.health.seen
        arrays = {f"{n:05}": self._value(variable) for n, variable in enumerate(self._variables())}
        unfinished = self.path.with_name(f".{self.path.name}")
        with open(unfinished, "wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)
        os.replace(unfinished, self.path)
        self._last = time.monotonic()
        self._cost = self._last - start
