"""Watches a game in training: warns when one side has won and what to change, and handles a loss that is not finite.

Refused: models that are not games. It only reads the game's logs; TensorFlow comes with the game.
"""

from __future__ import annotations

import pathlib
import warnings
from collections.abc import Callable

import keras
import numpy as np

from kseg._checks import check_integer
from kseg.games.adversarial import AdversarialGame

WINNING_ACCURACY = 0.95
"""Of a discriminator that has won."""

CHANCE_ACCURACY = 0.55
"""Of a discriminator that has learned nothing; guessing gives 0.5."""

NEGLIGIBLE = 0.01
"""Share of the adversarial gradient, or of the discriminator's largest gradient norm, that no longer matters."""

DOMINANT = 0.9
"""Share of the adversarial gradient that leaves too little of the task."""

MAX_RESTORES = 5
"""Times that training may return to its last good state."""

DISCRIMINATOR_WON = (
    "The discriminator has won: its accuracy is {accuracy:.0%}, and {reason}. Lower its learning rate, smooth its labels "
    "(label_smoothing=0.1), use spectral normalization, give it fewer filters or coarser label maps (label_stride), use "
    'encoding="scaling", or let the player learn alone first (pretrain_player).'
)
DISCRIMINATOR_GUESSES = (
    "The discriminator has learned nothing: since the game began its accuracy was never above {accuracy:.0%}, and guessing gives "
    "50%. Raise its learning rate, let it learn alone first (pretrain_discriminator), or give it more filters or finer label "
    "maps (label_stride)."
)
ADVERSARY_DOMINATES = (
    "The adversarial loss dominates the task: it makes up {share:.0%} of the player's gradient. Lower the game's weight, raise "
    "it slowly (ramp), or let the player learn alone first (pretrain_player)."
)


