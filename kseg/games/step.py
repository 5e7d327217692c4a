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
from kseg.games.formulations import Shown, adversarial  # noqa: E402
from kseg.games.objectives import OBJECTIVES  # noqa: E402
from kseg.games.schedules import Phase, frozen  # noqa: E402

MIN_GRADIENT_NORM = 1e-12
"""Floor of a fake logit's gradient where one backward pass serves both halves: it is divided by."""


class Judgement(typing.NamedTuple):
    """The discriminator's forward pass on real and fake.

    Attributes:
        tape: from what the player generated to all that follows.
        generated: what the player made: those inputs of the discriminator that differ between fake and real, and its output.
        logits: of the real and of the fake, each with weights of its images; None where the discriminator does not classify.
        loss: the discriminator's, without penalties.
        penalties: regularisation of the discriminator.
        adversarial_loss: the player's, before weighting.
        zero_sum: whether `loss` is minus `adversarial_loss`.
    """

    tape: tf.GradientTape
    generated: list
    logits: tuple | None
    loss: tf.Tensor
    penalties: tf.Tensor
    adversarial_loss: tf.Tensor
    zero_sum: bool


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
        adversarial_share: norm of the adversarial gradient at the player's output, or at the features that are judged, over this
            norm plus the task gradient's.
    """

    player: list | None
    discriminator: list | None
    adversarial_share: tf.Tensor | None


def forward(game, phase: Phase, x, y, sample_weight, image_weights) -> Forward:
    """Runs the player, and in the game the discriminator, each once."""
    with tf.GradientTape(persistent=True) as tape:
        with contextlib.nullcontext() if phase.player else frozen(game):
            y_pred, real, fake = game.play(x, y)
        task_loss = game.compute_loss(x, y, y_pred, sample_weight, training=True)
        penalties = replicas.regularization(game.player)
        output_loss = task_loss - penalties if game.player.losses else task_loss
    shown = Shown(real, fake, y, y_pred, image_weights)
    judgement = judge(game, phase, shown) if phase.game else None
    return Forward(tape, y_pred, task_loss, output_loss, penalties, judgement)


def judge(game, phase: Phase, shown: Shown) -> Judgement:
    """Runs the discriminator on what is real and what is fake, in the game's formulation."""
    given, generated = keras.tree.flatten(shown.real), []
    for one in [*keras.tree.flatten(shown.fake), shown.y_pred]:
        if all(one is not other for other in (*given, *generated)):
            generated.append(one)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(generated)
        with contextlib.nullcontext() if phase.discriminator else frozen(game.discriminator):
            verdict = game.rules.judge(game, shown)
        zero_sum = verdict.loss is None
        loss = -verdict.adversarial_loss if zero_sum else verdict.loss
        penalties = sum(game.discriminator.losses, ops.zeros(()))
    return Judgement(tape, generated, verdict.logits, loss, penalties, verdict.adversarial_loss, zero_sum)


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
    targets, seeds, adversarial_share = [y_pred], [output_grad], None
    if at_generated is not None:
        reached = [pair for pair in zip(passed.judgement.generated, at_generated, strict=True) if pair[1] is not None]
        generated, grads = map(list, zip(*reached, strict=True))
        # Exactly 0 while the weight is 0: 0 * infinity would be NaN.
        weight = game.weight * game.schedule.ramp_factor(game.step)
        if game.judges_features:  # they come before the output, so the losses meet there
            task_grads = tape.gradient(y_pred, generated, output_grad)
            adversarial_grads = [tf.math.multiply_no_nan(grad, tf.cast(weight, grad.dtype)) for grad in grads]
            targets, seeds = [y_pred, *generated], [output_grad, *adversarial_grads]
        else:
            task_grads = [output_grad]
            adversarial_grad = tape.gradient(generated, y_pred, grads, unconnected_gradients="zero")
            adversarial_grads = [tf.math.multiply_no_nan(adversarial_grad, weight)]
            seeds = [output_grad + adversarial_grads[0]]
        task_norm, adversarial_norm = (
            tf.linalg.global_norm([tf.cast(grad, tf.float32) for grad in each])
            for each in (task_grads, adversarial_grads)
        )
        adversarial_share = tf.math.divide_no_nan(adversarial_norm, task_norm + adversarial_norm)
    if game.player.losses:
        targets, seeds = [*targets, passed.penalties], [*seeds, seed]
    of_player = tape.gradient(targets, game.player.trainable_variables, seeds)
    return Gradients(of_player, of_discriminator, adversarial_share)


