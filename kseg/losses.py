"""Losses of dense label maps: cross-entropy and Dice, added and scaled as `CrossEntropy() + 0.5 * Dice()`.

Each takes integer ids (B, H, W) and logits (B, H, W, K) and gives one value for each image, (B,): a mean over the image's own
valid pixels, and 0 where all are void. Images then count alike, and neither the batch size nor the number of replicas changes
what a step does. Void pixels reach neither value nor gradient; ids that are no class make the image's loss NaN rather than
vanish. Sums are float32 under every precision. `keras` and `keras.ops` only, so they run on each of Keras's backends.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops


class SegmentationLoss(keras.losses.Loss):
    """What the losses of this module share: sums and multiples of them are losses again. Abstract."""

    def __add__(self, other):
        if not isinstance(other, SegmentationLoss):
            return NotImplemented
        mine, theirs = _terms(self), _terms(other)
        return WeightedSum([*mine[0], *theirs[0]], [*mine[1], *theirs[1]], reduction=self.reduction)

    def __mul__(self, factor):
        if not isinstance(factor, (int, float)):
            return NotImplemented
        losses, weights = _terms(self)
        return WeightedSum(losses, [factor * weight for weight in weights], reduction=self.reduction)

    __rmul__ = __mul__


@keras.saving.register_keras_serializable(package="kseg")
class CrossEntropy(SegmentationLoss):
    """Cross-entropy of each pixel's softmax, averaged over each image's valid pixels.

    With n valid pixels i of class y_i, loss = (1/n) sum_i w[y_i] * -log softmax(logits_i)[y_i]. Division by n, not by the sum
    of the weights, lets a weight mean the same in every image: an image that shows nothing but a rare class keeps that class's
    weight. Weights whose mean over all pixels is 1 leave the size of the loss as it was.

    Args:
        ignore_class: id of void pixels (255 in kseg's prepared data sets), or None where every pixel has a class.
        class_weights: K factors, each at least 0; None: all 1.
        label_smoothing: share of the target, in [0, 1), that is spread evenly over the K classes.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: a weight is negative or no number, or `label_smoothing` lies outside [0, 1).

    Example:
        >>> loss = CrossEntropy(ignore_class=255)
        >>> float(loss(np.array([[[0, 255]]]), np.zeros((1, 1, 2, 4), "float32")))  # log 4
        1.3862943649291992
    """

    def __init__(
        self,
        ignore_class=None,
        class_weights=None,
        label_smoothing=0.0,
        reduction="sum_over_batch_size",
        name="cross_entropy",
    ):
        super().__init__(name=name, reduction=reduction)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"`label_smoothing` must lie in [0, 1). Received: label_smoothing={label_smoothing}.")
        self.ignore_class = ignore_class
        self.class_weights = _checked_weights(class_weights)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        """Ids (B, H, W), logits (B, H, W, K) -> float32 (B,)."""
        ids, valid, logits = _pixels(y_true, y_pred, self.ignore_class)
        pixels = ops.sparse_categorical_crossentropy(ids, logits, from_logits=True)
        if self.label_smoothing:
            even = ops.logsumexp(logits, axis=-1) - ops.mean(logits, axis=-1)
            pixels = (1 - self.label_smoothing) * pixels + self.label_smoothing * even
        if self.class_weights is not None:
            pixels = pixels * ops.take(_weights_for(logits, self.class_weights), ids)
        return ops.sum(pixels * valid, axis=(1, 2)) / ops.maximum(ops.sum(valid, axis=(1, 2)), 1.0)

    def get_config(self):
        own = ("ignore_class", "class_weights", "label_smoothing")
        return super().get_config() | {key: getattr(self, key) for key in own}


@keras.saving.register_keras_serializable(package="kseg")
class Dice(SegmentationLoss):
    """One minus the soft Dice coefficient, averaged over the classes that are present in each image.

    With p the softmax and t the one-hot truth at valid pixels, dice_c = 2 sum p_c t_c / (sum p_c + sum t_c). A class that an
    image does not show has no overlap to win, so it does not enter; probability given to it is lost to the others anyway. Hence
    no smoothing constant is needed.

    Args:
        ignore_class: id of void pixels (255 in kseg's prepared data sets), or None where every pixel has a class.
        class_weights: K factors of the average over classes, each at least 0; None: all 1.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: a weight is negative or no number.

    Source: Milletari et al. 2016, arXiv:1606.04797, section 3, without the squares of the denominator.
    """

    def __init__(self, ignore_class=None, class_weights=None, reduction="sum_over_batch_size", name="dice"):
        super().__init__(name=name, reduction=reduction)
        self.ignore_class = ignore_class
        self.class_weights = _checked_weights(class_weights)

    def call(self, y_true, y_pred):
        """Ids (B, H, W), logits (B, H, W, K) -> float32 (B,)."""
        ids, valid, logits = _pixels(y_true, y_pred, self.ignore_class)
        truth = ops.one_hot(ids, logits.shape[-1], dtype="float32") * valid[..., None]
        overlap = ops.sum(ops.softmax(logits) * truth, axis=(1, 2))
        predicted = ops.sum(ops.softmax(logits) * valid[..., None], axis=(1, 2))
        occurring = ops.sum(truth, axis=(1, 2))
        present = occurring > 0
        dice = 2 * overlap / ops.where(present, predicted + occurring, 1.0)
        weights = ops.cast(present, "float32")
        if self.class_weights is not None:
            weights = weights * _weights_for(logits, self.class_weights)
        return ops.sum(weights * (1 - dice), axis=-1) / ops.maximum(ops.sum(weights, axis=-1), 1e-7)

    def get_config(self):
        return super().get_config() | {"ignore_class": self.ignore_class, "class_weights": self.class_weights}


@keras.saving.register_keras_serializable(package="kseg")
class WeightedSum(SegmentationLoss):
    """sum_j weights[j] * losses[j], image by image; made by `+` and `*`.

    Args:
        losses: losses of this module.
        weights: a factor for each.
        reduction: Keras's; over the (B,) values.
        name: of the loss.
    """

    def __init__(self, losses, weights, reduction="sum_over_batch_size", name="weighted_sum"):
        super().__init__(name=name, reduction=reduction)
        self.losses, self.weights = list(losses), list(weights)

    def call(self, y_true, y_pred):
        """Ids (B, H, W), logits (B, H, W, K) -> float32 (B,)."""
        terms = zip(self.losses, self.weights, strict=True)
        return sum(weight * loss.call(y_true, y_pred) for loss, weight in terms)

    def get_config(self):
        losses = [keras.saving.serialize_keras_object(loss) for loss in self.losses]
        return super().get_config() | {"losses": losses, "weights": self.weights}

    @classmethod
    def from_config(cls, config):
        losses = [keras.saving.deserialize_keras_object(loss) for loss in config["losses"]]
        return cls(**config | {"losses": losses})


def _terms(loss: SegmentationLoss) -> tuple[list, list]:
    """The losses and factors that `loss` is the sum of."""
    return (loss.losses, loss.weights) if isinstance(loss, WeightedSum) else ([loss], [1.0])


def _pixels(y_true, y_pred, ignore_class):
    """Prepares what every loss needs.

    Args:
        y_true: ids (B, H, W) or (B, H, W, 1), of any dtype.
        y_pred: logits (B, H, W, K).
        ignore_class: id of void, or None.

    Returns:
        ids int32 (B, H, W), 0 where there is no class; valid float32 (B, H, W), 1 at pixels of a class, 0 at void and NaN at
        ids that are neither; logits float32 (B, H, W, K).

    Raises:
        ValueError: the shapes do not belong together.
    """
    shapes = tuple(y_true.shape), tuple(y_pred.shape)
    if len(y_true.shape) == 4 and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, axis=-1)
    sizes = zip(y_true.shape, y_pred.shape[:-1], strict=False)
    if len(y_true.shape) != 3 or len(y_pred.shape) != 4 or any(None not in pair and len({*pair}) > 1 for pair in sizes):
        raise ValueError(
            "`y_true` must hold ids (B, H, W) and `y_pred` logits (B, H, W, K) of the same height and width. "
            f"Received: y_true.shape={shapes[0]}, y_pred.shape={shapes[1]}."
        )
    ids, logits = ops.cast(y_true, "int32"), ops.cast(y_pred, "float32")
    is_class = ops.logical_and(ids >= 0, ids < logits.shape[-1])
    valid = ops.where(is_class, 1.0, np.nan)
    if ignore_class is not None:
        is_void = ops.equal(ids, ignore_class)
        is_class = ops.logical_and(is_class, ops.logical_not(is_void))
        valid = ops.where(is_void, 0.0, valid)
    return ops.where(is_class, ids, 0), ops.cast(valid, "float32"), logits


def _checked_weights(class_weights) -> list[float] | None:
    """`class_weights` as plain numbers, which serialise."""
    if class_weights is None:
        return None
    weights = [float(weight) for weight in class_weights]
    if not all(np.isfinite(weight) and weight >= 0 for weight in weights):
        raise ValueError(f"`class_weights` must be numbers of at least 0. Received: class_weights={weights}.")
    return weights


def _weights_for(logits, class_weights):
    """The weights as a tensor (K,), float32."""
    if len(class_weights) != logits.shape[-1]:
        raise ValueError(
            f"`class_weights` must hold one weight for each of the {logits.shape[-1]} classes of the logits. "
            f"Received: {len(class_weights)} weights."
        )
    return ops.convert_to_tensor(class_weights, dtype="float32")
