"""What the two sides of a game minimise, as penalties of the discriminator's logits f. `keras.ops` only.

Real is 1 and fake is 0, as in the papers. Each penalty takes logits of any shape and returns one value for each of them; the game
takes means. Written with softplus, log(1 + e^f), where the papers write -log sigma, so that nothing overflows.
"""

from __future__ import annotations

import typing
from collections.abc import Callable

from keras import ops


class Objective(typing.NamedTuple):
    """Penalties of one game.

    Attributes:
        real: of the discriminator's logits of what is real; takes the share by which the label 1 is smoothed too.
        fake: of its logits of what the player made.
        player: of the same logits, for the player.
        boundary: logits above it say real.
    """

    real: Callable
    fake: Callable
    player: Callable
    boundary: float


def _cross_entropy_of_real(logits, smoothing):
    """Binary cross-entropy against the label 1 - smoothing."""
    return ops.softplus(-logits) + smoothing * logits


def _hinge_of_real(logits, smoothing):
    """The margin; labels do not occur in it, so the game refuses to smooth them."""
    return ops.relu(1.0 - logits)


OBJECTIVES = {
    "non_saturating": Objective(  # Goodfellow et al. 2014 (arXiv:1406.2661), section 3, last paragraph
        _cross_entropy_of_real, ops.softplus, lambda logits: ops.softplus(-logits), 0.0
    ),
    "minimax": Objective(  # the same, equation 1
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
"""What `kseg.AdversarialGame(objective=...)` takes."""
