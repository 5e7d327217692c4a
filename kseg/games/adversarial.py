"""The adversarial game as a Keras model: a player and a discriminator learn from each other inside `fit`.

`AdversarialGame` is abstract, with one hook, `play`; the games beside it are final. `compile` takes an optimizer for each
network; `evaluate` and `predict` are the player's alone; both networks, both optimizers and the step lie in one file. Real is 1
and fake is 0, as in the papers. TensorFlow, because the two halves of a step share forward passes,
which takes gradients of parts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import keras  # noqa: E402  (only after the backend is known)
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import ops  # noqa: E402

from kseg.games import replicas  # noqa: E402
from kseg.games.objectives import OBJECTIVES  # noqa: E402
from kseg.games.schedules import BOTH, Schedule, Turn, still  # noqa: E402
from kseg.training.distribution import replicated, with_axis  # noqa: E402

FAINTEST = 1e-12
"""Least weight of an image in the discriminator's gradient where one backward pass serves both halves."""


@dataclasses.dataclass
class _Now:
    """What is under way, in a plain object: Keras looks into whatever a model's own attributes hold, at every assignment."""

    turn: Turn = BOTH
    evaluating: bool = False
    batch: object = None


class AdversarialGame(keras.Model):
    """A player and a discriminator D descend side by side. Abstract: a game overrides `play` and nothing else of the step.

    At each step D descends on how it judges what is real and what the player made, and the player on task + weight * a, where a
    is its own penalty of D's judgement; both from the weights that they had before the step, so one forward pass of each network
    serves both. Neither half moves the other network. Who learns at which step is the schedule's matter; a network whose turn it
    is not runs as in training, batch statistics included, but nothing of it moves, moving statistics included.

    Where D gives one logit for each image and keeps no state, one backward pass through it serves both halves too: what reaches
    an image's map is the same for both but for one factor, because only the image's own logit depends on it. Such a D must judge
    each image by itself. Elsewhere two passes are taken.

    With weight 0 the player trains bit for bit as it would alone, while D goes on learning to judge it.

    Logs of training: `loss`, the task's, which is the same quantity as `val_loss`; `discriminator_loss`; `adversarial_loss`, a
    before weighting; `discriminator_accuracy`, the share of right judgements, 0.5 by guessing; `gradient_norm` of the player and
    `discriminator_gradient_norm`; `adversarial_share`, the norm of the verdict's gradient at the player's output as a share of
    this and the task's together; and the compiled metrics. Several replicas log means of their own norms and shares. While the
    player learns alone, and from `evaluate`, there are the task's loss and the compiled metrics only.

    Args:
        player: built model that makes the fake.
        discriminator: built model whose output holds one logit for each judgement, (B, ..., 1).
        weight: factor of the adversarial loss, at least 0.
        objective: "non_saturating", "minimax", "least_squares" or "hinge": `kseg.games.objectives`.
        label_smoothing: the label of what is real is 1 less this, in [0, 1); that of the fake stays 0 (Salimans et al. 2016).
        schedule: a `kseg.Schedule`; None: both learn at every step.

    Raises:
        ValueError: an argument is out of range, or the discriminator's last axis is not 1.

    Source: Goodfellow et al. 2014 (arXiv:1406.2661), algorithm 1 with k = 1, both gradients taken at the same weights.
    """

    def __init__(
        self,
        player,
        discriminator,
        *,
        weight,
        objective="non_saturating",
        label_smoothing=0.0,
        schedule=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if objective not in OBJECTIVES:
            raise ValueError(f"`objective` must be one of {', '.join(OBJECTIVES)}. Received: objective={objective!r}.")
        if not weight >= 0:
            raise ValueError(f"`weight` must be at least 0. Received: weight={weight}.")
        if not 0 <= label_smoothing < 1 or (label_smoothing and objective == "hinge"):
            raise ValueError(
                "`label_smoothing` must lie in [0, 1), and be 0 for the hinge, which has no labels. "
                f"Received: label_smoothing={label_smoothing}, objective={objective!r}."
            )
        if discriminator.output_shape[-1] != 1:
            raise ValueError(
                "`discriminator` must give one logit for each judgement, (B, ..., 1). "
                f"Received: discriminator.output_shape={discriminator.output_shape}. Build it with logits=1."
            )
        self.player, self.discriminator = player, discriminator
        self.weight, self.objective, self.label_smoothing = weight, objective, label_smoothing
        self.schedule = Schedule() if schedule is None else schedule
        self.step = self.add_weight(
            name="step", shape=(), dtype="int64", initializer="zeros", trainable=False, aggregation="only_first_replica"
        )
        self._own_metrics = {
            name: keras.metrics.Mean(name)
            for name in (
                "discriminator_loss", "adversarial_loss", "discriminator_accuracy", "gradient_norm",
                "discriminator_gradient_norm", "adversarial_share",
            )
        }  # fmt: skip
        self._now = _Now()
        self.built = True  # both networks are; Keras refuses to load weights into a model that is not marked so

    def play(self, x, y):
        """Lets the player play: `y_pred`, and what the discriminator is shown as real and as fake.

        Args:
            x: inputs of the batch.
            y: targets of the batch.

        Returns:
            The player's output, a tensor; inputs of the discriminator that are real; inputs that the player made. An input that
            is the very same tensor in both, such as the image, was not made.
        """
        raise NotImplementedError(f"{type(self).__name__} must override `play`.")

    def counts(self, x, y):
        """How much each image counts in the discriminator's half, and in the verdict that the player hears: numbers or (B,)."""
        return 1.0, 1.0

    def call(self, x, training=False):
        """The player alone: what `evaluate` and `predict` see."""
        return self.player(x, training=training)

    def compile(self, optimizer, discriminator_optimizer, **kwargs):
        """Configures training.

        Args:
            optimizer: of the player.
            discriminator_optimizer: of the discriminator; another object than `optimizer`.
            **kwargs: of `keras.Model.compile`: `loss` is the player's task, `metrics` see its output.

        Raises:
            ValueError: one optimizer was given for both, or several steps are to run at once.
        """
        if optimizer is discriminator_optimizer and not isinstance(optimizer, str):
            raise ValueError(
                "`discriminator_optimizer` must be an optimizer of its own. "
                f"Received: {optimizer!r} for both networks. Make a second one."
            )
        if kwargs.get("steps_per_execution", 1) != 1:
            raise ValueError(
                "`steps_per_execution` must be 1: who learns is decided before each step. "
                f"Received: steps_per_execution={kwargs['steps_per_execution']}."
            )
        super().compile(optimizer, **kwargs)
        self.discriminator_optimizer = keras.optimizers.get(discriminator_optimizer)
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer) and not isinstance(
            self.discriminator_optimizer, keras.optimizers.LossScaleOptimizer
        ):  # Keras scales the first optimizer's loss on its own under mixed_float16
            self.discriminator_optimizer = keras.optimizers.LossScaleOptimizer(self.discriminator_optimizer)
        # Keras would build the first optimizer on both networks' variables, and never the second.
        self.optimizer.build(self.player.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)

    def make_train_function(self, force=False):
        """A function of the data's iterator that takes one step, with a graph for each kind of turn. Called by `fit`."""
        if self.train_function is not None and not force:
            return

        def run(batch):
            logs = self.distribute_strategy.run(self.train_step, args=(batch,))
            return {name: self.distribute_strategy.reduce("MEAN", value, axis=None) for name, value in logs.items()}

        # Traced again with sizes relaxed where they changed, as in an uneven last batch, replicas would differ in what they hold
        # for constant, so in the number of their reductions, which must match.
        relaxed = self.distribute_strategy.num_replicas_in_sync == 1

        @functools.cache
        def of(turn):
            if self.run_eagerly:
                return run
            return tf.function(run, reduce_retracing=relaxed, jit_compile=self.jit_compile, autograph=False)

        def step(iterator):
            self._now.batch = next(iterator)
            # Reading the step waits for the device, so it is read only where it matters.
            self._now.turn = (
                BOTH if self.schedule.always_both else self.schedule.turn(int(ops.convert_to_numpy(self.step)))
            )
            return of(self._now.turn)(self._now.batch)

        self.train_function = step

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Keras's, but on several devices or machines: it fails there (3.15), and both networks are built already."""
        with self.distribute_strategy.scope():
            several = replicated()
        if not several:
            super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)

    def test_step(self, data):
        """Keras's; between machines it reduces logs over an axis, which scalars do not have."""
        return with_axis(super().test_step(data))

    def train_step(self, data):
        """One step on one batch, for whose turn it is. Called by `fit`."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        turn, images = self._now.turn, ops.shape(keras.tree.flatten(x)[0])[0]
        portion = replicas.portion(images)
        with tf.GradientTape(persistent=True) as tape:
            with contextlib.nullcontext() if turn.player else still(self):
                y_pred, real, fake = self.play(x, y)
            task = self.compute_loss(x, y, y_pred, sample_weight, training=True)
            penalties = replicas.penalties(self.player)
            alone = (
                task - penalties if self.player.losses else task
            )  # penalties of the output itself are followed below
        whole = self.optimizer.scale_loss(portion * replicas.number())  # Keras divided the task's loss by the replicas
        wanted = tape.gradient(alone, y_pred, whole, unconnected_gradients="zero")
        if turn.game:
            made, moves = self._judge(real, fake, self.counts(x, y), portion, images)
            if moves is not None:
                wanted = self._joined(wanted, tape.gradient(made, y_pred, moves, unconnected_gradients="zero"))
        if turn.player:
            sources = [(y_pred, wanted), *([(penalties, whole)] if self.player.losses else [])]
            variables = self.player.trainable_variables
            gradients = tape.gradient([source for source, _ in sources], variables, [seed for _, seed in sources])
            self._descend(self.optimizer, gradients, variables, self._own_metrics["gradient_norm"])
        super().metrics[0].update_state(task * replicas.number(), sample_weight=images)  # Keras's own tracker of "loss"
        self.step.assign_add(1)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def _judge(self, real, fake, counts, portion, images):
        """The discriminator's judgement and, on its turn, its half of the step.

        Returns:
            What the player made, a list, and the gradients there of its adversarial loss; None where nobody follows them.
        """
        made = [one for one, other in zip(*map(keras.tree.flatten, (fake, real)), strict=True) if one is not other]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(made)
            with contextlib.nullcontext() if self._now.turn.discriminator else still(self.discriminator):
                on_real, on_fake = (self.discriminator(shown, training=True) for shown in (real, fake))
            objective, (judged, heard) = OBJECTIVES[self.objective], counts
            loss = replicas.mean(objective.real(on_real, self.label_smoothing), judged) + replicas.mean(
                objective.fake(on_fake), judged
            )
            penalties = sum(self.discriminator.losses, ops.zeros(()))
            adversarial = replicas.mean(objective.player(on_fake), heard)
        self._own_metrics["discriminator_loss"].update_state(loss + penalties, sample_weight=images)
        self._own_metrics["adversarial_loss"].update_state(adversarial, sample_weight=images)
        for right in (on_real > objective.boundary, on_fake <= objective.boundary):
            share = None if isinstance(judged, float) else judged
            self._own_metrics["discriminator_accuracy"].update_state(ops.cast(right, "float32"), sample_weight=share)

        followed = self._now.turn.player and self.weight
        variables = self.discriminator.trainable_variables
        moves = None
        seed = self.discriminator_optimizer.scale_loss(portion)
        at_fake = tape.gradient(loss, on_fake, seed)
        for_player = tape.gradient(adversarial, on_fake, self.optimizer.scale_loss(portion))
        verdicts, seeds = [on_real, on_fake], [tape.gradient(loss, on_real, seed), at_fake]
        if followed and self._now.turn.discriminator and self._judges_each_image_once():
            # An image without weight would leave nothing to scale.
            seeds[1] = ops.where(ops.abs(at_fake) < FAINTEST, FAINTEST, at_fake)
            gradients, moves = tape.gradient(verdicts, (variables, made), seeds)
            moves = [ops.reshape(for_player / seeds[1], [-1] + [1] * (len(m.shape) - 1)) * m for m in moves]
        else:
            if followed:
                moves = tape.gradient(on_fake, made, for_player)
            if self._now.turn.discriminator:
                gradients = tape.gradient(verdicts, variables, seeds)
        if self._now.turn.discriminator:
            if self.discriminator.losses:  # apart, since those of its activities are no matter of the player
                more = tape.gradient(penalties, variables, seed)
                gradients = [one if other is None else one + other for one, other in zip(gradients, more, strict=True)]
            norm = self._own_metrics["discriminator_gradient_norm"]
            self._descend(self.discriminator_optimizer, gradients, variables, norm)
        return made, moves

    def _judges_each_image_once(self) -> bool:
        """Whether one backward pass can serve both halves. float16 cannot: the halves' gradients need scales of their own."""
        optimizers = self.optimizer, self.discriminator_optimizer
        return (
            len(self.discriminator.output_shape) == 2
            and not self.discriminator.non_trainable_variables
            and not any(isinstance(optimizer, keras.optimizers.LossScaleOptimizer) for optimizer in optimizers)
        )

    def _joined(self, of_task, of_verdict):
        """The gradient that the player follows, at its output."""
        # Nothing at all where the weight is still 0: 0 * infinity would be NaN.
        of_verdict = tf.math.multiply_no_nan(of_verdict, self.weight * self.schedule.share(self.step))
        task, verdict = tf.norm(of_task), tf.norm(of_verdict)
        self._own_metrics["adversarial_share"].update_state(tf.math.divide_no_nan(verdict, task + verdict))
        return of_task + of_verdict

    def _descend(self, optimizer, gradients, variables, norm) -> None:
        """One step of `optimizer`, and the record of how large the gradient was."""
        length = tf.linalg.global_norm(gradients) * replicas.number() / optimizer.scale_loss(ops.ones(()))
        counts = ops.ones(())
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):  # it skips such a step, and lowers its scale
            counts = ops.cast(ops.isfinite(length), "float32")
            length = ops.where(ops.isfinite(length), length, 0.0)
        norm.update_state(length, sample_weight=counts)
        optimizer.apply(gradients, variables)

    @property
    def losses(self):
        """Penalties of the player alone, for the task's loss; the discriminator's enter its own half."""
        return self.player.losses

    @property
    def metrics(self):
        """Without the game's own where there is no game: nothing is counted there, and 0.0 would be shown."""
        shown = self._now.turn.game and not self._now.evaluating
        hidden = [] if shown else [id(metric) for metric in self._own_metrics.values()]
        return [metric for metric in super().metrics if id(metric) not in hidden]

    @property
    def metrics_variables(self):
        """Those of all metrics, of the ones that are not shown at present too: a checkpoint holds them at any step."""
        return [variable for metric in super().metrics for variable in metric.variables]

    def reset_metrics(self):
        """As `keras.Model.reset_metrics`; in training, those included that are not shown at present."""
        super().reset_metrics()
        if not self._now.evaluating:
            for metric in self._own_metrics.values():
                metric.reset_state()

    def measured(self, name: str) -> bool:
        """Whether the game's own log `name` was counted since the epoch began. Where it was not it shows 0."""
        return float(ops.convert_to_numpy(self._own_metrics[name].count)) > 0

    @property
    def last_batch(self):
        """What the last step of `fit` was given, a part for each of (x, y, sample_weight) that there is; None before."""

        def whole(value):
            parts = self.distribute_strategy.experimental_local_results(value)
            return np.concatenate([ops.convert_to_numpy(part) for part in parts])

        batch = self._now.batch
        return None if batch is None else keras.tree.map_structure(whole, batch)

    def evaluate(self, *args, **kwargs):
        """As `keras.Model.evaluate`, of the player alone."""
        self._now.evaluating = True
        try:
            return super().evaluate(*args, **kwargs)
        finally:
            self._now.evaluating = False

    def get_compile_config(self):
        """What `compile` was given, for `.keras` files."""
        optimizer = keras.saving.serialize_keras_object(self.discriminator_optimizer)
        return super().get_compile_config() | {"discriminator_optimizer": optimizer}

    def compile_from_config(self, config):
        """Compiles as the saved game was."""
        self.compile(**keras.saving.deserialize_keras_object(config))
