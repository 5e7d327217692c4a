"""One training step of a game in three functions: `forward`, `gradients`, `record`.

Both halves of a step are taken at the weights before it, so one forward pass of each network serves both. TensorFlow, for its
gradient tapes.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import contextlib  # noqa: E402  (only after the backend is known)
import typing  # noqa: E402

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import ops  # noqa: E402

from kseg.games import replicas  # noqa: E402
from kseg.games.objectives import OBJECTIVES  # noqa: E402
from kseg.games.schedules import Phase, frozen  # noqa: E402

MIN_GRADIENT_NORM = 1e-12
"""Floor of a fake logit's gradient where one backward pass serves both halves: it is divided by."""


class Judgement(typing.NamedTuple):
    """The discriminator's forward pass on real and fake.

    Attributes:
        tape: from what the player generated to all that follows.
        generated: what the player made: those inputs of the discriminator that differ between fake and real.
        on_real: logits of the real.
        on_fake: logits of the fake.
        loss: the discriminator's, without penalties.
        penalties: regularisation of the discriminator.
        adversarial_loss: the player's, before weighting.
        image_weights: of each image in `loss`: 1.0 or (B,).
    """

    tape: tf.GradientTape
    generated: list
    on_real: tf.Tensor
    on_fake: tf.Tensor
    loss: tf.Tensor
    penalties: tf.Tensor
    adversarial_loss: tf.Tensor
    image_weights: float | tf.Tensor


class Forward(typing.NamedTuple):
    """The forward pass of both networks.

    Attributes:
        tape: from the player's weights to all but the judgement.
        y_pred: the player's output.
        task_loss: with `penalties`.
        output_loss: the part of it that depends on `y_pred`.
        penalties: regularisation of the player, this replica's part.
        judgement: None while the player learns alone.
    """

    tape: tf.GradientTape
    y_pred: tf.Tensor
    task_loss: tf.Tensor
    output_loss: tf.Tensor
    penalties: tf.Tensor
    judgement: Judgement | None


class Gradients(typing.NamedTuple):
    """Gradients of both networks' weights; None for a network that does not learn.

    Attributes:
        player: of the player's trainable variables.
        discriminator: of the discriminator's trainable variables.
        adversarial_share: norm of the adversarial gradient at the player's output, over this norm plus the task gradient's.
    """

    player: list | None
    discriminator: list | None
    adversarial_share: tf.Tensor | None


def forward(game, phase: Phase, x, y, sample_weight) -> Forward:
    """Runs the player, and in the game the discriminator, each once."""
    with tf.GradientTape(persistent=True) as tape:
        with contextlib.nullcontext() if phase.player else frozen(game):
            y_pred, real, fake = game.play(x, y)
        task_loss = game.compute_loss(x, y, y_pred, sample_weight, training=True)
        penalties = replicas.regularization(game.player)
        output_loss = task_loss - penalties if game.player.losses else task_loss
    judgement = judge(game, phase, real, fake, game.image_weights(x, y)) if phase.game else None
    return Forward(tape, y_pred, task_loss, output_loss, penalties, judgement)


def judge(game, phase: Phase, real, fake, image_weights) -> Judgement:
    """Runs the discriminator on what is real and what is fake."""
    pairs = zip(*map(keras.tree.flatten, (fake, real)), strict=True)
    generated = [fake_input for fake_input, real_input in pairs if fake_input is not real_input]
    objective = OBJECTIVES[game.objective]
    discriminator_weights, player_weights = image_weights
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(generated)
        with contextlib.nullcontext() if phase.discriminator else frozen(game.discriminator):
            on_real, on_fake = (game.discriminator(inputs, training=True) for inputs in (real, fake))
        loss = replicas.weighted_mean(objective.real(on_real, game.label_smoothing), discriminator_weights)
        loss = loss + replicas.weighted_mean(objective.fake(on_fake), discriminator_weights)
        penalties = sum(game.discriminator.losses, ops.zeros(()))
        adversarial_loss = replicas.weighted_mean(objective.player(on_fake), player_weights)
    return Judgement(tape, generated, on_real, on_fake, loss, penalties, adversarial_loss, discriminator_weights)


def gradients(game, phase: Phase, passed: Forward, batch_share) -> Gradients:
    """Gradients of both halves, scaled as each optimizer wants them.

    Args:
        game: the game.
        phase: who learns.
        passed: of `forward`.
        batch_share: this replica's share of the batch.
    """
    of_discriminator, at_generated = None, None
    if passed.judgement is not None:
        of_discriminator, at_generated = _judgement_gradients(game, phase, passed.judgement, batch_share)
    if not phase.player:
        return Gradients(None, of_discriminator, None)

    # Both losses meet at the player's output, so one backward pass through the player serves both.
    tape, y_pred = passed.tape, passed.y_pred
    seed = game.optimizer.scale_loss(
        batch_share * replicas.num_replicas()
    )  # Keras divided the task loss by the replicas
    output_grad = tape.gradient(passed.output_loss, y_pred, seed, unconnected_gradients="zero")
    adversarial_share = None
    if at_generated is not None:
        generated = passed.judgement.generated
        adversarial_grad = tape.gradient(generated, y_pred, at_generated, unconnected_gradients="zero")
        # Exactly 0 while the weight is 0: 0 * infinity would be NaN.
        adversarial_grad = tf.math.multiply_no_nan(adversarial_grad, game.weight * game.schedule.ramp_factor(game.step))
        task_norm, adversarial_norm = tf.norm(output_grad), tf.norm(adversarial_grad)
        adversarial_share = tf.math.divide_no_nan(adversarial_norm, task_norm + adversarial_norm)
        output_grad = output_grad + adversarial_grad
    targets, seeds = [y_pred], [output_grad]
    if game.player.losses:
        targets, seeds = [*targets, passed.penalties], [*seeds, seed]
    of_player = tape.gradient(targets, game.player.trainable_variables, seeds)
    return Gradients(of_player, of_discriminator, adversarial_share)


