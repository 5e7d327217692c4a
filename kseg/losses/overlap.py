"""Region losses: the overlap of each class with its truth, as Dice, Jaccard or Tversky index.

A class absent from an image does not enter that image's mean; probability assigned to it is lost to the present classes anyway.
So a perfect label map has loss 0. `keras` and `keras.ops` only.
"""

from __future__ import annotations

import keras
from keras import ops

from kseg._checks import check_number
from kseg.labels import VOID
from kseg.losses.segmentation_loss import SegmentationLoss, mask_void, weight_vector


@keras.saving.register_keras_serializable(package="kseg")
class Dice(SegmentationLoss):
    """One minus the soft Dice coefficient, averaged over the classes present in each image.

    With p the softmax and t the one-hot truth at valid pixels, dice_c = 2 sum p_c t_c / (sum p_c + sum t_c), and the loss is
    the mean of 1 - dice_c over present classes. `generalized` forms one quotient of all present classes instead, each weighted
    by its inverse squared size: 1 - 2 sum_c v_c sum p_c t_c / sum_c v_c (sum p_c + sum t_c), v_c = (sum t_c)^-2.

    Args:
        ignore_class: id of void pixels, or None where every pixel has a class.
        class_weights: K factors, each at least 0: of the mean over classes, or of v_c; None: all 1.
        generalized: one quotient of all classes instead of a mean over them.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: a weight is negative or not finite.

    Example:
        >>> loss = Dice()
        >>> float(loss(np.array([[[0, 0, 255]]]), np.zeros((1, 1, 3, 2), "float32")))  # 1 - 2 * 1 / (1 + 2)
        0.3333333134651184

    Source: Milletari et al. 2016, arXiv:1606.04797, section 3, without the squares of the denominator; `generalized`: Sudre
        et al. 2017, arXiv:1707.03237, section 2.
    """

    def __init__(
        self,
        ignore_class=VOID,
        class_weights=None,
        generalized=False,
        reduction="sum_over_batch_size",
        name="dice",
    ):
        super().__init__(ignore_class, class_weights, reduction, name)
        self.generalized = generalized

    def call(self, y_true, y_pred):
        """Ids (B, H, W), logits (B, H, W, K) -> float32 (B,)."""
        overlap, predicted, actual, weights = _measure_regions(self, y_true, y_pred)
        if not self.generalized:
            return _mean_loss(_tversky(overlap, predicted, actual, 0.5, 0.5), weights)
        weights = weights / ops.maximum(actual, 1.0) ** 2
        total = ops.sum(weights * (predicted + actual), axis=-1)
        missing = ops.sum(weights * (predicted + actual - 2 * overlap), axis=-1)
        return missing / ops.where(total > 0, total, 1.0)

    def get_config(self):
        return super().get_config() | {"generalized": self.generalized}


@keras.saving.register_keras_serializable(package="kseg")
class Jaccard(SegmentationLoss):
    """One minus the soft intersection over union, averaged over the classes present in each image.

    With p the softmax and t the one-hot truth at valid pixels, jaccard_c = sum p_c t_c / (sum p_c + sum t_c - sum p_c t_c).
    Where p is 0 or 1 this is the IoU.

    Args:
        ignore_class: id of void pixels, or None where every pixel has a class.
        class_weights: K factors of the mean over classes, each at least 0; None: all 1.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: a weight is negative or not finite.

    Example:
        >>> loss = Jaccard()
        >>> float(loss(np.array([[[0, 0, 255]]]), np.zeros((1, 1, 3, 2), "float32")))  # 1 - 1 / (1 + 2 - 1)
        0.5

    Source: Rahman and Wang 2016, Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation.
    """

    def __init__(self, ignore_class=VOID, class_weights=None, reduction="sum_over_batch_size", name="jaccard"):
        super().__init__(ignore_class, class_weights, reduction, name)

    def call(self, y_true, y_pred):
        """Ids (B, H, W), logits (B, H, W, K) -> float32 (B,)."""
        overlap, predicted, actual, weights = _measure_regions(self, y_true, y_pred)
        return _mean_loss(_tversky(overlap, predicted, actual, 1.0, 1.0), weights)


@keras.saving.register_keras_serializable(package="kseg")
class Tversky(SegmentationLoss):
    """One minus the Tversky index, averaged over the classes present in each image.

    With p the softmax and t the one-hot truth at valid pixels, tversky_c = o / (o + alpha (sum p_c - o) + beta (sum t_c - o)),
    o = sum p_c t_c: alpha weighs false positives, beta false negatives. (1/2, 1/2) is `Dice`,
    (1, 1) is `Jaccard`; beta above alpha favours recall.

    Args:
        ignore_class: id of void pixels, or None where every pixel has a class.
        class_weights: K factors of the mean over classes, each at least 0; None: all 1.
        alpha: weight of false positives, at least 0.
        beta: weight of false negatives, above 0. With the defaults the paper scored best.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: a weight is negative or not finite, `alpha` is negative, or `beta` is not above 0.

    Example:
        >>> loss = Tversky()
        >>> float(loss(np.array([[[0, 0, 255]]]), np.zeros((1, 1, 3, 2), "float32")))  # 1 - 1 / (1 + 0.7)
        0.4117647409439087

    Source: Salehi et al. 2017, arXiv:1706.05721, equations 3 and 4.
    """

    def __init__(
        self,
        ignore_class=VOID,
        class_weights=None,
        alpha=0.3,
        beta=0.7,
        reduction="sum_over_batch_size",
        name="tversky",
    ):
        super().__init__(ignore_class, class_weights, reduction, name)
        check_number("alpha", alpha, minimum=0)
        cure = "With beta = 0 nothing stops a class from shrinking to its most certain pixel."
        check_number("beta", beta, above=0, cure=cure)
        self.alpha, self.beta = alpha, beta

    def call(self, y_true, y_pred):
        """Ids (B, H, W), logits (B, H, W, K) -> float32 (B,)."""
        overlap, predicted, actual, weights = _measure_regions(self, y_true, y_pred)
        return _mean_loss(_tversky(overlap, predicted, actual, self.alpha, self.beta), weights)

    def get_config(self):
        return super().get_config() | {"alpha": self.alpha, "beta": self.beta}


def _measure_regions(loss: SegmentationLoss, y_true, y_pred):
    """Soft sizes of each class's regions over the valid pixels, float32 (B, K) each.

    Returns:
        Sum p t, sum p, sum t, and the weight of each class in the image, 0 where it is absent.
    """
    ids, valid, logits = mask_void(y_true, y_pred, loss.ignore_class)
    truth = ops.one_hot(ids, logits.shape[-1], dtype="float32") * valid[..., None]
    probabilities = ops.softmax(logits) * valid[..., None]
    overlap, predicted, actual = (ops.sum(x, axis=(1, 2)) for x in (probabilities * truth, probabilities, truth))
    weights = weight_vector(logits, loss.class_weights) * ops.cast(actual > 0, "float32")
    return overlap, predicted, actual, weights


def _tversky(overlap, predicted, actual, alpha, beta):
    """Tversky index (B, K); meaningless where a class is absent."""
    total = overlap + alpha * (predicted - overlap) + beta * (actual - overlap)
    return overlap / ops.where(actual > 0, total, 1.0)


def _mean_loss(index, weights):
    """Weighted mean (B,) of 1 - index over the classes; 0 if no class has a weight."""
    return ops.sum(weights * (1 - index), axis=-1) / ops.maximum(ops.sum(weights, axis=-1), 1e-7)