def _judgement_gradients(game, phase: Phase, judgement: Judgement, batch_share):
    """Gradients of the discriminator's weights, and of the adversarial loss at what was generated; None if not needed."""
    tape, variables = judgement.tape, game.discriminator.trainable_variables
    reaches_player = phase.player and game.weight
    seed, player_seed = (one.scale_loss(batch_share) for one in (game.discriminator_optimizer, game.optimizer))
    of_weights, at_generated = None, None
    if reaches_player and phase.discriminator and can_share_backward_pass(game):
        share = _zero_sum_pass if judgement.zero_sum else _shared_backward_pass
        of_weights, at_generated = share(judgement, variables, seed, player_seed)
    else:
        if reaches_player:
            at_generated = tape.gradient(judgement.adversarial_loss, judgement.generated, player_seed)
        if phase.discriminator:
            of_weights = tape.gradient(judgement.loss, variables, seed)
    if phase.discriminator and judgement.zero_sum:  # no loss reaches a critic's logits
        of_weights = [
            ops.zeros_like(v) if grad is None else grad for v, grad in zip(variables, of_weights, strict=True)
        ]
    if phase.discriminator and game.discriminator.losses:  # apart: activity penalties must not reach the player
        of_penalties = tape.gradient(judgement.penalties, variables, seed)
        of_weights = [a if b is None else a + b for a, b in zip(of_weights, of_penalties, strict=True)]
    return of_weights, at_generated


def _zero_sum_pass(judgement: Judgement, variables, seed, player_seed):
    """Both halves from one backward pass where one side's loss is minus the other's."""
    sources = variables, judgement.generated
    of_weights, at_generated = judgement.tape.gradient(judgement.adversarial_loss, sources, seed)
    return [grad if grad is None else -grad for grad in of_weights], at_generated


def _shared_backward_pass(judgement: Judgement, variables, seed, player_seed):
    """Both halves from one backward pass through the discriminator.

    With L the discriminator's loss, A the adversarial loss, f_i the logit of fake image i and x_i what the player generated
    of it, only f_i depends on x_i. So dL/dx_i = dL/df_i df_i/dx_i, and

        dA/dx_i = dA/df_i df_i/dx_i = (dA/df_i / dL/df_i) dL/dx_i:

    the pass that gives the gradient of the weights also gives dL/dx_i, and one factor per image turns it into dA/dx_i.
    """
    tape, ((on_real, _), (on_fake, _)) = judgement.tape, judgement.logits
    at_real, at_fake = tape.gradient(judgement.loss, [on_real, on_fake], seed)
    for_player = tape.gradient(judgement.adversarial_loss, on_fake, player_seed)
    # An image of weight 0 has dL/df_i = 0, which would leave nothing to scale.
    at_fake = ops.where(ops.abs(at_fake) < MIN_GRADIENT_NORM, MIN_GRADIENT_NORM, at_fake)
    of_weights, at_generated = tape.gradient([on_real, on_fake], (variables, judgement.generated), [at_real, at_fake])
    factor = for_player / at_fake
    scaled = [
        None if grad is None else ops.reshape(factor, [-1] + [1] * (len(grad.shape) - 1)) * grad
        for grad in at_generated
    ]
    return of_weights, scaled


def can_share_backward_pass(game) -> bool:
    """Whether one backward pass through the discriminator serves both halves; never where losses are scaled.

    In a zero-sum game it does, with any network. A discriminator that classifies must give one logit per image and have no state,
    as one with state may mix images, and the player must learn from the logits. In float16 each half needs a scale of its own.
    """
    optimizers = game.optimizer, game.discriminator_optimizer
    if any(isinstance(optimizer, keras.optimizers.LossScaleOptimizer) for optimizer in optimizers):
        return False
    if not game.rules.classifies:
        return True
    alone = len(game.discriminator.output_shape) == 2 and not game.discriminator.non_trainable_variables
    return alone and game.rules.judge is adversarial


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
    if judgement is not None and judgement.logits is not None:
        boundary, ((on_real, real_weights), (on_fake, fake_weights)) = (
            OBJECTIVES[game.objective].boundary,
            judgement.logits,
        )
        for correct, weights in ((on_real > boundary, real_weights), (on_fake <= boundary, fake_weights)):
            weights = None if isinstance(weights, float) else weights
            metrics["discriminator_accuracy"].update_state(ops.cast(correct, "float32"), sample_weight=weights)
    if found.adversarial_share is not None:
        metrics["adversarial_share"].update_state(found.adversarial_share)
    if found.player is not None:
        _record_norm(metrics["gradient_norm"], game.optimizer, found.player)
    if found.discriminator is not None:
        _record_norm(metrics["discriminator_gradient_norm"], game.discriminator_optimizer, found.discriminator)


def _record_norm(metric, optimizer, grads) -> None:
    """Records the norm of gradients, without the replicas' and the optimizer's scale."""
    norm = (
        tf.linalg.global_norm([tf.cast(grad, tf.float32) for grad in grads])
        * replicas.num_replicas()
        / optimizer.scale_loss(ops.ones(()))
    )
    weight = ops.ones(())
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):  # it skips a step that is not finite
        weight = ops.cast(ops.isfinite(norm), "float32")
        norm = ops.where(ops.isfinite(norm), norm, 0.0)
    metric.update_state(norm, sample_weight=weight)
