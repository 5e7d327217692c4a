"""The game of segmentation: is this the label map of this image, or one that the segmentor made?

Refused: networks that do not fit each other. TensorFlow, because the game's step is.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from kseg.games.adversarial import AdversarialGame
from kseg.games.label_encodings import ENCODINGS
from kseg.labels import VOID


@keras.saving.register_keras_serializable(package="kseg")
class SegmentationGame(AdversarialGame):
    """A segmentor against a discriminator that judges pairs of image and label map.

    The discriminator is shown [image (B, H, W, C), label map (B, H, W, M)], or the label map alone if it has one input: the truth
    as one-hot vectors or the segmentor's softmax, both in an encoding of `kseg.games.label_encodings`. Both are zero at the
    truth's void pixels, or it would tell them apart by these.

    A segmentor whose logits are coarser by a whole factor, as the paper's is, learns from the truth brought to its resolution, in
    the task and in the game, and is scored there: the id nearest to the middle of each square. The discriminator's image is
    averaged over the squares.

    Args:
        segmentor: model from `image` (B, H, W, C) to logits (B, H, W, K), or (B, ceil(H / s), ceil(W / s), K).
        discriminator: model from [image, label map], or from the label map, to logits (B, ..., 1).
        weight: factor of the adversarial loss; lambda in the paper.
        objective: "non_saturating" or "minimax", as in the paper, "least_squares" or "hinge".
        encoding: of the label maps, "basic" or "scaling", of K channels, or "product", of C K.
        ignore_class: id of void in the label maps, or None.
        label_stride: the discriminator is shown image and label maps averaged over squares of this side, in pixels. At full
            resolution it can cost more than the segmentor.
        **kwargs: of `AdversarialGame`: `label_smoothing`, `schedule`, and of `keras.Model`.

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
            Logits (B, H, W, K); [image, truth] and [image, prediction], each (B, h, w, .) float32 with h = ceil(H /
            label_stride) of the logits' H, or truth and prediction alone where the discriminator has one input.

        Raises:
            ValueError: the logits are neither of the label maps' size nor coarser by a whole factor.
        """
        logits = self.segmentor(x, training=True)
        return logits, *self.shown(x, y, logits)

    def shown(self, x, y, logits):
        """What the discriminator is shown: as real, and as fake. As `play` returns them."""
        y = _at_output(y, logits)
        ids = ops.cast(ops.squeeze(y, axis=-1) if len(y.shape) == 4 else y, "int32")
        truth = ops.one_hot(ids, logits.shape[-1], dtype="float32")
        prediction = ops.softmax(ops.cast(logits, "float32"))
        if self.ignore_class is not None:
            truth = truth * ops.cast(ops.not_equal(ids, self.ignore_class), "float32")[..., None]
            prediction = prediction * ops.cast(self.judged_pixels(ids), "float32")[..., None]
        seen, image = len(self.discriminator.inputs) == 2, ops.cast(x, "float32")
        if seen or self.encoding == "product":
            image = _averaged(image, _factor(image, logits))
        truth, prediction = (self._coarse(maps) for maps in ENCODINGS[self.encoding](truth, prediction, image))
        if not seen:
            return truth, prediction
        image = self._coarse(image)
        return [image, truth], [image, prediction]

    def judged_pixels(self, ids):
        """Pixels (B, H, W), bool, of the prediction that the discriminator sees."""
        return ops.not_equal(ids, self.ignore_class)

    def _coarse(self, maps):
        return _averaged(maps, self.label_stride)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The task's loss, at the resolution of the output."""
        return super().compute_loss(x, _at_output(y, y_pred), y_pred, sample_weight, training=training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The logs, with scores at the resolution of the output."""
        return super().compute_metrics(x, _at_output(y, y_pred), y_pred, sample_weight)

    def get_config(self):
        """Arguments of the constructor."""
        return {
            "segmentor": keras.saving.serialize_keras_object(self.segmentor),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "weight": self.weight,
            "objective": self.objective,
            "label_smoothing": self.label_smoothing,
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "encoding": self.encoding,
            "ignore_class": self.ignore_class,
            "label_stride": self.label_stride,
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        keys = ("segmentor", "discriminator", "schedule")
        return cls(**config | {key: keras.saving.deserialize_keras_object(config[key]) for key in keys})


def _factor(maps, logits) -> int:
    """By how much the logits are coarser than maps (B, H, W, ...); 1 where sizes are not known."""
    sides = list(zip(maps.shape[1:3], logits.shape[1:3], strict=True))
    if any(None in pair for pair in sides):
        return 1
    for factor in range(1, max(fine for fine, _ in sides) + 1):
        if all(-(-fine // factor) == coarse for fine, coarse in sides):
            return factor
    raise ValueError(
        "The segmentor's logits must have the label maps' height and width, or be coarser by a whole factor. "
        f"Received: logits of shape {tuple(logits.shape)}, maps of shape {tuple(maps.shape)}."
    )


def _at_output(y, logits):
    """Ids (B, H, W) or (B, H, W, 1) at the logits' resolution: of each square the one next to its middle."""
    factor = _factor(y, logits)
    if factor == 1:
        return y
    rows, columns = (
        np.clip(np.arange(coarse) * factor + (factor - 1) // 2 - begins(fine, factor), 0, fine - 1)
        for fine, coarse in zip(y.shape[1:3], logits.shape[1:3], strict=True)
    )
    return ops.take(ops.take(y, rows, axis=1), columns, axis=2)


def begins(size, stride: int):
    """How many pixels before the edge the first square begins: what is missing for whole ones is missing on both sides."""
    return -size % stride // 2


def _averaged(maps, stride: int):
    """Means over squares of `stride` pixels; the outer ones are smaller where H or W is no multiple."""
    if stride == 1:
        return maps
    return ops.average_pool(maps, stride, strides=stride, padding="same")
