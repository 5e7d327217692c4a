"""Watches a game while it is played: says when one side has lost and what to turn, and what becomes of a loss that is no number.

Refused: models that are no games. No TensorFlow of its own: it reads the game's logs.
"""

from __future__ import annotations

import pathlib
import warnings
from collections.abc import Callable

import keras
import numpy as np

from kseg.games.adversarial import AdversarialGame

CERTAIN, FAINT, LOUD, GUESSING = 0.95, 0.01, 0.9, 0.55
RETURNS = 5
"""Times that a training may go back to its last good state before it stops after all."""

WON = (
    "The discriminator has won: it is right in {accuracy:.0%} of its judgements, and {why}. Lower its learning rate, smooth its "
    "labels (label_smoothing=0.1), normalise it by its spectrum, give it fewer filters or coarser label maps (label_stride), "
    'show it the encoding "scaling", or let the player learn alone first (pretrain_player).'
)
GUESSES = (
    "The discriminator has learned nothing: since the game began it was never right in more than {accuracy:.0%} of its "
    "judgements, and guessing gives 50 %. Raise its learning rate, let it learn alone first (pretrain_discriminator), or give it "
    "more filters or finer label maps (label_stride)."
)
DROWNS = (
    "The discriminator's verdict drowns the task: it makes {share:.0%} of what the player is told. Lower the game's weight, "
    "raise it slowly (ramp), or let the player learn alone first (pretrain_player)."
)


