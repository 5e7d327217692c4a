"""What every loss of this package is made of: void pixels taken out, class weights checked, and the arithmetic of losses."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops


class SegmentationLoss(keras.losses.Loss):
    """A loss (B,) of ids and logits; sums and multiples of such losses are losses again. Abstract: subclasses add `call`.

    Args:
        ignore_class: id of void pixels (255 in kseg's prepared data sets), or None where every pixel has a class.
        class_weights: K factors, each at least 0; None: all 1.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: a weight is negative or no number.
    """

    def __init__(self, ignore_class=None, class_weights=None, reduction="sum_over_batch_size", name=None):
        super().__init__(name=name, reduction=reduction)
        self.ignore_class = ignore_class
        self.class_weights = checked_weights(class_weights)

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

    def get_config(self):
        return super().get_config() | {"ignore_class": self.ignore_class, "class_weights": self.class_weights}


@keras.saving.register_keras_serializable(package="kseg")
class WeightedSum(SegmentationLoss):
    """sum_j weights[j] * losses[j], image by image; made by `+` and `*`.

    Args:
        losses: losses of this package.
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
        return {"losses": losses, "weights": self.weights, "reduction": self.reduction, "name": self.name}

    @classmethod
    def from_config(cls, config):
        losses = [keras.saving.deserialize_keras_object(loss) for loss in config["losses"]]
        return cls(**config | {"losses": losses})


def _terms(loss: SegmentationLoss) -> tuple[list, list]:
    """The losses and factors that `loss` is the sum of."""
    return (loss.losses, loss.weights) if isinstance(loss, WeightedSum) else ([loss], [1.0])


def pixels(y_true, y_pred, ignore_class):
    """Prepares what every loss needs.

    Args:
        y_true: ids (B, H, W) or (B, H, W, 1), of any dtype.
        y_pred: logits (B, H, W, K).
        ignore_class: id of void, or None.

    Returns:
        ids int32 (B, H, W), 0 where there is no class; valid float32 (B, H, W), 1 at pixels of a class, 0 at void and NaN at
        ids that are neither; logits float32 (B, H, W, K), 0 at void, so that not even an infinite one gets through.

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
        logits = ops.where(is_void[..., None], 0.0, logits)
    return ops.where(is_class, ids, 0), ops.cast(valid, "float32"), logits


def checked_weights(class_weights) -> list[float] | None:
    """`class_weights` as plain numbers, which serialise."""
    if class_weights is None:
        return None
    weights = [float(weight) for weight in class_weights]
    if not all(np.isfinite(weight) and weight >= 0 for weight in weights):
        raise ValueError(f"`class_weights` must be numbers of at least 0. Received: class_weights={weights}.")
    return weights


def weights_for(logits, class_weights):
    """The weights as a tensor (K,), float32; all 1 where there are none.

    Raises:
        ValueError: there is not one for each class of the logits.
    """
    if class_weights is None:
        return ops.ones((logits.shape[-1],), dtype="float32")
    if len(class_weights) != logits.shape[-1]:
        raise ValueError(
            f"`class_weights` must hold one weight for each of the {logits.shape[-1]} classes of the logits. "
            f"Received: {len(class_weights)} weights."
        )
    return ops.convert_to_tensor(class_weights, dtype="float32")
