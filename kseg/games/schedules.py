"""Who learns when, and how much the discriminator's verdict weighs, by the step of the game. `keras.ops` only.

Refused: steps that are no whole numbers.
"""

from __future__ import annotations

import contextlib
import typing

import keras
from keras import ops


class Turn(typing.NamedTuple):
    """What one step does.

    Attributes:
        player: it learns.
        discriminator: it learns.
        game: the discriminator is asked at all; otherwise the player learns its task alone.
    """

    player: bool
    discriminator: bool
    game: bool


PLAYER_ALONE = Turn(player=True, discriminator=False, game=False)
PLAYER = Turn(player=True, discriminator=False, game=True)
DISCRIMINATOR = Turn(player=False, discriminator=True, game=True)
BOTH = Turn(player=True, discriminator=True, game=True)


@keras.saving.register_keras_serializable(package="kseg")
class Schedule:
    """The player first, then the discriminator, then both: at every step, or by turns.

    Args:
        pretrain_player: steps that the player learns its task alone, as if there were no discriminator.
        pretrain_discriminator: steps after these that the discriminator alone learns, against the player as it is.
        alternate_every: 0: both learn at every step of the game. k: the discriminator for k steps, the player for the next k, and
            so on; Luc et al. take 500 for stability.
        ramp: steps of the game over which the weight of the verdict grows from 0, in a straight line.

    Raises:
        ValueError: one of them is no whole number of at least 0.

    Example:
        >>> schedule = Schedule(pretrain_player=1000, alternate_every=500)
        >>> schedule.turn(999).discriminator, schedule.turn(1000).discriminator, schedule.turn(1500).player
        (False, True, True)

    Source: Luc et al. 2016 (arXiv:1611.08408), section 4.1, for the alternation.
    """

    def __init__(
        self, pretrain_player: int = 0, pretrain_discriminator: int = 0, alternate_every: int = 0, ramp: int = 0
    ):
        steps = {
            "pretrain_player": pretrain_player,
            "pretrain_discriminator": pretrain_discriminator,
            "alternate_every": alternate_every,
            "ramp": ramp,
        }
        for name, value in steps.items():
            if not (isinstance(value, int) and value >= 0):
                raise ValueError(f"`{name}` must be a whole number of steps, at least 0. Received: {name}={value}.")
        self.pretrain_player, self.pretrain_discriminator = pretrain_player, pretrain_discriminator
        self.alternate_every, self.ramp = alternate_every, ramp

    @property
    def always_both(self) -> bool:
        """Whether every step is alike."""
        return not (self.pretrain_player or self.pretrain_discriminator or self.alternate_every)

    @property
    def begins(self) -> int:
        """The first step of the game, behind all pretraining."""
        return self.pretrain_player + self.pretrain_discriminator

    def turn(self, step: int) -> Turn:
        """Who learns at this step, counted from 0."""
        if step < self.pretrain_player:
            return PLAYER_ALONE
        step -= self.pretrain_player
        if step < self.pretrain_discriminator:
            return DISCRIMINATOR
        if not self.alternate_every:
            return BOTH
        return PLAYER if (step - self.pretrain_discriminator) // self.alternate_every % 2 else DISCRIMINATOR

    def share(self, step):
        """The share of its weight, in [0, 1], that the verdict has at this step, an integer or a tensor."""
        if not self.ramp:
            return 1.0
        played = ops.cast(step - self.begins, "float32")
        return ops.clip(played / self.ramp, 0.0, 1.0)

    def get_config(self):
        """Arguments of the constructor."""
        names = ("pretrain_player", "pretrain_discriminator", "alternate_every", "ramp")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        return cls(**config)


@contextlib.contextmanager
def still(network):
    """For a network whose turn it is not: inside, nothing of it moves but the state of its random draws.

    It runs as in training, moving statistics stay, and each step draws anew.
    """
    with keras.StatelessScope() as scope:
        yield
    weights = {id(weight) for weight in network.weights}
    for variable in network.variables:
        drawn = scope.get_current_value(variable)
        if id(variable) not in weights and drawn is not None:
            variable.assign(drawn)
