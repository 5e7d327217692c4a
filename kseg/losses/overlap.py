"""Losses that judge each class's whole region by its overlap with the truth: Dice, Jaccard and Tversky.

A class that an image does not show has no overlap to win, so it does not enter that image's mean; probability given to it is
lost to the others anyway. Hence a perfect label map has loss 0.
"""

from __future__ import annotations

import keras
from keras import ops

from kseg.losses.segmentation_loss import SegmentationLoss, pixels, weights_for


@keras.saving.register_keras_serializable(package="kseg")
class Dice(SegmentationLoss):
    """One minus the soft Dice coefficient, averaged over the classes that are present in each image.

    With p the softmax and t the one-hot truth at valid pixels, dice_c = 2 sum p_c t_c / (sum p_c + sum t_c), and the loss is
    the mean of 1 - dice_c over present classes. `generalized` instead forms one quotient of all present classes, each weighted
    by its inverse squared size: 1 - 2 sum_c v_c sum p_c t_c / sum_c v_c (sum p_c + sum t_c), v_c = (sum t_c)^-2.

    Args:
        ignore_class: id of void pixels, or None.
        class_weights: K factors, each at least 0: of the mean over classes, or of v_c; None: all 1.
        generalized: one quotient of all classes instead of a mean over them.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: a weight is negative or no number.

    Example:
        >>> loss = Dice(ignore_class=255)
        >>> float(loss(np.array([[[0, 0, 255]]]), np.zeros((1, 1, 3, 2), "float32")))  # 1 - 2 * 1 / (1 + 2)
        0.3333333134651184

    Source: Milletari et al. 2016, arXiv:1606.04797, section 3, without the squares of the denominator; `generalized`: Sudre
        et al. 2017, arXiv:1707.03237, section 2.
    """

    def __init__(
        self,
        ignore_class=None,
        class_weights=None,
        generalized=False,
        reduction="sum_over_batch_size",
        name="dice",
    ):
        super().__init__(ignore_class, class_weights, reduction, name)
        self.generalized = generalized

    def call(self, y_true, y_pred):
        """Ids (B, H, W), logits (B, H, W, K) -> float32 (B,)."""
        overlap, predicted, occurring, weights = _regions(self, y_true, y_pred)
        if not self.generalized:
            return _mean_loss(_tversky(overlap, predicted, occurring, 0.5, 0.5), weights)
        weights = weights / ops.maximum(occurring, 1.0) ** 2
        whole = ops.sum(weights * (predicted + occurring), axis=-1)
        missed = ops.sum(weights * (predicted + occurring - 2 * overlap), axis=-1)
        return missed / ops.where(whole > 0, whole, 1.0)

    def get_config(self):
        return super().get_config() | {"generalized": self.generalized}


@keras.saving.register_keras_serializable(package="kseg")
class Jaccard(SegmentationLoss):
    """One minus the soft intersection over union, averaged over the classes that are present in each image.

    With p the softmax and t the one-hot truth at valid pixels, jaccard_c = sum p_c t_c / (sum p_c + sum t_c - sum p_c t_c). Where
    p is 0 or 1 it is the IoU that metrics count.

    Args:
        ignore_class: id of void pixels, or None.
        class_weights: K factors of the mean over classes, each at least 0; None: all 1.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: a weight is negative or no number.

    Example:
        >>> loss = Jaccard(ignore_class=255)
        >>> float(loss(np.array([[[0, 0, 255]]]), np.zeros((1, 1, 3, 2), "float32")))  # 1 - 1 / (1 + 2 - 1)
        0.5

    Source: Rahman and Wang 2016, Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation.
    """

    def __init__(self, ignore_class=None, class_weights=None, reduction="sum_over_batch_size", name="jaccard"):
        super().__init__(ignore_class, class_weights, reduction, name)

    def call(self, y_true, y_pred):
        """Ids (B, H, W), logits (B, H, W, K) -> float32 (B,)."""
        overlap, predicted, occurring, weights = _regions(self, y_true, y_pred)
        return _mean_loss(_tversky(overlap, predicted, occurring, 1.0, 1.0), weights)


@keras.saving.register_keras_serializable(package="kseg")
class Tversky(SegmentationLoss):
    """One minus the Tversky index, averaged over the classes that are present in each image.

    With p the softmax and t the one-hot truth at valid pixels, tversky_c = o / (o + alpha (sum p_c - o) + beta (sum t_c - o)),
    o = sum p_c t_c: alpha is the price of pixels wrongly given to the class, beta that of pixels missed. (1/2, 1/2) is `Dice`,
    (1, 1) is `Jaccard`; beta above alpha favours recall.

    Args:
        ignore_class: id of void pixels, or None.
        class_weights: K factors of the mean over classes, each at least 0; None: all 1.
        alpha: price of false positives, at least 0.
        beta: price of false negatives, above 0. The defaults are those with which the paper scored best.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: a weight is negative or no number, `alpha` is negative, or `beta` is not above 0.

    Example:
        >>> loss = Tversky(ignore_class=255)
        >>> float(loss(np.array([[[0, 0, 255]]]), np.zeros((1, 1, 3, 2), "float32")))  # 1 - 1 / (1 + 0.7)
        0.4117647409439087

    Source: Salehi et al. 2017, arXiv:1706.05721, equations 3 and 4.
    """

    def __init__(
        self,
        ignore_class=None,
        class_weights=None,
        alpha=0.3,
        beta=0.7,
        reduction="sum_over_batch_size",
        name="tversky",
    ):
        super().__init__(ignore_class, class_weights, reduction, name)
        if not (alpha >= 0 and beta > 0):
            raise ValueError(
                f"`alpha` must be at least 0 and `beta` above 0. Received: alpha={alpha}, beta={beta}. "
                "Without a price for what it misses, a class would shrink to its surest pixel."
            )
        self.alpha, self.beta = alpha, beta

    def call(self, y_true, y_pred):
        """Ids (B, H, W), logits (B, H, W, K) -> float32 (B,)."""
        overlap, predicted, occurring, weights = _regions(self, y_true, y_pred)
        return _mean_loss(_tversky(overlap, predicted, occurring, self.alpha, self.beta), weights)

    def get_config(self):
        return super().get_config() | {"alpha": self.alpha, "beta": self.beta}


def _regions(loss: SegmentationLoss, y_true, y_pred):
    """Sizes of each class's regions, float32 (B, K) each, over the valid pixels.

    Returns:
        overlap sum p t, predicted sum p, occurring sum t, and the weight of each class in the image: 0 where it is absent.
    """
    ids, valid, logits = pixels(y_true, y_pred, loss.ignore_class)
    truth = ops.one_hot(ids, logits.shape[-1], dtype="float32") * valid[..., None]
    probabilities = ops.softmax(logits) * valid[..., None]
    overlap, predicted, occurring = (ops.sum(x, axis=(1, 2)) for x in (probabilities * truth, probabilities, truth))
    weights = weights_for(logits, loss.class_weights) * ops.cast(occurring > 0, "float32")
    return overlap, predicted, occurring, weights


def _tversky(overlap, predicted, occurring, alpha, beta):
    """Tversky index (B, K); any number where a class is absent."""
    whole = overlap + alpha * (predicted - overlap) + beta * (occurring - overlap)
    return overlap / ops.where(occurring > 0, whole, 1.0)


def _mean_loss(index, weights):
    """Weighted mean (B,) of 1 - index over the classes; 0 where no class has a weight."""
    return ops.sum(weights * (1 - index), axis=-1) / ops.maximum(ops.sum(weights, axis=-1), 1e-7)
