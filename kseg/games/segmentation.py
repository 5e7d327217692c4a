"""The segmentation game: is this the true label map of this image, or the segmentor's?

Refused: networks whose inputs and outputs do not match. TensorFlow, because the game's step is.
"""

from __future__ import annotations

import keras
from keras import ops

from kseg._checks import check_arguments, check_boolean, check_integer
from kseg.games.adversarial import AdversarialGame
from kseg.games.given import check_batch, check_instance, check_loss, check_segmentor
from kseg.games.halves import run_segmentor
from kseg.games.label_encodings import ENCODINGS
from kseg.games.squares import average_squares, find_factor, match_output
from kseg.games.teacher import Teacher, check_loss_of_images, check_void, weigh
from kseg.labels import VOID
from kseg.losses.segmentation_loss import find_valid


@keras.saving.register_keras_serializable(package="kseg")
class SegmentationGame(AdversarialGame):
    """A segmentor against a discriminator that judges pairs of image and label map.

    The discriminator sees [image (B, H, W, C), label map (B, H, W, M)], or the label map alone if it has one input: the truth
    as one-hot vectors or the segmentor's softmax, both in an encoding of `kseg.games.label_encodings`. Both are zero at the
    truth's void pixels, which would give the truth away. An id outside the classes counts as void.

    A segmentor whose logits are coarser by an integer factor, like the paper's, plays and is scored at its own resolution: the
    truth there is the id nearest to the centre of each square, and the discriminator's image is the mean over the square.

    Args:
        segmentor: model from `image` (B, H, W, C) to logits (B, H, W, K), or (B, ceil(H / s), ceil(W / s), K).
        discriminator: model from [image, label map], or from the label map, to logits (B, ..., 1).
        weight: factor of the adversarial loss; lambda in the paper.
        objective: one of "non_saturating", "minimax", "least_squares", "hinge"; the paper has the first two.
        formulation: "adversarial", the paper's; "embedding": the segmentor wants its map to have the features of the true map;
            "segan": so, with a critic that looks for the features in which both differ, and needs spectral normalisation;
            "gambler": the opponent sees image and prediction and bets on pixels that are wrong, so it gives a bet for each
            pixel that it sees, such as `kseg.discriminators.UNet`. See `kseg.games.formulations` for formulas and papers.
        encoding: of the label maps: "basic" or "scaling", with K channels, or "product", with C K.
        ignore_class: id of void pixels, or None where every pixel has a class.
        label_stride: side in pixels of the squares over which the discriminator's image and label maps are averaged. At full
            resolution it can cost more than the segmentor.
        teacher: a `kseg.Teacher` for images whose label map is void everywhere, which the discriminator does not learn from;
            None: such images teach nothing.
        apart: whether each half of a batch is normalised by batch statistics of its own, as in `kseg.SelfTraining`.
        **kwargs: of `AdversarialGame`: `label_smoothing`, `schedule`, and of `keras.Model`.

    Raises:
        ValueError: an argument is out of range, the segmentor gives probabilities, or the discriminator's inputs do not match its
            output.

    Example:
        >>> segmentor = kseg.UNet(2, filters=(4, 8))
        >>> discriminator = kseg.discriminators.LargeFOV(2, width=1 / 32)
        >>> game = kseg.SegmentationGame(segmentor, discriminator, weight=0.1)
        >>> game.compile("adam", "adam", loss=kseg.losses.CrossEntropy(), metrics=[kseg.metrics.ConfusionMatrix(2)])
        >>> images, label_maps = np.zeros((2, 32, 32, 3), np.float32), np.zeros((2, 32, 32), np.uint8)
        >>> history = game.fit(images, label_maps, batch_size=2, verbose=0)
        >>> game.segmentor.predict(images, verbose=0).shape
        (2, 32, 32, 2)

    Source: Luc et al. 2016, arXiv:1611.08408.
    """

    def __init__(
        self,
        segmentor,
        discriminator,
        weight=0.1,
        objective="non_saturating",
        formulation="adversarial",
        encoding="basic",
        ignore_class=VOID,
        label_stride=1,
        teacher=None,
        apart=False,
        **kwargs,
    ):
        check_segmentor(segmentor)
        super().__init__(
            segmentor, discriminator, weight=weight, objective=objective, formulation=formulation, **kwargs
        )
        if encoding not in ENCODINGS:
            raise ValueError(f"`encoding` must be one of {', '.join(ENCODINGS)}. Received: encoding={encoding!r}.")
        self._check_inputs(discriminator, encoding)
        if formulation == "gambler" and not _keeps_size(discriminator):
            raise ValueError(
                "`discriminator` must give a bet for each pixel that it sees, (B, H, W, 1), as a gambler. "
                f"Received: {discriminator.name}, whose output is coarser. Use kseg.discriminators.UNet."
            )
        check_integer("label_stride", label_stride)
        check_arguments(ignore_class=ignore_class)
        check_boolean("apart", apart)
        check_instance("teacher", teacher, Teacher)
        self.encoding, self.ignore_class, self.label_stride = encoding, ignore_class, int(label_stride)
        self.apart, self.teacher, self.teacher_network = apart, teacher, None
        if teacher is not None:
            check_void(ignore_class)
            self.teacher_network = teacher.copy_of(segmentor)
            self.game_metrics["confident_share"] = keras.metrics.Mean("confident_share")

    def _check_inputs(self, discriminator, encoding):
        """Refuses a discriminator that does not take the encoded label maps."""
        shapes = [tuple(tensor.shape) for tensor in discriminator.inputs]
        channels = self.segmentor.output_shape[-1] * (self.segmentor.input_shape[-1] if encoding == "product" else 1)
        image_channels = self.segmentor.input_shape[-1]
        if len(shapes) not in (1, 2) or shapes[-1][-1] != channels or (shapes[1:] and shapes[0][-1] != image_channels):
            raise ValueError(
                f"`discriminator` must take [image (B, H, W, {image_channels}), label map (B, H, W, {channels})], or the label "
                f"map alone, with as many channels as encoding={encoding!r} gives. Received: inputs of shape {shapes}."
            )

    @property
    def segmentor(self):
        """The player."""
        return self.player

    def compile(self, optimizer=None, discriminator_optimizer=None, loss=None, **kwargs):
        """As `AdversarialGame.compile`; refuses a loss of probabilities, too, and with a teacher one without a value an image."""
        check_loss(loss)
        if self.teacher is not None:
            check_loss_of_images(loss, self.segmentor.output_shape[-1])
        super().compile(optimizer, discriminator_optimizer, loss, **kwargs)

    def train_step(self, data):
        """One step on one batch, in the current phase. Called by `fit`."""
        return super().train_step(check_batch(data))

    def test_step(self, data):
        """Scores one batch. Called by `evaluate`."""
        return super().test_step(check_batch(data))

    def play(self, x, y):
        """Predicts, and prepares both label maps for the discriminator.

        Args:
            x: images (B, H, W, C) in [0, 255].
            y: ids (B, H, W) or (B, H, W, 1).

        Returns:
            Logits (B, H, W, K); [image, truth]; [image, prediction]. Truth and prediction alone if the discriminator has one
            input. Each map is float32 (B, h, w, ...) with h = ceil(H / label_stride), H of the logits.

        Raises:
            ValueError: the logits do not have the label maps' size, nor are they coarser by an integer factor.
        """
        logits = run_segmentor(self.segmentor, x, self.apart)
        return logits, *self.discriminator_inputs(x, y, logits)

    def discriminator_inputs(self, x, y, logits):
        """The discriminator's real and fake inputs, as `play` returns them."""
        y = match_output(y, logits)
        ids = ops.cast(ops.squeeze(y, axis=-1) if len(y.shape) == 4 else y, "int32")
        truth = ops.one_hot(ids, logits.shape[-1], dtype="float32")
        prediction = ops.softmax(ops.cast(logits, "float32"))
        valid = find_valid(ids, logits.shape[-1], self.ignore_class)
        truth = truth * ops.cast(valid, "float32")[..., None]
        prediction = prediction * ops.cast(self.visible_pixels(valid), "float32")[..., None]
        takes_image, image = len(self.discriminator.inputs) == 2, ops.cast(x, "float32")
        if takes_image or self.encoding == "product":
            image = average_squares(image, find_factor(image, logits))
        encoded = ENCODINGS[self.encoding](truth, prediction, image)
        truth, prediction = (average_squares(maps, self.label_stride) for maps in encoded)
        if not takes_image:
            return truth, prediction
        image = average_squares(image, self.label_stride)
        return [image, truth], [image, prediction]

    def prepare(self, x, y, sample_weight):
        """What a step learns from: with a teacher its labels of images without a label map, in another view of them."""
        if self.teacher is None:
            return x, y, sample_weight
        seen = self.teacher.look(self.teacher_network, x, y, self.step, self.ignore_class)
        self._step_state.unlabelled = seen.unlabelled
        self.game_metrics["confident_share"].update_state(seen.confident, sample_weight=seen.unlabelled)
        return seen.images, seen.ids, weigh(seen, sample_weight)

    def finish_step(self):
        """Lets the teacher follow the segmentor."""
        if self.teacher is not None:
            self._step_state.unlabelled = None
            self.teacher.follow(self.teacher_network, self.segmentor, self.step)

    def image_weights(self, x, y):
        """With a teacher, images without a label map have weight 0."""
        if self.teacher is None:
            return 1.0, 1.0
        labelled = ops.cast(self.is_labelled(y), "float32")
        return labelled, labelled

    def is_labelled(self, y):
        """Whether any pixel of an image has a class: (B,), bool."""
        ids = ops.cast(ops.reshape(y, (ops.shape(y)[0], -1)), "int32")
        return ops.any(find_valid(ids, self.segmentor.output_shape[-1], self.ignore_class), axis=1)

    def visible_pixels(self, valid):
        """Pixels of the prediction that the discriminator sees, (B, H, W) bool; `valid` are those of a class."""
        return valid

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The task's loss, at the output's resolution."""
        return super().compute_loss(x, match_output(y, y_pred), y_pred, sample_weight, training=training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The logs, with scores at the output's resolution."""
        return super().compute_metrics(x, match_output(y, y_pred), y_pred, sample_weight)

    def get_config(self):
        """Arguments of the constructor."""
        return {
            "segmentor": keras.saving.serialize_keras_object(self.segmentor),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "weight": self.weight,
            "objective": self.objective,
            "formulation": self.formulation,
            "label_smoothing": self.label_smoothing,
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "encoding": self.encoding,
            "ignore_class": self.ignore_class,
            "label_stride": self.label_stride,
            "teacher": keras.saving.serialize_keras_object(self.teacher),
            "apart": self.apart,
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        keys = [key for key in ("segmentor", "discriminator", "schedule", "teacher") if key in config]
        return cls(**config | {key: keras.saving.deserialize_keras_object(config[key]) for key in keys})


def _keeps_size(network) -> bool:
    """Whether its output has the height and width of its inputs."""
    inputs = [keras.KerasTensor((1, *(side or 64 for side in one.shape[1:3]), one.shape[-1])) for one in network.inputs]
    output = network.compute_output_spec(inputs if len(inputs) > 1 else inputs[0])
    return len(output.shape) == 4 and output.shape[1:3] == inputs[-1].shape[1:3]