class GameHealth(keras.callbacks.Callback):
    """Warns of a game that has ended, and catches a loss that is not finite.

    Warned of, once `patience` epochs in a row show it: a discriminator that has won (right in 95 % or more, while its verdict
    makes 1 % or less of what the player is told, or its own gradient is 1 % or less of what it was at its largest); one that
    never learned (right in 55 % at most, since the game began; later 50 % is what the player aims at); a verdict that makes 90 %
    or more of what the player is told.

    Where a loss or gradient norm in the logs is not finite, the batch is written to `directory` and training stops with a
    ValueError that names the file; or all weights, optimizers and the step go back to the last good state, and training goes on
    with the next batch, until that has happened six times. To see it in time the logs are read at each step, as Keras's own
    `TerminateOnNaN` does.

    Args:
        directory: where batches are written, `step_00000017.npz` with arrays `x` and `y`; made when needed. None: they are not,
            as on all machines but one of several, each of which holds its part of a batch.
        on_nonfinite: "stop" or "restore".
        patience: epochs in a row before a warning.
        keep_every: steps between good states, which are kept in memory; the beginning of each epoch is one too.
        say: takes the warning.

    Raises:
        ValueError: `on_nonfinite` is neither, the model is no game, or a loss is not finite.

    Example:
        >>> game.fit(training_set, epochs=20, callbacks=[GameHealth("logs/nonfinite", on_nonfinite="restore")])
    """

    def __init__(
        self,
        directory,
        *,
        on_nonfinite: str = "stop",
        patience: int = 3,
        keep_every: int = 200,
        say: Callable[[str], None] = warnings.warn,
    ):
        super().__init__()
        if on_nonfinite not in ("stop", "restore"):
            raise ValueError(f'`on_nonfinite` must be "stop" or "restore". Received: on_nonfinite={on_nonfinite!r}.')
        self.directory = None if directory is None else pathlib.Path(directory)
        self.on_nonfinite = on_nonfinite
        self.patience, self.keep_every, self.say = patience, keep_every, say
        self._streaks, self._learned, self._largest = {}, False, 0.0
        self._good, self._returns = None, 0

    def set_model(self, model):
        """Refuses what is no game."""
        if not isinstance(model, AdversarialGame):
            raise ValueError(f"GameHealth must watch a game. Received: a {type(model).__name__}. Leave it out.")
        super().set_model(model)

    def on_epoch_begin(self, epoch, logs=None):
        """Keeps the state, which is good as far as one knows."""
        self._keep()

    def on_train_batch_end(self, batch, logs=None):
        """Looks whether the step's losses are numbers."""
        wrong = {name: float(value) for name, value in (logs or {}).items() if name.endswith(("loss", "gradient_norm"))}
        wrong = {name: value for name, value in wrong.items() if not np.isfinite(value)}
        if wrong:
            self._caught(*next(iter(wrong.items())))
        elif (batch + 1) % self.keep_every == 0:
            self._keep()

    def on_epoch_end(self, epoch, logs=None):
        """Judges the game by the epoch's logs."""
        logs = logs or {}
        if "discriminator_accuracy" not in logs:  # the player learned alone
            return
        accuracy = logs["discriminator_accuracy"]
        share, norm = (
            logs.get(name) if self.model.measured(name) else None
            for name in ("adversarial_share", "discriminator_gradient_norm")
        )
        self._learned |= accuracy > GUESSING
        self._largest = max(self._largest, norm or 0.0)
        faded = share is not None and share <= FAINT
        done = norm is not None and norm <= FAINT * self._largest
        why = f"its verdict makes {share:.1%} of what the player is told" if faded else "it has nothing left to learn"
        self._note("won", accuracy >= CERTAIN and (faded or done), WON, accuracy=accuracy, why=why)
        self._note("guesses", not self._learned, GUESSES, accuracy=GUESSING)
        self._note("drowns", share is not None and share >= LOUD, DROWNS, share=share or 0.0)

    def _note(self, what, holds, message, **values):
        self._streaks[what] = self._streaks.get(what, 0) + 1 if holds else 0
        if self._streaks[what] == self.patience:
            self.say(message.format(**values))

    def _caught(self, name, value):
        step = self._step() - 1
        place = "" if self.directory is None else f" [{self._save_batch(step)} holds the batch]"
        found = f"`{name}` must be finite. Received: {name}={value} at step {step}{place}."
        cure = "Look at the batch; lower the learning rates or the game's weight, or clip gradients (clipnorm)"
        if self.on_nonfinite == "stop":
            raise ValueError(f'{found} {cure}, or go back each time with on_nonfinite="restore".')
        if self._good is None:
            raise ValueError(f"{found} There was no good state to go back to. {cure}.")
        if self._returns == RETURNS:
            raise ValueError(f"{found} Training went back to its last good state {RETURNS} times before. {cure}.")
        self._returns += 1
        for variable, good in zip(self._variables(), self._good, strict=True):
            variable.assign(good)
        self.model.reset_metrics()
        self.say(f"{found} Training goes on from its last good state, step {self._step()}.")

    @property
    def seen(self) -> dict:
        """What it goes by, of JSON values: for `Resume`. The last good state is not part of it, but of the next step or epoch."""
        return {
            "streaks": self._streaks,
            "learned": bool(self._learned),
            "largest": float(self._largest),
            "returns": self._returns,
        }

    @seen.setter
    def seen(self, seen: dict):
        self._streaks, self._learned = dict(seen["streaks"]), seen["learned"]
        self._largest, self._returns = seen["largest"], seen["returns"]

    def _save_batch(self, step) -> pathlib.Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"step_{step:08}.npz"
        arrays = {}
        parts = keras.utils.unpack_x_y_sample_weight(self.model.last_batch)
        for name, part in zip(("x", "y", "sample_weight"), parts, strict=True):
            leaves = [] if part is None else keras.tree.flatten(part)
            arrays |= {name if len(leaves) == 1 else f"{name}_{number}": leaf for number, leaf in enumerate(leaves)}
        np.savez(path, **arrays)
        return path

    def _keep(self):
        if self.on_nonfinite == "stop":
            return
        state = [keras.ops.convert_to_numpy(variable).copy() for variable in self._variables()]
        if all(np.isfinite(value).all() for value in state):
            self._good = state

    def _step(self) -> int:
        return int(keras.ops.convert_to_numpy(self.model.step))

    def _variables(self) -> list:
        game = self.model
        return [*game.variables, *game.optimizer.variables, *game.discriminator_optimizer.variables]
