"""What all losses share: void pixels masked, class weights checked, and the arithmetic of losses."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from kseg._backend import known_values
from kseg._checks import check_arguments
from kseg.array_checks import check_ids, check_label_size
from kseg.labels import VOID


class SegmentationLoss(keras.losses.Loss):
    """A loss (B,) of ids and logits; sums and multiples of such losses are losses too. Abstract: subclasses add `call`.

    Args:
        ignore_class: id of void pixels, or None where every pixel has a class.
        class_weights: K factors, each at least 0; None: all 1.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: `ignore_class` is no integer, or a weight is negative or not finite.
    """

    def __init__(self, ignore_class=VOID, class_weights=None, reduction="sum_over_batch_size", name=None):
        super().__init__(name=name, reduction=reduction)
        check_arguments(ignore_class=ignore_class)
        self.ignore_class = ignore_class
        self.class_weights = check_class_weights(class_weights)

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The reduced loss.

        Args:
            y_true: ids (B, H, W) or (B, H, W, 1).
            y_pred: logits (B, H, W, K).
            sample_weight: of images, (B,) or (B, 1); None: all 1.

        Raises:
            ValueError: ranks or sizes do not match, a known id is neither a class nor void, the network
                gives probabilities, or weights are of pixels or of another number of images.
        """
        weights = None if sample_weight is None else find_image_weights(sample_weight, y_pred.shape[0])
        return super().__call__(y_true, y_pred, sample_weight=weights)

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
    """sum_j weights[j] * losses[j], per image; made by `+` and `*`.

    Args:
        losses: losses of this package.
        weights: one factor per loss.
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
    """The losses that `loss` is the sum of, and their factors."""
    return (loss.losses, loss.weights) if isinstance(loss, WeightedSum) else ([loss], [1.0])


def mask_void(y_true, y_pred, ignore_class):
    """Splits off the void pixels; the start of every loss.

    An id that is neither a class nor void is refused where values are known: in numpy arrays and eager tensors. In a graph its
    pixel counts as void.

    Args:
        y_true: ids (B, H, W) or (B, H, W, 1), of any dtype.
        y_pred: logits (B, H, W, K).
        ignore_class: id of void, or None.

    Returns:
        ids int32 (B, H, W), 0 at void; valid float32 (B, H, W), 1 where a pixel has a class, else 0; logits float32
        (B, H, W, K), 0 at void, where not even an infinite one may count.

    Raises:
        ValueError: ranks or sizes do not match, a known id is neither a class nor void, or `y_pred` comes from a softmax.
    """
    if hasattr(y_pred, "_keras_logits"):  # Keras's mark
        raise ValueError(
            "`y_pred` must be logits (B, H, W, K). Received: the output of a softmax. Build the network with activation=None."
        )
    check_label_size(y_true.shape, y_pred.shape)
    if len(y_true.shape) == 4:
        y_true = ops.squeeze(y_true, axis=-1)
    num_classes = y_pred.shape[-1]
    known = known_values(y_true)
    if known is not None:
        check_ids(known, num_classes, ignore_class, "y_true")
    ids, logits = ops.cast(y_true, "int32"), ops.cast(y_pred, "float32")
    has_class = find_valid(ids, num_classes, ignore_class)
    logits = ops.where(has_class[..., None], logits, 0.0)
    return ops.where(has_class, ids, 0), ops.cast(has_class, "float32"), logits


def find_image_weights(sample_weight, images: int | None = None):
    """Weights of images, (B,) or (B, 1), as (B,); of all alike, (), as they are.

    Args:
        sample_weight: the weights.
        images: B; None: it is not known.

    Raises:
        ValueError: there is more than one for an image, or not one for each.
    """
    weights = ops.convert_to_tensor(sample_weight)
    if getattr(weights.shape, "rank", 0) is None or len(weights.shape) == 0:  # TensorFlow may not know the rank
        return weights
    fits = None in (images, weights.shape[0]) or weights.shape[0] in (1, images)
    if not fits or any(side not in (1, None) for side in weights.shape[1:]):
        raise ValueError(
            "`sample_weight` must hold one number for each image, (B,). "
            f"Received: sample_weight.shape={tuple(weights.shape)}{f' for {images} images' if images else ''}. "
            "Make pixels that must not count void, or weigh classes by `class_weights` of the loss."
        )
    return ops.reshape(weights, (-1,))


def find_valid(ids, num_classes, ignore_class):
    """Where integer `ids` name a class that counts: bool, of their shape. In a graph, ids outside the classes are void."""
    valid = ops.logical_and(ids >= 0, ids < num_classes)
    return valid if ignore_class is None else ops.logical_and(valid, ops.not_equal(ids, ignore_class))


def check_class_weights(class_weights) -> list[float] | None:
    """`class_weights` as plain numbers, which serialise.

    Raises:
        ValueError: they are no list of numbers, or one is negative or not finite.
    """
    if class_weights is None:
        return None
    try:
        weights = np.asarray(class_weights, np.float64)
    except (TypeError, ValueError):  # such as a dictionary
        weights = np.empty(())
    if weights.ndim != 1 or not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError(
            "`class_weights` must be a list of numbers of at least 0, one for each class. "
            f"Received: class_weights={class_weights!r}."
        )
    return weights.tolist()


def weight_vector(logits, class_weights):
    """The class weights as a float32 tensor (K,); all 1 if None.

    Raises:
        ValueError: there is not one weight per class of the logits.
    """
    if class_weights is None:
        return ops.ones((logits.shape[-1],), dtype="float32")
    if len(class_weights) != logits.shape[-1]:
        raise ValueError(
            f"`class_weights` must hold one weight for each of the {logits.shape[-1]} classes of the logits. "
            f"Received: {len(class_weights)} weights."
        )
    return ops.convert_to_tensor(class_weights, dtype="float32")