class GameHealth(keras.callbacks.Callback):
    """Warns of a game that one side has won, and catches a loss that is not finite.

    Warned of, once `patience` consecutive epochs show it: a discriminator that has won (accuracy of 95 % or more while its
    loss makes up 1 % or less of the player's gradient, or its own gradient norm is 1 % or less of its largest); one that
    never learned (accuracy of 55 % at most since the game began; later 50 % is the player's aim); an adversarial loss that
    makes up 90 % or more of the player's gradient. Only the last is known of an opponent that does not classify.

    If a loss or gradient norm in the logs is not finite, the batch is written to `directory` and training stops with a
    ValueError that names the file. Or all weights, optimizers and the step are restored from the last good state and training
    continues with the next batch, at most five times. To notice in time the logs are read at each step, as in Keras's
    `TerminateOnNaN`.

    Args:
        directory: where batches are written, `step_00000017.npz` with arrays `x` and `y`; made when needed. None: they are not,
            as on all machines but one of several, each of which holds its part of a batch.
        on_nonfinite: "stop" or "restore".
        patience: consecutive epochs before a warning.
        keep_every: steps between good states, which are kept in memory; the start of each epoch is one too.
        warn: receives the text of a warning.

    Raises:
        ValueError: an argument is out of range, the model is not a game, or a loss is not finite.

    Example:
        >>> discriminator = kseg.discriminators.LargeFOV(2, width=1 / 32)
        >>> game = kseg.SegmentationGame(kseg.UNet(2, filters=(4, 8)), discriminator)
        >>> game.compile("adam", "adam", loss=kseg.losses.CrossEntropy())
        >>> images, label_maps = np.zeros((2, 32, 32, 3), np.float32), np.zeros((2, 32, 32), np.uint8)
        >>> health = kseg.callbacks.GameHealth("logs/nonfinite", on_nonfinite="restore")
        >>> history = game.fit(images, label_maps, batch_size=2, verbose=0, callbacks=[health])
    """

    def __init__(
        self,
        directory,
        *,
        on_nonfinite: str = "stop",
        patience: int = 3,
        keep_every: int = 200,
        warn: Callable[[str], None] = warnings.warn,
    ):
        super().__init__()
        if on_nonfinite not in ("stop", "restore"):
            raise ValueError(f'`on_nonfinite` must be "stop" or "restore". Received: on_nonfinite={on_nonfinite!r}.')
        check_integer("patience", patience)
        check_integer("keep_every", keep_every)
        self.directory = None if directory is None else pathlib.Path(directory)
        self.on_nonfinite = on_nonfinite
        self.patience, self.keep_every, self.warn = patience, keep_every, warn
        self._streaks, self._has_learned, self._largest_norm = {}, False, 0.0
        self._good_state, self._restores = None, 0

    def set_model(self, model):
        """Refuses a model that is not a game."""
        if not isinstance(model, AdversarialGame):
            raise ValueError(f"GameHealth must watch a game. Received: a {type(model).__name__}. Remove the callback.")
        super().set_model(model)

    def on_epoch_begin(self, epoch, logs=None):
        """Keeps the state as the last good one."""
        self._keep_state()

    def on_train_batch_end(self, batch, logs=None):
        """Checks that the step's losses and gradient norms are finite."""
        watched = {
            name: float(value) for name, value in (logs or {}).items() if name.endswith(("loss", "gradient_norm"))
        }
        nonfinite = {name: value for name, value in watched.items() if not np.isfinite(value)}
        if nonfinite:
            self._handle_nonfinite(*next(iter(nonfinite.items())))
        elif (batch + 1) % self.keep_every == 0:
            self._keep_state()

    def on_epoch_end(self, epoch, logs=None):
        """Judges the game by the epoch's logs."""
        logs = logs or {}
        share, norm = (
            logs.get(name) if self.model.has_recorded(name) else None
            for name in ("adversarial_share", "discriminator_gradient_norm")
        )
        dominates = share is not None and share >= DOMINANT
        self._count_streak("drowns", dominates, ADVERSARY_DOMINATES, share=share or 0.0)
        if "discriminator_accuracy" not in logs:  # the player learns alone, or its opponent does not classify
            return
        accuracy = logs["discriminator_accuracy"]
        self._has_learned |= accuracy > CHANCE_ACCURACY
        self._largest_norm = max(self._largest_norm, norm or 0.0)
        ignored = share is not None and share <= NEGLIGIBLE
        converged = norm is not None and norm <= NEGLIGIBLE * self._largest_norm
        reason = (
            f"its loss makes up {share:.1%} of the player's gradient" if ignored else "it has nothing left to learn"
        )
        has_won = accuracy >= WINNING_ACCURACY and (ignored or converged)
        self._count_streak("won", has_won, DISCRIMINATOR_WON, accuracy=accuracy, reason=reason)
        self._count_streak("guesses", not self._has_learned, DISCRIMINATOR_GUESSES, accuracy=CHANCE_ACCURACY)

    def _count_streak(self, name, holds, message, **values):
        self._streaks[name] = self._streaks.get(name, 0) + 1 if holds else 0
        if self._streaks[name] == self.patience:
            self.warn(message.format(**values))

    def _handle_nonfinite(self, name, value):
        step = self._step() - 1
        place = "" if self.directory is None else f" [batch saved to {self._save_batch(step)}]"
        found = f"`{name}` must be finite. Received: {name}={value} at step {step}{place}."
        cure = "Inspect the batch; lower the learning rates or the game's weight, or clip gradients (clipnorm)"
        if self.on_nonfinite == "stop":
            raise ValueError(f'{found} {cure}, or continue from the last good state with on_nonfinite="restore".')
        if self._good_state is None:
            raise ValueError(f"{found} There is no good state to restore. {cure}.")
        if self._restores == MAX_RESTORES:
            raise ValueError(f"{found} The last good state was restored {MAX_RESTORES} times already. {cure}.")
        self._restores += 1
        for variable, good in zip(self._variables(), self._good_state, strict=True):
            variable.assign(good)
        self.model.reset_metrics()
        self.warn(f"{found} Training continues from its last good state, step {self._step()}.")

    @property
    def state(self) -> dict:
        """State between epochs as JSON values, for `Resume`; without the last good state, which the next epoch sets again."""
        return {
            "streaks": self._streaks,
            "learned": bool(self._has_learned),
            "largest": float(self._largest_norm),
            "returns": self._restores,
        }

    @state.setter
    def state(self, state: dict):
        self._streaks, self._has_learned = dict(state["streaks"]), state["learned"]
        self._largest_norm, self._restores = state["largest"], state["returns"]

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

    def _keep_state(self):
        if self.on_nonfinite == "stop":
            return
        state = [keras.ops.convert_to_numpy(variable).copy() for variable in self._variables()]
        if all(np.isfinite(value).all() for value in state):
            self._good_state = state

    def _step(self) -> int:
        return int(keras.ops.convert_to_numpy(self.model.step))

    def _variables(self) -> list:
        game = self.model
        return [*game.variables, *game.optimizer.variables, *game.discriminator_optimizer.variables]
