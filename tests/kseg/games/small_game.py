"""A game of two small networks, for the tests of games: made, compiled, stepped."""

import keras
import numpy as np

from kseg.games import SegmentationGame
from kseg.losses import CrossEntropy
from kseg.metrics import ConfusionMatrix
from tests.kseg.games.replicas_case import K, discriminator, pairs, segmentor

IMAGES, IDS = pairs()
RATE, DISCRIMINATOR_RATE = 0.2, 0.3
"""Of the two optimizers of `compiled`, both SGD."""


def make_game(batch_normalization=False, judge=None, **arguments) -> SegmentationGame:
    """A small game with weights drawn from one seed; `judge` makes another discriminator than the small one."""
    keras.utils.set_random_seed(3)
    network = segmentor(batch_normalization)
    return SegmentationGame(network, judge() if judge else discriminator(batch_normalization), name="game", **arguments)


def compile_game(game, rate=RATE, discriminator_rate=DISCRIMINATOR_RATE, **settings) -> SegmentationGame:
    """Ready for `fit`, with SGD on both sides."""
    game.compile(
        keras.optimizers.SGD(rate),
        keras.optimizers.SGD(discriminator_rate),
        loss=CrossEntropy(ignore_class=255),
        metrics=[ConfusionMatrix(K)],
        **settings,
    )
    return game


def weights_of(network) -> list[np.ndarray]:
    """Copies of all its weights, moving statistics included."""
    return [keras.ops.convert_to_numpy(weight).copy() for weight in network.weights]


def train_one_step(game) -> dict[str, float]:
    """Trains on all pairs as one batch; returns the logs."""
    history = game.fit(IMAGES, IDS, batch_size=len(IMAGES), shuffle=False, verbose=0).history
    return {name: values[0] for name, values in history.items()}


def assert_equal(ours, theirs, atol=0.0):
    """Arrays are equal, one by one; `atol` is absolute."""
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


def moved(before, after) -> bool:
    """Whether any weight did."""
    return any((old != new).any() for old, new in zip(before, after, strict=True))
