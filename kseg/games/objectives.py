"""Objectives of a game: the losses of both sides as functions of the discriminator's logits f. `keras.ops` only.

Real is 1 and fake is 0, as in the papers. Each loss takes logits of any shape and returns one value per logit; the game
averages them. Written with softplus, log(1 + e^f), where the papers have -log sigma, so nothing overflows.
"""

from __future__ import annotations

import typing
from collections.abc import Callable

from keras import ops


class Objective(typing.NamedTuple):
    """Losses of one game.

    Attributes:
        real: the discriminator's, of logits of the real; takes the label smoothing as well.
        fake: the discriminator's, of logits of the fake.
        player: the player's, of the same logits.
        boundary: logits above it classify as real.
    """

    real: Callable
    fake: Callable
    player: Callable
    boundary: float


def _cross_entropy_of_real(logits, smoothing):
    """Binary cross-entropy against the label 1 - smoothing."""
    return ops.softplus(-logits) + smoothing * logits


def _hinge_of_real(logits, smoothing):
    """The margin. It has no labels, so the game refuses to smooth them."""
    return ops.relu(1.0 - logits)


OBJECTIVES = {
    "non_saturating": Objective(  # Goodfellow et al. 2014 (arXiv:1406.2661), section 3, last paragraph
        _cross_entropy_of_real, ops.softplus, lambda logits: ops.softplus(-logits), 0.0
    ),
    "minimax": Objective(  # Goodfellow et al. 2014, equation 1
        _cross_entropy_of_real, ops.softplus, lambda logits: -ops.softplus(logits), 0.0
    ),
    "least_squares": Objective(  # Mao et al. 2017 (arXiv:1611.04076), equation 9
        lambda logits, smoothing: 0.5 * ops.square(logits - (1.0 - smoothing)),
        lambda logits: 0.5 * ops.square(logits),
        lambda logits: 0.5 * ops.square(logits - 1.0),
        0.5,
    ),
    "hinge": Objective(  # Miyato et al. 2018 (arXiv:1802.05957), equations 16 and 17
        _hinge_of_real, lambda logits: ops.relu(1.0 + logits), lambda logits: -logits, 0.0
    ),
}
"""Values of `objective` in `kseg.AdversarialGame`."""
