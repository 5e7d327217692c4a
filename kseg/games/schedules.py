"""Who learns at which step of a game, and how much the adversarial loss weighs. `keras.ops` only.

Refused: steps that are not integers of at least 0.
"""

from __future__ import annotations

import contextlib
import typing

import keras
from keras import ops

from kseg._checks import check_integer


class Phase(typing.NamedTuple):
    """What one step does.

    Attributes:
        player: the player learns.
        discriminator: the discriminator learns.
        game: the discriminator runs at all; otherwise the player learns its task alone.
    """

    player: bool
    discriminator: bool
    game: bool


PLAYER_ALONE = Phase(player=True, discriminator=False, game=False)
PLAYER = Phase(player=True, discriminator=False, game=True)
DISCRIMINATOR = Phase(player=False, discriminator=True, game=True)
BOTH = Phase(player=True, discriminator=True, game=True)


@keras.saving.register_keras_serializable(package="kseg")
class Schedule:
    """The player learns first, then the discriminator, then both: at every step, or alternately.

    Args:
        pretrain_player: steps in which the player learns its task alone, without a discriminator.
        pretrain_discriminator: steps after these in which only the discriminator learns, against a fixed player.
        alternate_every: 0: both learn at every step of the game. k: the discriminator for k steps, the player for the next k,
            and so on; Luc et al. take 500 for stability.
        ramp: steps of the game over which the adversarial weight grows linearly from 0.

    Raises:
        ValueError: one of them is not an integer of at least 0.

    Example:
        >>> schedule = kseg.Schedule(pretrain_player=1000, alternate_every=500)
        >>> schedule.phase(999).discriminator, schedule.phase(1000).discriminator, schedule.phase(1500).player
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
            check_integer(name, value, minimum=0)
            setattr(self, name, int(value))

    @property
    def is_constant(self) -> bool:
        """Whether both learn at every step."""
        return not (self.pretrain_player or self.pretrain_discriminator or self.alternate_every)

    @property
    def game_start(self) -> int:
        """The first step after pretraining."""
        return self.pretrain_player + self.pretrain_discriminator

    def phase(self, step: int) -> Phase:
        """Who learns at this step, counted from 0."""
        if step < self.pretrain_player:
            return PLAYER_ALONE
        step -= self.pretrain_player
        if step < self.pretrain_discriminator:
            return DISCRIMINATOR
        if not self.alternate_every:
            return BOTH
        return PLAYER if (step - self.pretrain_discriminator) // self.alternate_every % 2 else DISCRIMINATOR

    def ramp_factor(self, step):
        """The factor of the adversarial weight, in [0, 1], at this step: an integer or a tensor."""
        if not self.ramp:
            return 1.0
        played = ops.cast(step - self.game_start, "float32")
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
def frozen(network):
    """Freezes all weights of `network` inside, moving statistics included, while it runs as in training.

    Only seeds advance, so every step draws new random numbers.
    """
    with keras.StatelessScope() as scope:
        yield
    weights = {id(weight) for weight in network.weights}
    for variable in network.variables:
        updated = scope.get_current_value(variable)
        if id(variable) not in weights and updated is not None:
            variable.assign(updated)
