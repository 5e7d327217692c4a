"""Pixelwise losses: cross-entropy and focal loss. `keras` and `keras.ops` only."""

from __future__ import annotations

import keras
from keras import ops

from kseg._checks import check_number
from kseg.labels import VOID
from kseg.losses.segmentation_loss import SegmentationLoss, mask_void, weight_vector

MIN_ERROR = 1e-12  # floor of 1 - p, whose power has no derivative at 0


@keras.saving.register_keras_serializable(package="kseg")
class CrossEntropy(SegmentationLoss):
    """Cross-entropy of each pixel's softmax, averaged over each image's valid pixels, or over the hardest of them.

    With n valid pixels i of class y_i, loss = (1/n) sum_i w[y_i] * -log softmax(logits_i)[y_i]. Dividing by n, not by the sum
    of the weights, gives a weight the same meaning in every image: an image of only a rare class keeps that class's weight.
    Weights with mean 1 over all pixels preserve the scale of the loss.

    `top_k` = 0.25 averages over the quarter of the valid pixels with the largest weighted losses (round(n / 4) of them, at
    least one), so that large easy regions such as sky do not outweigh borders.

    Args:
        ignore_class: id of void pixels, or None where every pixel has a class.
        class_weights: K factors, each at least 0; None: all 1. `kseg.losses.class_weights` computes them.
        label_smoothing: share of the target, in [0, 1), spread evenly over the K classes.
        top_k: share of the valid pixels, in (0, 1], that counts: the hardest of each image; 1: all.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: a weight is negative or not finite, or `label_smoothing` or `top_k` lies outside its range.

    Example:
        >>> loss = CrossEntropy()
        >>> float(loss(np.array([[[0, 255]]]), np.zeros((1, 1, 2, 4), "float32")))  # log 4
        1.3862943649291992

    Source: `top_k` is the bootstrapping of Wu et al. 2016, arXiv:1605.06885, with a share instead of a number of pixels.
    """

    def __init__(
        self,
        ignore_class=VOID,
        class_weights=None,
        label_smoothing=0.0,
        top_k=1.0,
        reduction="sum_over_batch_size",
        name="cross_entropy",
    ):
        super().__init__(ignore_class, class_weights, reduction, name)
        check_number("label_smoothing", label_smoothing, minimum=0, below=1)
        check_number("top_k", top_k, above=0, maximum=1, cure="It is the share of the pixels that counts.")
        self.label_smoothing = label_smoothing
        self.top_k = top_k

    def call(self, y_true, y_pred):
        """Ids (B, H, W), logits (B, H, W, K) -> float32 (B,)."""
        ids, valid, logits = mask_void(y_true, y_pred, self.ignore_class)
        losses = ops.sparse_categorical_crossentropy(ids, logits, from_logits=True)
        if self.label_smoothing:
            uniform = ops.logsumexp(logits, axis=-1) - ops.mean(logits, axis=-1)
            losses = (1 - self.label_smoothing) * losses + self.label_smoothing * uniform
        losses = losses * ops.take(weight_vector(logits, self.class_weights), ids)
        return _mean(losses, valid) if self.top_k == 1 else _mean_of_hardest(losses, valid, self.top_k)

    def get_config(self):
        return super().get_config() | {"label_smoothing": self.label_smoothing, "top_k": self.top_k}


@keras.saving.register_keras_serializable(package="kseg")
class Focal(SegmentationLoss):
    """Cross-entropy that down-weights well-classified pixels, averaged over each image's valid pixels.

    With p_i the softmax of the true class y_i at n valid pixels, loss = (1/n) sum_i w[y_i] * (1 - p_i)^gamma * -log p_i. With
    gamma = 0 it is `CrossEntropy`. The paper's binary form with one logit z equals two classes with logits (0, z) and
    `class_weights=(1 - alpha, alpha)`. The paper divides by the number of anchors assigned to objects; this loss, like all
    here, by the number of valid pixels.

    Args:
        ignore_class: id of void pixels, or None where every pixel has a class.
        class_weights: K factors, each at least 0; None: all 1.
        gamma: how strongly easy pixels are down-weighted, at least 0.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: a weight is negative or not finite, or `gamma` is negative.

    Example:
        >>> loss = Focal()
        >>> float(loss(np.array([[[0, 255]]]), np.zeros((1, 1, 2, 2), "float32")))  # (1 - 1/2)^2 log 2
        0.1732867956161499

    Source: Lin et al. 2017, arXiv:1708.02002, equations 4 and 5.
    """

    def __init__(self, ignore_class=VOID, class_weights=None, gamma=2.0, reduction="sum_over_batch_size", name="focal"):
        super().__init__(ignore_class, class_weights, reduction, name)
        check_number("gamma", gamma, minimum=0)
        self.gamma = gamma

    def call(self, y_true, y_pred):
        """Ids (B, H, W), logits (B, H, W, K) -> float32 (B,)."""
        ids, valid, logits = mask_void(y_true, y_pred, self.ignore_class)
        cross_entropy = ops.sparse_categorical_crossentropy(ids, logits, from_logits=True)
        error = ops.maximum(-ops.expm1(-cross_entropy), MIN_ERROR)
        weights = ops.take(weight_vector(logits, self.class_weights), ids)
        return _mean(weights * error**self.gamma * cross_entropy, valid)

    def get_config(self):
        return super().get_config() | {"gamma": self.gamma}


def _mean(losses, valid):
    """Mean (B,) of losses (B, H, W) over the pixels where `valid` is 1; 0 if there are none."""
    return ops.sum(losses * valid, axis=(1, 2)) / ops.maximum(ops.sum(valid, axis=(1, 2)), 1.0)


def _mean_of_hardest(losses, valid, share):
    """Mean (B,) of the largest of the non-negative losses (B, H, W): a `share` of the pixels where `valid` is 1."""
    number = ops.sum(valid, axis=(1, 2))
    kept = ops.maximum(ops.round(share * number), ops.minimum(number, 1.0))
    easiest_first = ops.sort(ops.reshape(ops.where(valid > 0, losses, -1.0), (ops.shape(losses)[0], -1)), axis=-1)
    hardest_first = ops.flip(easiest_first, axis=-1)
    counts = ops.arange(ops.shape(hardest_first)[-1], dtype="float32") < kept[:, None]
    return ops.sum(ops.where(counts, hardest_first, 0.0), axis=-1) / ops.maximum(kept, 1.0)
