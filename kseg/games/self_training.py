"""A segmentor that learns from labelled images, and from an averaged copy's labels of others. TensorFlow, for its training step.

Refused: training on several devices.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import keras  # noqa: E402  (only after the backend is known)
import tensorflow as tf  # noqa: E402
from keras import ops  # noqa: E402

from kseg._checks import check_arguments, check_boolean  # noqa: E402
from kseg.games.given import WithoutClassWeight, check_batch, check_instance, check_loss, check_segmentor  # noqa: E402
from kseg.games.halves import run_segmentor  # noqa: E402
from kseg.games.teacher import Teacher, check_loss_of_images, check_void, weigh  # noqa: E402
from kseg.labels import VOID  # noqa: E402


@keras.saving.register_keras_serializable(package="kseg")
class SelfTraining(WithoutClassWeight, keras.Model):
    """A segmentor with a teacher, without a discriminator: `kseg.Teacher` says what it learns from images without a label map.

    Such an image has a label map that is void everywhere. `evaluate` and `predict` run the segmentor alone. One log more than its
    own: `confident_share`, the share of pixels of images without a label map that get one.

    Args:
        segmentor: model from `image` (B, H, W, C) to logits (B, H, W, K).
        teacher: a `kseg.Teacher`; None: its defaults.
        ignore_class: id of void.
        apart: whether each half of a batch is normalised by batch statistics of its own. For images of two domains, side by side
            as `kseg.data.side_by_side` puts them.
        **kwargs: of `keras.Model`.

    Raises:
        ValueError: an argument is out of range, or the segmentor gives probabilities.

    Example: see `kseg.Teacher`.
    """

    def __init__(self, segmentor, teacher=None, ignore_class=VOID, apart=False, **kwargs):
        check_void(ignore_class)
        check_arguments(ignore_class=ignore_class)
        check_boolean("apart", apart)
        check_instance("teacher", teacher, Teacher)
        check_segmentor(segmentor)
        super().__init__(**kwargs)
        self.segmentor, self.ignore_class, self.apart = segmentor, ignore_class, apart
        self.teacher = Teacher() if teacher is None else teacher
        self.teacher_network = self.teacher.copy_of(segmentor)
        self.step = self.add_weight(name="step", shape=(), dtype="int64", initializer="zeros", trainable=False)
        self.confident_share = keras.metrics.Mean("confident_share")
        self.built = True  # both networks are

    def call(self, x, training=False):
        """Runs the segmentor alone."""
        return self.segmentor(x, training=training)

    def compile(self, optimizer="rmsprop", loss=None, **kwargs):
        """As `keras.Model.compile`; refuses a loss of probabilities, and one without a value for each image."""
        check_loss(loss)
        check_loss_of_images(loss, self.segmentor.output_shape[-1])
        super().compile(optimizer, loss, **kwargs)

    def compile_from_config(self, config):
        """Compiles with the arguments of `get_compile_config`."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.segmentor.trainable_variables)

    def export(self, *args, **kwargs):
        """As `keras.Model.export`, of the segmentor alone."""
        return self.segmentor.export(*args, **kwargs)

    def train_step(self, data):
        """One step on one batch. Called by `fit`."""
        x, y, sample_weight = check_batch(data)
        seen = self.teacher.look(self.teacher_network, x, y, self.step, self.ignore_class)
        weights = weigh(seen, sample_weight)
        with tf.GradientTape() as tape:
            y_pred = run_segmentor(self.segmentor, seen.images, self.apart)
            loss = self.compute_loss(seen.images, seen.ids, y_pred, weights, training=True)
            scaled = self.optimizer.scale_loss(loss)
        variables = self.segmentor.trainable_variables
        self.optimizer.apply(tape.gradient(scaled, variables), variables)
        self.teacher.follow(self.teacher_network, self.segmentor, self.step)
        self.step.assign_add(1)
        self._loss_tracker.update_state(loss, sample_weight=ops.shape(x)[0])
        self.confident_share.update_state(seen.confident, sample_weight=seen.unlabelled)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data):
        """As in Keras, without the log of what only training sees."""
        logs = super().test_step(check_batch(data))
        return {name: value for name, value in logs.items() if name != self.confident_share.name}

    @property
    def losses(self):
        """Penalties of the segmentor."""
        return self.segmentor.losses

    def get_config(self):
        """Arguments of the constructor."""
        return {
            "segmentor": keras.saving.serialize_keras_object(self.segmentor),
            "teacher": keras.saving.serialize_keras_object(self.teacher),
            "ignore_class": self.ignore_class,
            "apart": self.apart,
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        return cls(
            **config | {key: keras.saving.deserialize_keras_object(config[key]) for key in ("segmentor", "teacher")}
        )
