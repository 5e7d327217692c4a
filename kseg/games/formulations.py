"""Formulations of a game: what the opponent of the player learns, and what the player learns from it. `keras.ops` only.

Each takes the game and what its opponent is `Shown`, and returns a `Verdict`; the step of the game takes the gradients. Those of
the player's loss reach it through the fake inputs and its own output alone, never through the real inputs.

Only in `adversarial` can the player win by looking real without being right. The distances of `embedding` and `segan` are 0 where
prediction and truth are equal, and the gambler never sees a truth, which hard zeros and ones would tell from a prediction.
"""

from __future__ import annotations

import typing
from collections.abc import Callable

import keras
from keras import ops

from kseg.games import replicas
from kseg.games.objectives import OBJECTIVES
from kseg.games.squares import average_squares, find_factor, match_output, spread_squares
from kseg.losses.segmentation_loss import mask_void

TEMPERATURE, MOST_CERTAIN = 1.8, 0.9
"""Of the soft labels of `domain_by_class`."""

BET_FLOOR = 0.02
"""Added to each bet of the gambler before they are normalised, so that none is 0; beta in the paper."""


class Shown(typing.NamedTuple):
    """What a formulation judges.

    Attributes:
        real: the discriminator's inputs of the truth.
        fake: those of what the player made.
        y: targets of the batch.
        y_pred: the player's output.
        image_weights: of each image in the discriminator's loss, and in the player's: numbers or (B,).
    """

    real: object
    fake: object
    y: object
    y_pred: object
    image_weights: tuple


class Verdict(typing.NamedTuple):
    """What each side learns from.

    Attributes:
        adversarial_loss: the player's, before weighting.
        loss: the opponent's, without penalties; None: minus the player's.
        logits: of the real and of the fake, where the opponent classifies, each with the weights of its images, a number or
            (B,); else None.
    """

    adversarial_loss: object
    loss: object = None
    logits: tuple | None = None


class Formulation(typing.NamedTuple):
    """One formulation.

    Attributes:
        judge: game, `Shown` -> `Verdict`.
        classifies: whether the opponent tells real from fake by logits, so that `objective` and `label_smoothing` apply.
        features: network -> tensors of it that `judge` compares; None: none.
    """

    judge: Callable[..., Verdict]
    classifies: bool
    features: Callable | None = None


def adversarial(game, shown: Shown) -> Verdict:
    """The discriminator classifies real and fake; the player wants its output to be taken for real.

    Source: Goodfellow et al. 2014 (arXiv:1406.2661); Luc et al. 2016 (arXiv:1611.08408) for label maps.
    """
    on_real, on_fake = (game.discriminator(inputs, training=True) for inputs in (shown.real, shown.fake))
    objective, (_, player_weights) = OBJECTIVES[game.objective], shown.image_weights
    adversarial_loss = replicas.weighted_mean(objective.player(on_fake), player_weights)
    return _classified(game, shown, adversarial_loss, on_real, on_fake)


def embedding(game, shown: Shown) -> Verdict:
    """The discriminator classifies; the player wants its map to have the features that the true map has.

    With e the output of the discriminator's last layer with a kernel before the logits, and n its number of values,

        a = |e(x, y) - e(x, p)|^2 / n,

    a mean over images. No gradient passes through e(x, y), and the discriminator does not learn from a.

    Source: Ghafoorian et al. 2018 (arXiv:1806.05525), EL-GAN. There the discriminator is a DenseNet of two branches, e is
        what its last dense block gives, and the distance is the L2 norm; its mean square is smooth at 0, and does not grow
        with e's size.
    """
    (*_, e_real, on_real), (*_, e_fake, on_fake) = _features(game, shown)
    distance = replicas.weighted_mean(ops.square(_difference(e_real, e_fake)), shown.image_weights[1])
    return _classified(game, shown, distance, on_real, on_fake)


def segan(game, shown: Shown) -> Verdict:
    """The critic finds the features in which both maps differ most; the player wants them to differ least.

    With e_l the outputs of the critic's layers with a kernel before the last,

        a = sum_l mean |e_l(x, y) - e_l(x, p)|,

    which the player minimises and the critic maximises. The slope of the critic must be limited, by spectral normalisation.

    Source: Xue et al. 2018 (arXiv:1706.01805), SegAN. There the critic sees the image times the map (the encoding "product"), and
        its weights are clipped instead. The authors' code compares the inputs too, takes one mean over the values of all layers,
        the deeper ones multiplied by up to 4, and adds a Dice loss as the task.
    """
    (*of_real, _), (*of_fake, _) = _features(game, shown)
    distances = (ops.abs(_difference(*pair)) for pair in zip(of_real, of_fake, strict=True))
    return Verdict(sum(replicas.weighted_mean(distance, shown.image_weights[1]) for distance in distances))


