"""The adversarial game as a Keras model: a player and a discriminator learn in turn inside `fit`.

`AdversarialGame` is abstract, with one hook, `play`; `SegmentationGame` is final: a segmentor plays against a discriminator
that tells true label maps from predicted ones. `compile` takes an optimizer for each; `evaluate` and `predict` are the
player's alone; both networks and both optimizers lie in one file. Real is 1 and fake is 0, as in the papers. Refused: networks
that do not fit each other. TensorFlow, because two halves of a step need two gradient tapes.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import keras  # noqa: E402  (only after the backend is known)
import tensorflow as tf  # noqa: E402
from keras import ops  # noqa: E402

from kseg.label_encodings import ENCODINGS  # noqa: E402
from kseg.labels import VOID  # noqa: E402

REAL, FAKE = 1.0, 0.0
OBJECTIVES = ("non_saturating", "minimax")


class AdversarialGame(keras.Model):
    """A player and a discriminator D descend in turn. Abstract: a game overrides `play` and nothing else of the step.

    Each step, D first descends on bce(D(real), 1) + bce(D(fake), 0); then the player descends, against the D just updated, on
    task + weight * a, where a = bce(D(fake), 1) if the objective is "non_saturating" and -bce(D(fake), 0) if it is "minimax".
    The player's forward pass is computed once for both. Neither half moves the other network, moving statistics included.

    With weight 0 the player trains bit for bit as it would alone, while D goes on learning to judge it.

    Logs of training: `loss`, the task's, which is the same quantity as `val_loss`; `discriminator_loss`; `adversarial_loss`, a
    before weighting; `discriminator_accuracy`, the share of right judgements, 0.5 by guessing; and the compiled metrics.
    `evaluate` gives the task's loss and the compiled metrics.

    Args:
        player: built model that makes the fake.
        discriminator: built model whose output holds one logit for each judgement, (B, ..., 1).
        weight: factor of the adversarial loss, at least 0.
        objective: "non_saturating" or "minimax".

    Raises:
        ValueError: `objective` is unknown, `weight` is negative, or the discriminator's last axis is not 1.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 3 and algorithm 1 with k = 1.
    """

    def __init__(self, player, discriminator, *, weight, objective="non_saturating", **kwargs):
        super().__init__(**kwargs)
        if objective not in OBJECTIVES:
            raise ValueError(f"`objective` must be one of {', '.join(OBJECTIVES)}. Received: objective={objective!r}.")
        if not weight >= 0:
            raise ValueError(f"`weight` must be at least 0. Received: weight={weight}.")
        if discriminator.output_shape[-1] != 1:
            raise ValueError(
                "`discriminator` must give one logit for each judgement, (B, ..., 1). "
                f"Received: discriminator.output_shape={discriminator.output_shape}. Build it with logits=1."
            )
        self.player, self.discriminator = player, discriminator
        self.weight, self.objective = weight, objective
        self.bce = keras.losses.BinaryCrossentropy(from_logits=True)
        self.discriminator_loss = keras.metrics.Mean("discriminator_loss")
        self.adversarial_loss = keras.metrics.Mean("adversarial_loss")
        self.discriminator_accuracy = keras.metrics.Mean("discriminator_accuracy")
        self._evaluating = False
        self.built = True  # both networks are; Keras refuses to load weights into a model that is not marked so

    def play(self, x, y):
        """Lets the player play: `y_pred`, and what the discriminator is shown as real and as fake.

        Args:
            x: inputs of the batch.
            y: targets of the batch.

        Returns:
            The player's output; inputs of the discriminator that are real; inputs that the player made.
        """
        raise NotImplementedError(f"{type(self).__name__} must override `play`.")

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
            ValueError: one optimizer was given for both.
        """
        if optimizer is discriminator_optimizer and not isinstance(optimizer, str):
            raise ValueError(
                "`discriminator_optimizer` must be an optimizer of its own. "
                f"Received: {optimizer!r} for both networks. Make a second one."
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

    def train_step(self, data):
        """One step of each network on one batch. Called by `fit`."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        images = ops.shape(keras.tree.flatten(x)[0])[0]
        with tf.GradientTape() as tape:
            y_pred, real, fake = self.play(x, y)
            with tape.stop_recording():
                self._discriminator_half(real, fake, images)
            task = self.compute_loss(x, y, y_pred, sample_weight, training=True)
            adversarial = self._adversarial(fake)
            # No term at all where the weight is 0: 0 * infinity would be NaN.
            objective = self.optimizer.scale_loss(task + self.weight * adversarial if self.weight else task)
        _descend(tape, objective, self.player, self.optimizer)
        super().metrics[0].update_state(_unscaled(task), sample_weight=images)  # Keras's own tracker of "loss"
        self.adversarial_loss.update_state(_unscaled(adversarial), sample_weight=images)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def _discriminator_half(self, real, fake, images):
        """The discriminator's step, and the record of how it judged before it."""
        with tf.GradientTape() as tape:
            on_real, on_fake = self.discriminator(real, training=True), self.discriminator(fake, training=True)
            loss = self._judged(on_real, REAL) + self._judged(on_fake, FAKE) + _penalties(self.discriminator)
            scaled = self.discriminator_optimizer.scale_loss(loss)
        _descend(tape, scaled, self.discriminator, self.discriminator_optimizer)
        self.discriminator_loss.update_state(_unscaled(loss), sample_weight=images)
        self.discriminator_accuracy.update_state(on_real > 0)
        self.discriminator_accuracy.update_state(on_fake <= 0)

    def _adversarial(self, fake):
        """The player's part of the game, a scalar.

        The discriminator runs as in training, but without state: batch normalisation uses this batch, and its moving
        statistics stay what the discriminator's own half made them.
        """
        network = self.discriminator
        logits, _ = network.stateless_call(
            network.trainable_variables, network.non_trainable_variables, fake, training=True
        )
        return self._judged(logits, REAL) if self.objective == "non_saturating" else -self._judged(logits, FAKE)

    def _judged(self, logits, label: float):
        """Binary cross-entropy of logits (B, ..., 1) against one label: the mean, divided by the number of replicas."""
        return self.bce(label * ops.ones_like(logits), logits)

    @property
    def losses(self):
        """Penalties of the player alone, for the task's loss; the discriminator's enter its own half."""
        return self.player.losses

    @property
    def metrics(self):
        """While evaluating, without the game's own: nothing is counted there, and 0.0 would be shown."""
        own = (self.discriminator_loss, self.adversarial_loss, self.discriminator_accuracy)
        return [metric for metric in super().metrics if not (self._evaluating and metric in own)]

    def evaluate(self, *args, **kwargs):
        """As `keras.Model.evaluate`, of the player alone."""
        self._evaluating = True
        try:
            return super().evaluate(*args, **kwargs)
        finally:
            self._evaluating = False

    def get_compile_config(self):
        """What `compile` was given, for `.keras` files."""
        optimizer = keras.saving.serialize_keras_object(self.discriminator_optimizer)
        return super().get_compile_config() | {"discriminator_optimizer": optimizer}

    def compile_from_config(self, config):
        """Compiles as the saved game was."""
        self.compile(**keras.saving.deserialize_keras_object(config))


@keras.saving.register_keras_serializable(package="kseg")
class SegmentationGame(AdversarialGame):
    """A segmentor against a discriminator that judges pairs of image and label map.

    The discriminator is shown [image (B, H, W, C), label map (B, H, W, M)], or the label map alone if it has one input: the truth
    as one-hot vectors or the segmentor's softmax, both in an encoding of `kseg.label_encodings`. Both are zero at the truth's
    void pixels, or it would tell them apart by these.

    Args:
        segmentor: model from `image` (B, H, W, C) to logits (B, H, W, K).
        discriminator: model from [image, label map], or from the label map, to logits (B, ..., 1).
        weight: factor of the adversarial loss; lambda in the paper.
        objective: "non_saturating" or "minimax".
        encoding: of the label maps, "basic" or "scaling", of K channels, or "product", of C K.
        ignore_class: id of void in the label maps, or None.
        label_stride: the discriminator is shown image and label maps averaged over squares of this side, in pixels. At full
            resolution it can cost more than the segmentor.

    Raises:
        ValueError: an argument is out of range, or the discriminator's inputs do not fit the segmentor's output.

    Example:
        >>> game = SegmentationGame(kseg.UNet(21), kseg.discriminators.TwoBranch(21), weight=0.1)
        >>> game.compile("adam", "adam", loss=CrossEntropy(ignore_class=255), metrics=[ConfusionMatrix(21)])
        >>> game.fit(training_set, epochs=10, steps_per_epoch=100)  # batches of (image, label map)

    Source: Luc et al. 2016, arXiv:1611.08408.
    """

    def __init__(
        self,
        segmentor,
        discriminator,
        weight=0.1,
        objective="non_saturating",
        encoding="basic",
        ignore_class=VOID,
        label_stride=1,
        **kwargs,
    ):
        super().__init__(segmentor, discriminator, weight=weight, objective=objective, **kwargs)
        if encoding not in ENCODINGS:
            raise ValueError(f"`encoding` must be one of {', '.join(ENCODINGS)}. Received: encoding={encoding!r}.")
        shapes = [tuple(tensor.shape) for tensor in discriminator.inputs]
        channels = segmentor.output_shape[-1] * (segmentor.input_shape[-1] if encoding == "product" else 1)
        if len(shapes) not in (1, 2) or shapes[-1][-1] != channels:
            raise ValueError(
                f"`discriminator` must take [image (B, H, W, C), label map (B, H, W, {channels})], or the label map alone: as "
                f"many channels as the segmentor's classes have in the encoding {encoding!r}. Received: inputs of shape {shapes}."
            )
        if not (isinstance(label_stride, int) and label_stride >= 1):
            raise ValueError(
                f"`label_stride` must be a whole number of at least 1. Received: label_stride={label_stride}."
            )
        self.encoding, self.ignore_class, self.label_stride = encoding, ignore_class, label_stride

    @property
    def segmentor(self):
        """The player."""
        return self.player

    def play(self, x, y):
        """Predicts, and shows both label maps to the discriminator.

        Args:
            x: images (B, H, W, C) in [0, 255].
            y: ids (B, H, W) or (B, H, W, 1).

        Returns:
            Logits (B, H, W, K); [image, truth] and [image, prediction], each (B, h, w, .) float32, h = ceil(H / label_stride), or
            truth and prediction alone where the discriminator has one input.
        """
        logits = self.segmentor(x, training=True)
        ids = ops.cast(ops.squeeze(y, axis=-1) if len(y.shape) == 4 else y, "int32")
        truth = ops.one_hot(ids, logits.shape[-1], dtype="float32")
        prediction = ops.softmax(ops.cast(logits, "float32"))
        if self.ignore_class is not None:
            valid = ops.cast(ops.not_equal(ids, self.ignore_class), "float32")[..., None]
            truth, prediction = truth * valid, prediction * valid
        image = ops.cast(x, "float32")
        truth, prediction = (self._coarse(maps) for maps in ENCODINGS[self.encoding](truth, prediction, image))
        if len(self.discriminator.inputs) == 1:
            return logits, truth, prediction
        image = self._coarse(image)
        return logits, [image, truth], [image, prediction]

    def _coarse(self, maps):
        """Means over squares of `label_stride` pixels; the last ones are smaller where H or W is no multiple."""
        if self.label_stride == 1:
            return maps
        return ops.average_pool(maps, self.label_stride, strides=self.label_stride, padding="same")

    def get_config(self):
        """Arguments of the constructor."""
        return {
            "segmentor": keras.saving.serialize_keras_object(self.segmentor),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "weight": self.weight,
            "objective": self.objective,
            "encoding": self.encoding,
            "ignore_class": self.ignore_class,
            "label_stride": self.label_stride,
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        networks = {key: keras.saving.deserialize_keras_object(config[key]) for key in ("segmentor", "discriminator")}
        return cls(**config | networks)


def _descend(tape, loss, network, optimizer) -> None:
    """One step of `optimizer` on the trainable variables of `network` alone."""
    variables = network.trainable_variables
    optimizer.apply(tape.gradient(loss, variables), variables)


def _replicas() -> int:
    return tf.distribute.get_strategy().num_replicas_in_sync


def _unscaled(loss):
    """The mean itself: Keras divides losses by the number of replicas, whose gradients it adds up."""
    return loss * _replicas()


def _penalties(network):
    """Regularisation of `network`, a share for each replica."""
    return sum(network.losses, 0.0) / _replicas()
