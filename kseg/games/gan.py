"""The game without a task: a generator makes samples from noise and learns from the discriminator alone.

Refused: a generator whose samples do not have the discriminator's input shape, and `evaluate`. TensorFlow, for the game's step.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import keras  # noqa: E402  (only after the backend is known)
import tensorflow as tf  # noqa: E402
from keras import ops  # noqa: E402

from kseg._checks import check_arguments  # noqa: E402
from kseg.games import replicas  # noqa: E402
from kseg.games.adversarial import AdversarialGame  # noqa: E402
from kseg.games.given import check_network  # noqa: E402


@keras.saving.register_keras_serializable(package="kseg")
class GAN(AdversarialGame):
    """A generator G against a discriminator that judges samples.

    `fit` takes batches of real samples shaped like G's, alone or with targets, which are ignored; for each batch as many
    samples are generated from normal noise. `predict` takes noise. The logs are the game's without `loss`, as there is no
    task, and `adversarial_share`.

    Args:
        generator: model from noise (B, Z) to samples (B, ...).
        discriminator: model from samples (B, ...) to logits (B, ..., 1).
        objective: one of "non_saturating", "minimax", "least_squares", "hinge".
        seed: of the noise.
        **kwargs: of `AdversarialGame`: `label_smoothing`, `schedule`, and of `keras.Model`.

    Raises:
        ValueError: an argument is out of range, or the samples do not have the discriminator's input shape.

    Example:
        >>> gan = kseg.GAN(kseg.generators.DCGAN(3, base_filters=8), kseg.discriminators.DCGAN(3, base_filters=8))
        >>> gan.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), keras.optimizers.Adam(2e-4, beta_1=0.5))
        >>> images = np.zeros((2, 32, 32, 3), np.float32)  # in [0, 255]
        >>> history = gan.fit(images, batch_size=2, verbose=0)
        >>> gan.predict(np.random.default_rng(0).normal(size=(4, 100)), verbose=0).shape
        (4, 32, 32, 3)

    Source: Goodfellow et al. 2014 (arXiv:1406.2661).
    """

    def __init__(self, generator, discriminator, objective="non_saturating", seed=0, **kwargs):
        if (formulation := kwargs.get("formulation", "adversarial")) != "adversarial":
            raise ValueError(
                "`formulation` must be left out of a GAN, whose samples have no true ones to be compared with. "
                f"Received: formulation={formulation!r}."
            )
        if "weight" in kwargs:
            raise ValueError(
                "`weight` must be left out of a GAN, which has no task to weigh against. "
                f"Received: weight={kwargs['weight']!r}."
            )
        check_arguments(seed=seed)
        check_network("generator", generator)
        super().__init__(generator, discriminator, weight=1.0, objective=objective, **kwargs)
        made, judged = tuple(generator.output_shape), tuple(discriminator.input_shape)
        if len(made) != len(judged) or any(one not in (other, None) for one, other in zip(judged, made, strict=True)):
            raise ValueError(
                "`generator` must make samples of the discriminator's input shape. "
                f"Received: generator.output_shape={made}, discriminator.input_shape={judged}."
            )
        self.seed = int(seed)

    @property
    def generator(self):
        """The player."""
        return self.player

    def compile(self, optimizer=None, discriminator_optimizer=None, **kwargs):
        """As `AdversarialGame.compile`, without what belongs to a task.

        Raises:
            ValueError: a loss or metrics are given, too.
        """
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            if kwargs.get(name):
                raise ValueError(
                    f"`{name}` must be left out of a GAN, which has no task. Received: {name}={kwargs[name]!r}."
                )
        super().compile(optimizer, discriminator_optimizer, **kwargs)

    def prepare(self, x, y, sample_weight):
        """The real samples of a batch; refuses weights of them."""
        if sample_weight is not None:
            raise ValueError(
                "`sample_weight` must be None: a GAN has no task to weigh. Leave out samples that must not count."
            )
        return x, y, sample_weight

    def play(self, x, y=None):
        """Generates as many samples as there are real ones.

        Args:
            x: real samples (B, ...).
            y: ignored.

        Returns:
            Generated samples; real samples; generated samples.
        """
        context = tf.distribute.get_replica_context()
        # Seeded by the step, so that resumed training draws the same noise, and by the replica.
        replica = ops.cast(context.replica_id_in_sync_group, "int64")
        draw = self.step * replicas.num_replicas() + replica
        seed = ops.stack([ops.convert_to_tensor(self.seed, "int64"), draw])
        noise = tf.random.stateless_normal((ops.shape(x)[0], *self.generator.input_shape[1:]), seed)
        samples = ops.cast(self.generator(noise, training=True), "float32")
        return samples, ops.cast(x, "float32"), samples

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The generator's penalties; it has no task."""
        # Depends on the samples, of which the step takes gradients.
        return sum(self.losses, 0.0 * ops.sum(y_pred[:0])) / replicas.num_replicas()

    @property
    def metrics(self):
        """All metrics but those of a task."""
        return [metric for metric in super().metrics if metric.name not in ("loss", "adversarial_share")]

    def evaluate(self, *args, **kwargs):
        """Refused: a GAN has no score."""
        raise ValueError(
            "`fit` of a GAN must be called without validation data: there is no score to evaluate. Look at `predict(noise)`."
        )

    def get_config(self):
        """Arguments of the constructor."""
        return {
            "generator": keras.saving.serialize_keras_object(self.generator),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "objective": self.objective,
            "seed": self.seed,
            "label_smoothing": self.label_smoothing,
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        keys = ("generator", "discriminator", "schedule")
        return cls(**config | {key: keras.saving.deserialize_keras_object(config[key]) for key in keys})