def gambler(game, shown: Shown) -> Verdict:
    """The gambler bets on the pixels that it believes are wrong; the player wants to leave it nothing to win.

    The gambler g sees the image x and the prediction p, never the truth y. Its bets on the n valid pixels of an image are

        w = n (sigmoid(g) + beta) / sum(sigmoid(g) + beta),

    with mean 1, so that a bet on one pixel is withdrawn from the others, and

        a = mean(w CE(p, y)),

    with CE the cross-entropy of each pixel, which the gambler maximises through w and the player minimises through p and w: it
    must be right, and where it is not it must not look as if. Void pixels are shown as zeros and take no bets.

    Source: Samson et al. 2019 (arXiv:1908.02711). There beta is 0.02 too; void pixels are not mentioned.
    """
    ids, valid, logits = mask_void(match_output(shown.y, shown.y_pred), shown.y_pred, game.ignore_class)
    cross_entropy = ops.sparse_categorical_crossentropy(ids, logits, from_logits=True)
    bets = ops.sigmoid(ops.cast(game.discriminator(shown.fake, training=True), "float32"))[..., 0] + BET_FLOOR
    height, width = ops.shape(cross_entropy)[1:3]
    bets = spread_squares(bets, game.label_stride, height, width) * valid
    total = ops.maximum(ops.sum(bets, axis=(1, 2)), keras.config.epsilon())  # 0 where all is void
    return Verdict(replicas.weighted_mean(ops.sum(bets * cross_entropy, axis=(1, 2)) / total, shown.image_weights[1]))


def domain(game, shown: Shown) -> Verdict:
    """The discriminator tells predictions on source images from those on target images; the player wants them to look alike.

    Both are in one batch and pass through the discriminator together; `image_weights` are 1 where an image is of the source, and
    1 where it is of the target.

    Source: Tsai et al. 2018 (arXiv:1802.10349), AdaptSegNet, at one level.
    """
    logits, (source, target) = game.discriminator(shown.fake, training=True), shown.image_weights
    objective = OBJECTIVES[game.objective]
    loss = replicas.weighted_mean(objective.real(logits, game.label_smoothing), source)
    loss = loss + replicas.weighted_mean(objective.fake(logits), target)
    adversarial_loss = replicas.weighted_mean(objective.player(logits), target)
    return Verdict(adversarial_loss, loss, ((logits, source), (logits, target)))


def domain_by_class(game, shown: Shown) -> Verdict:
    """As `domain`, on features, and with a verdict for each class: classes are aligned, not all pixels alike.

    The discriminator gives 2 K logits z for each position of the features: of each class in the source and in the target. With
    a = min(softmax(s / 1.8), 0.9) of the segmentor's logits s, a mean over the pixels of a position, and CE(z, t) =
    -sum t log softmax(z), its loss is CE(z, [a, 0]) / 2 on source images and CE(z, [0, a]) / 2 on those of the target, on which
    the player minimises CE(z, [a, 0]). No gradient passes through a.

    Source: Wang et al. 2020 (arXiv:2007.09222), FADA, there with all of it at the resolution of the images.
    """
    logits = ops.cast(game.discriminator(ops.concatenate(shown.fake), training=True), "float32")
    source, target = shown.image_weights
    soft_labels = ops.softmax(ops.cast(ops.stop_gradient(shown.y_pred), "float32") / TEMPERATURE)
    soft_labels = average_squares(ops.minimum(soft_labels, MOST_CERTAIN), find_factor(soft_labels, logits))
    in_source, in_target = ops.split(ops.log_softmax(logits), 2, axis=-1)
    as_source, as_target = (-ops.sum(soft_labels * half, axis=-1) for half in (in_source, in_target))
    loss = (replicas.weighted_mean(as_source, source) + replicas.weighted_mean(as_target, target)) / 2.0
    log_odds = ops.logsumexp(in_source, axis=-1) - ops.logsumexp(in_target, axis=-1)
    return Verdict(replicas.weighted_mean(as_source, target), loss, ((log_odds, source), (log_odds, target)))


def hidden_features(network) -> list:
    """Outputs of the layers with a kernel of a functional model, without the last, which gives its output.

    Raises:
        ValueError: there are none.
    """
    layers = [layer for layer in network.layers if hasattr(getattr(layer, "layer", layer), "kernel")]  # wrapped or not
    if len(layers) < 2:
        raise ValueError(
            "`discriminator` must have two or more layers with a kernel: features of all but the last are compared. "
            f"Received: {network.name} with {len(layers)}."
        )
    return [layer.output for layer in layers[:-1]]


FORMULATIONS = {
    "adversarial": Formulation(adversarial, classifies=True),
    "embedding": Formulation(embedding, classifies=True, features=lambda network: hidden_features(network)[-1:]),
    "segan": Formulation(segan, classifies=False, features=hidden_features),
    "gambler": Formulation(gambler, classifies=False),
}
"""Values of `formulation` in `kseg.SegmentationGame`."""

DOMAIN, BY_CLASS = Formulation(domain, classifies=True), Formulation(domain_by_class, classifies=True)
"""Those of `kseg.DomainGame`: on maps, and on features."""


def _classified(game, shown, adversarial_loss, on_real, on_fake) -> Verdict:
    """The verdict of an opponent that tells real from fake by its logits."""
    objective, (weights, _) = OBJECTIVES[game.objective], shown.image_weights
    loss = replicas.weighted_mean(objective.real(on_real, game.label_smoothing), weights)
    loss = loss + replicas.weighted_mean(objective.fake(on_fake), weights)
    return Verdict(adversarial_loss, loss, ((on_real, weights), (on_fake, weights)))


def _features(game, shown) -> list:
    """Features and logits of the real and of the fake.

    Spectral normalisation changes the kernels at each call in training. Here it does so at the first alone, so that equal maps
    have equal features; that takes an opponent without other state, such as batch statistics.
    """
    state = {variable.name for variable in game.discriminator.non_trainable_variables}
    return [
        game.features(inputs, training=training)
        for inputs, training in ((shown.real, True), (shown.fake, state != {"vector_u"}))
    ]


def _difference(one, other):
    return ops.cast(one, "float32") - ops.cast(other, "float32")
