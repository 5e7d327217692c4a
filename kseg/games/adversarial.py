"""An adversarial game as a Keras model: a player and a discriminator learn from each other inside `fit`.

`AdversarialGame` is abstract, with one hook, `play`; `kseg.games.step` holds its step. `compile` takes one optimizer per
network; `evaluate` and `predict` run the player alone; a saved game holds both networks, both optimizers and the step. Real
is 1 and fake is 0, as in the papers. TensorFlow, for the step.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import dataclasses  # noqa: E402  (only after the backend is known)
import functools  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import ops  # noqa: E402

from kseg._checks import check_number  # noqa: E402
from kseg.games import replicas  # noqa: E402
from kseg.games import step as game_step  # noqa: E402
from kseg.games.formulations import FORMULATIONS  # noqa: E402
from kseg.games.given import WithoutClassWeight, as_optimizer, check_instance, check_network, inputs_of  # noqa: E402
from kseg.games.objectives import OBJECTIVES  # noqa: E402
from kseg.games.schedules import BOTH, Phase, Schedule  # noqa: E402
from kseg.training.distribution import add_axis, is_replicated  # noqa: E402


@dataclasses.dataclass
class _StepState:
    """State of the current step, outside Keras's attribute tracking, which inspects every assignment to a model.

    `features` is the discriminator with the features that the formulation compares as further outputs; `unlabelled`, set within a
    step that has a teacher, says which images have no label map, (B,) bool;
    `with_features` is the player with features that are judged.
    """

    features: keras.Model | None = None
    phase: Phase = BOTH
    evaluating: bool = False
    batch: object = None
    unlabelled: object = None
    with_features: keras.Model | None = None


class AdversarialGame(WithoutClassWeight, keras.Model):
    """A player and a discriminator D descend simultaneously. Abstract: a game overrides `play`.

    At each step D descends on its classification loss of real and fake, and the player on task + weight * a, with a its own
    loss of D's logits; both at the weights before the step, so one forward pass of each network serves both. Neither half
    changes the other network. The schedule decides who learns at which step; a network that does not learn runs as in
    training, batch statistics included, but none of its weights change, moving statistics included.

    Where D gives one logit per image and has no state, one backward pass through it serves both halves too: the gradients of
    both losses at an image's fake differ by one factor, because only the image's own logit depends on it. Such a D must judge
    each image independently. In the formulations "segan" and "gambler" the losses of both differ by their sign, so one pass
    serves both with any D. Otherwise two passes are taken.

    With weight 0 the player trains bit for bit as it would alone, while D keeps learning.

    Logs of training: `loss`, of the task, comparable with `val_loss`; `discriminator_loss`; `adversarial_loss`, a before
    weighting; `discriminator_accuracy`, 0.5 by chance, where D classifies; `gradient_norm` of the player and
    `discriminator_gradient_norm`; `adversarial_share`, the norm of the adversarial gradient at the player's output, divided by
    this norm plus that of the task; and the compiled metrics. Several replicas log means of their norms and shares. While the
    player learns alone, and in `evaluate`, there are only the task's loss and the compiled metrics.

    Args:
        player: built model that makes the fake.
        discriminator: built model with one logit per judgement, (B, ..., 1).
        weight: factor of the adversarial loss, at least 0.
        objective: one of "non_saturating", "minimax", "least_squares", "hinge": see `kseg.games.objectives`.
        formulation: what the two learn from each other, one of "adversarial", "embedding", "segan", "gambler": see
            `kseg.games.formulations`.
        label_smoothing: subtracted from the label of the real, in [0, 1); that of the fake stays 0 (Salimans et al. 2016).
        schedule: a `kseg.Schedule`; None: both learn at every step.

    Raises:
        ValueError: an argument is out of range, or the discriminator is no functional model, or its last axis is not 1.

    Source: Goodfellow et al. 2014 (arXiv:1406.2661), algorithm 1 with k = 1, both gradients taken at the same weights.
    """

    def __init__(
        self,
        player,
        discriminator,
        *,
        weight,
        objective="non_saturating",
        formulation="adversarial",
        label_smoothing=0.0,
        schedule=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if objective not in OBJECTIVES:
            raise ValueError(f"`objective` must be one of {', '.join(OBJECTIVES)}. Received: objective={objective!r}.")
        if formulation not in FORMULATIONS:
            raise ValueError(
                f"`formulation` must be one of {', '.join(FORMULATIONS)}. Received: formulation={formulation!r}."
            )
        classifies = FORMULATIONS[formulation].classifies
        if not classifies and (objective != "non_saturating" or label_smoothing):
            raise ValueError(
                "`objective` and `label_smoothing` must be left out where the discriminator does not tell real from fake. "
                f"Received: objective={objective!r}, label_smoothing={label_smoothing} with formulation={formulation!r}."
            )
        check_number("weight", weight, minimum=0)
        check_number("label_smoothing", label_smoothing, minimum=0, below=1)
        if label_smoothing and objective == "hinge":
            raise ValueError(
                "`label_smoothing` must be 0 with the hinge objective, which has no labels. "
                f"Received: label_smoothing={label_smoothing}, objective={objective!r}."
            )
        check_instance("schedule", schedule, Schedule)
        check_network("discriminator", discriminator)
        self.check_discriminator(player, discriminator)
        self.player, self.discriminator = player, discriminator
        self.weight, self.objective, self.label_smoothing = weight, objective, label_smoothing
        self.formulation = formulation
        self.schedule = Schedule() if schedule is None else schedule
        self.step = self.add_weight(
            name="step", shape=(), dtype="int64", initializer="zeros", trainable=False, aggregation="only_first_replica"
        )
        self.game_metrics = {
            name: keras.metrics.Mean(name)
            for name in (
                "discriminator_loss", "adversarial_loss", *["discriminator_accuracy"] * classifies, "gradient_norm",
                "discriminator_gradient_norm", "adversarial_share",
            )
        }  # fmt: skip
        compared = FORMULATIONS[formulation].features
        features = compared and keras.Model(
            inputs_of(discriminator), [*compared(discriminator), *discriminator.outputs]
        )
        self._step_state = _StepState(features)
        self.built = True  # both networks are; Keras loads no weights into a model that is not marked as built

    @property
    def features(self):
        """The discriminator as a model to the features that the formulation compares, and its output; None without any."""
        return self._step_state.features

    def play(self, x, y):
        """Runs the player on a batch.

        Args:
            x: inputs of the batch.
            y: targets of the batch.

        Returns:
            The player's output, a tensor; the discriminator's real inputs; its fake inputs. An input that is the same tensor in
            both, such as the image, counts as given, not as generated.
        """
        raise NotImplementedError(f"{type(self).__name__} must override `play`.")

    judges_features = False
    """Whether the discriminator judges features that come before the player's output, instead of what follows from it."""

    def check_discriminator(self, player, discriminator):
        """Refuses a discriminator that does not fit.

        Raises:
            ValueError: its last axis is not 1.
        """
        if discriminator.output_shape[-1] != 1:
            raise ValueError(
                "`discriminator` must give one logit per judgement, (B, ..., 1). "
                f"Received: discriminator.output_shape={discriminator.output_shape}. Build it with logits=1."
            )

    @property
    def rules(self):
        """The formulation that is played."""
        return FORMULATIONS[self.formulation]

    def prepare(self, x, y, sample_weight):
        """What a step of training takes in place of a batch: here the batch itself."""
        return x, y, sample_weight

    def finish_step(self):
        """Called when both networks have learned from a batch: here nothing is left to do."""

    def image_weights(self, x, y):
        """Weights of each image in the discriminator's loss and in the adversarial loss: numbers or (B,)."""
        return 1.0, 1.0

    def call(self, x, training=False):
        """Runs the player alone, as `evaluate` and `predict` do."""
        return self.player(x, training=training)

    def compile(self, optimizer=None, discriminator_optimizer=None, loss=None, **kwargs):
        """Configures training.

        Args:
            optimizer: of the player.
            discriminator_optimizer: of the discriminator; not the same object as `optimizer`.
            loss: the player's task.
            **kwargs: of `keras.Model.compile`: `metrics` are of the player's output.

        Raises:
            ValueError: an optimizer is missing or is none, both networks have the same one, or `steps_per_execution` is not 1.
        """
        named = {"optimizer": optimizer, "discriminator_optimizer": discriminator_optimizer}
        optimizer, discriminator_optimizer = (as_optimizer(*pair) for pair in named.items())
        if optimizer is discriminator_optimizer:
            raise ValueError(
                "`discriminator_optimizer` must not be the same object as `optimizer`. "
                f"Received: {optimizer!r} for both networks. Make a second one."
            )
        if kwargs.get("steps_per_execution", 1) != 1:
            raise ValueError(
                "`steps_per_execution` must be 1: the schedule is read before each step. "
                f"Received: steps_per_execution={kwargs['steps_per_execution']}."
            )
        super().compile(optimizer, loss, **kwargs)
        self.discriminator_optimizer = discriminator_optimizer
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer) and not isinstance(
            self.discriminator_optimizer, keras.optimizers.LossScaleOptimizer
        ):  # Keras wraps only the first optimizer under mixed_float16
            self.discriminator_optimizer = keras.optimizers.LossScaleOptimizer(self.discriminator_optimizer)
        # Keras would build the first optimizer on both networks' variables, and the second never.
        self.optimizer.build(self.player.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)

    def make_train_function(self, force=False):
        """Makes the function that takes one step on the next batch, with one graph per phase. Called by `fit`."""
        if self.train_function is not None and not force:
            return

        def run(batch):
            logs = self.distribute_strategy.run(self.train_step, args=(batch,))
            return {name: self.distribute_strategy.reduce("MEAN", value, axis=None) for name, value in logs.items()}

        # Retraced with relaxed sizes, as after an uneven last batch, replicas would treat different sizes as constant and so
        # differ in their number of reductions, which must match.
        relaxed = self.distribute_strategy.num_replicas_in_sync == 1

        @functools.cache
        def compiled(phase):
            if self.run_eagerly:
                return run
            return tf.function(run, reduce_retracing=relaxed, jit_compile=self.jit_compile, autograph=False)

        def step(iterator):
            self._step_state.batch = next(iterator)
            # Reading the step waits for the device, so it is read only if the schedule depends on it.
            self._step_state.phase = (
                BOTH if self.schedule.is_constant else self.schedule.phase(int(ops.convert_to_numpy(self.step)))
            )
            return compiled(self._step_state.phase)(self._step_state.batch)

        self.train_function = step

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Skips Keras's build on several devices or machines, where it fails (3.15); both networks are built already."""
        with self.distribute_strategy.scope():
            several = is_replicated()
        if not several:
            super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)

    def test_step(self, data):
        """As in Keras, without the game's logs, and with an axis, which a reduction between machines needs."""
        logs = super().test_step(data)
        return add_axis({name: value for name, value in logs.items() if name not in self.game_metrics})

    def train_step(self, data):
        """One step on one batch, in the current phase. Called by `fit`."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        targets, image_weights = y, self.image_weights(x, y)
        x, y, sample_weight = self.prepare(x, y, sample_weight)
        phase, images = self._step_state.phase, ops.shape(keras.tree.flatten(x)[0])[0]

        # Forward: the player, and in the game the discriminator on real and fake.
        passed = game_step.forward(self, phase, x, y, sample_weight, image_weights)

        # Gradients of both halves, at the weights before the step.
        found = game_step.gradients(self, phase, passed, replicas.batch_share(images))

        # Record losses and norms, before the optimizers change their loss scales.
        game_step.record(self, passed, found, images)
        keras_loss = super().metrics[0]
        keras_loss.update_state(passed.task_loss * replicas.num_replicas(), sample_weight=images)

        # Apply.
        if found.discriminator is not None:
            self.discriminator_optimizer.apply(found.discriminator, self.discriminator.trainable_variables)
        if found.player is not None:
            self.optimizer.apply(found.player, self.player.trainable_variables)
        self.finish_step()
        self.step.assign_add(1)
        return self.compute_metrics(x, targets, passed.y_pred, sample_weight)

    @property
    def losses(self):
        """Penalties of the player, for the task's loss; the discriminator's enter its own loss."""
        return self.player.losses

    @property
    def metrics(self):
        """All metrics, without those of the game while the player learns alone: they are not updated and would show 0."""
        shown = self._step_state.phase.game and not self._step_state.evaluating
        hidden = [] if shown else [id(metric) for metric in self.game_metrics.values()]
        return [metric for metric in super().metrics if id(metric) not in hidden]

    @property
    def metrics_variables(self):
        """Variables of all metrics, hidden ones included: a checkpoint holds them at any step."""
        return [variable for metric in super().metrics for variable in metric.variables]

    def reset_metrics(self):
        """As `keras.Model.reset_metrics`, including hidden metrics in training."""
        super().reset_metrics()
        if not self._step_state.evaluating:
            for metric in self.game_metrics.values():
                metric.reset_state()

    def has_recorded(self, name: str) -> bool:
        """Whether the game's log `name` was updated since the epoch began. If not, it shows 0."""
        return float(ops.convert_to_numpy(self.game_metrics[name].count)) > 0

    @property
    def last_batch(self):
        """The last batch of `fit`: x, (x, y) or (x, y, sample_weight) of numpy arrays; None before the first."""

        def whole(value):
            parts = self.distribute_strategy.experimental_local_results(value)
            return np.concatenate([ops.convert_to_numpy(part) for part in parts])

        batch = self._step_state.batch
        return None if batch is None else keras.tree.map_structure(whole, batch)

    def export(self, *args, **kwargs):
        """As `keras.Model.export`, of the player alone."""
        return self.player.export(*args, **kwargs)

    def evaluate(self, *args, **kwargs):
        """As `keras.Model.evaluate`, for the player alone."""
        self._step_state.evaluating = True
        try:
            return super().evaluate(*args, **kwargs)
        finally:
            self._step_state.evaluating = False

    def get_compile_config(self):
        """Arguments of `compile`, for `.keras` files; none before it was called."""
        config = super().get_compile_config()
        if not self.compiled:
            return config
        return config | {"discriminator_optimizer": keras.saving.serialize_keras_object(self.discriminator_optimizer)}

    def compile_from_config(self, config):
        """Compiles with the arguments of `get_compile_config`."""
        self.compile(**keras.saving.deserialize_keras_object(config))