def _judgement_gradients(game, phase: Phase, judgement: Judgement, batch_share):
    """Gradients of the discriminator's weights, and of the adversarial loss at what was generated; None if not needed."""
    tape, variables = judgement.tape, game.discriminator.trainable_variables
    reaches_player = phase.player and game.weight
    seed = game.discriminator_optimizer.scale_loss(batch_share)
    at_real = tape.gradient(judgement.loss, judgement.on_real, seed)
    at_fake = tape.gradient(judgement.loss, judgement.on_fake, seed)
    for_player = tape.gradient(judgement.adversarial_loss, judgement.on_fake, game.optimizer.scale_loss(batch_share))
    of_weights, at_generated = None, None
    if reaches_player and phase.discriminator and can_share_backward_pass(game):
        of_weights, at_generated = _shared_backward_pass(judgement, variables, at_real, at_fake, for_player)
    else:
        if reaches_player:
            at_generated = tape.gradient(judgement.on_fake, judgement.generated, for_player)
        if phase.discriminator:
            of_weights = tape.gradient([judgement.on_real, judgement.on_fake], variables, [at_real, at_fake])
    if phase.discriminator and game.discriminator.losses:  # apart: activity penalties must not reach the player
        of_penalties = tape.gradient(judgement.penalties, variables, seed)
        of_weights = [a if b is None else a + b for a, b in zip(of_weights, of_penalties, strict=True)]
    return of_weights, at_generated


def _shared_backward_pass(judgement: Judgement, variables, at_real, at_fake, for_player):
    """Both halves from one backward pass through the discriminator.

    With L the discriminator's loss, A the adversarial loss, f_i the logit of fake image i and x_i what the player generated
    of it, only f_i depends on x_i. So dL/dx_i = dL/df_i df_i/dx_i, and

        dA/dx_i = dA/df_i df_i/dx_i = (dA/df_i / dL/df_i) dL/dx_i:

    the pass that gives the gradient of the weights also gives dL/dx_i, and one factor per image turns it into dA/dx_i.
    """
    # An image of weight 0 has dL/df_i = 0, which would leave nothing to scale.
    at_fake = ops.where(ops.abs(at_fake) < MIN_GRADIENT_NORM, MIN_GRADIENT_NORM, at_fake)
    logits, seeds = [judgement.on_real, judgement.on_fake], [at_real, at_fake]
    of_weights, at_generated = judgement.tape.gradient(logits, (variables, judgement.generated), seeds)
    factor = for_player / at_fake
    return of_weights, [ops.reshape(factor, [-1] + [1] * (len(grad.shape) - 1)) * grad for grad in at_generated]


def can_share_backward_pass(game) -> bool:
    """Whether one backward pass serves both halves: one logit per image, no state, and no loss scaling.

    A discriminator with state may mix images, and in float16 the gradients of both halves need scales of their own.
    """
    optimizers = game.optimizer, game.discriminator_optimizer
    return (
        len(game.discriminator.output_shape) == 2
        and not game.discriminator.non_trainable_variables
        and not any(isinstance(optimizer, keras.optimizers.LossScaleOptimizer) for optimizer in optimizers)
    )


def record(game, passed: Forward, found: Gradients, images) -> None:
    """Updates the game's metrics.

    Args:
        game: the game.
        passed: of `forward`.
        found: of `gradients`, before the optimizers apply them.
        images: number of images in the batch.
    """
    metrics, judgement = game.game_metrics, passed.judgement
    if judgement is not None:
        metrics["discriminator_loss"].update_state(judgement.loss + judgement.penalties, sample_weight=images)
        metrics["adversarial_loss"].update_state(judgement.adversarial_loss, sample_weight=images)
        boundary = OBJECTIVES[game.objective].boundary
        weights = None if isinstance(judgement.image_weights, float) else judgement.image_weights
        for correct in (judgement.on_real > boundary, judgement.on_fake <= boundary):
            metrics["discriminator_accuracy"].update_state(ops.cast(correct, "float32"), sample_weight=weights)
    if found.adversarial_share is not None:
        metrics["adversarial_share"].update_state(found.adversarial_share)
    if found.player is not None:
        _record_norm(metrics["gradient_norm"], game.optimizer, found.player)
    if found.discriminator is not None:
        _record_norm(metrics["discriminator_gradient_norm"], game.discriminator_optimizer, found.discriminator)


def _record_norm(metric, optimizer, grads) -> None:
    """Records the norm of gradients, without the replicas' and the optimizer's scale."""
    norm = tf.linalg.global_norm(grads) * replicas.num_replicas() / optimizer.scale_loss(ops.ones(()))
    weight = ops.ones(())
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):  # it skips a step that is not finite
        weight = ops.cast(ops.isfinite(norm), "float32")
        norm = ops.where(ops.isfinite(norm), norm, 0.0)
    metric.update_state(norm, sample_weight=weight)
