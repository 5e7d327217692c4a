"""The settings tried. Both arms get the same number, so that neither wins by a longer search. No framework."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Setting:
    """Training of one segmentor; the adversary's fields apply if `weight` is above 0."""

    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    dice: float = 0.0  # weight of the Dice loss added to cross-entropy
    smoothing: float = 0.0  # of the labels in cross-entropy
    balanced: bool = True  # classes weighted by inverse square root frequency
    weight: float = 0.0  # lambda
    objective: str = "non_saturating"
    encoding: str = "basic"
    discriminator: str = "two_branch"
    filters: int = 16
    stride: int = 2  # of the discriminator's inputs
    discriminator_rate: float = 2e-4
    pretrain: int = 0  # steps in which the segmentor learns alone
    ramp: int = 0  # steps over which lambda grows from 0
    game: str = "adversarial"  # formulation
    hardest: float = 0.0  # weight of the cross-entropy of the hardest quarter of the pixels, added to the loss
    boundary: float = 0.0  # weight of the cross-entropy that counts the borders of classes most, added to the loss
    even: float = 0.0  # weight of the cross-entropy without class weights, added to the loss
    network: str = "unet"

    def __str__(self):
        """The fields that differ from the defaults."""
        base = Setting()
        changed = [f"{name} {value}" for name, value in vars(self).items() if value != getattr(base, name)]
        return ", ".join(changed) or "defaults"


PLAIN = (
    Setting(),
    Setting(learning_rate=1e-3),
    Setting(learning_rate=4e-3),
    Setting(dice=0.5),
    Setting(smoothing=0.05),
)
ADVERSARIAL = (
    Setting(weight=0.1),
    Setting(weight=0.02),
    Setting(weight=0.5),
    Setting(weight=0.1, learning_rate=4e-3),
    Setting(weight=0.1, encoding="scaling"),
)

DISCRIMINATORS = ((64, 1), (64, 4), (16, 1), (16, 2), (16, 4), (8, 4))
"""Filters of the two-branch discriminator and stride of its inputs; the first are the paper's."""

ENCODINGS = ("basic", "product", "scaling")
"""Of the label maps that the discriminator sees."""

WITH_DICE = Setting(weight=0.1, encoding="scaling", dice=0.5)
CHANGES = (
    Setting(dice=0.5),
    Setting(),
    Setting(weight=0.1, encoding="scaling"),
    WITH_DICE,
    dataclasses.replace(WITH_DICE, weight=0.02),
    dataclasses.replace(WITH_DICE, weight=0.01),
    dataclasses.replace(WITH_DICE, pretrain=460),
    dataclasses.replace(WITH_DICE, ramp=460),
    dataclasses.replace(WITH_DICE, discriminator_rate=5e-5),
    dataclasses.replace(WITH_DICE, stride=4),
    dataclasses.replace(WITH_DICE, encoding="basic"),
    dataclasses.replace(WITH_DICE, objective="least_squares"),
)
"""Tried on CamVid, where the best settings on streets gain nothing: first those, then one change at a time."""

_CONTINUED = Setting(network="light_fpn", learning_rate=5e-4, weight=0.1)
CONTINUED = (
    dataclasses.replace(_CONTINUED, encoding="scaling"),
    *[dataclasses.replace(_CONTINUED, game="embedding", weight=weight) for weight in (0.1, 1.0, 10.0)],
    *[dataclasses.replace(_CONTINUED, game="segan", weight=weight) for weight in (0.01, 0.1, 1.0)],
    *[dataclasses.replace(_CONTINUED, game="gambler", discriminator="unet", weight=weight) for weight in (0.5, 1.0)],
    dataclasses.replace(_CONTINUED, game="gambler", discriminator="unet", weight=1.0, stride=1),
)
"""Games that continue from a plain model on CamVid: today's, and three settings of each other formulation."""

CONTROLS = (
    dataclasses.replace(_CONTINUED, weight=0.0, hardest=0.5),
    dataclasses.replace(_CONTINUED, weight=0.0, hardest=1.0),
    dataclasses.replace(_CONTINUED, weight=0.0, boundary=0.5),
    dataclasses.replace(_CONTINUED, weight=0.0, boundary=1.0),
    dataclasses.replace(_CONTINUED, weight=0.0, even=0.5),
    dataclasses.replace(_CONTINUED, weight=0.0, even=1.0),
)
"""Losses without an opponent that weigh pixels as the gambler and the distances of features might.

The gambler's loss has no class weights; with even bets it is the last two.
"""
