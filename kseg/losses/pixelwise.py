"""Losses that judge each pixel by itself: cross-entropy and focal loss."""

from __future__ import annotations

import keras
from keras import ops

from kseg.losses.segmentation_loss import SegmentationLoss, pixels, weights_for

TINY = 1e-12  # below it 1 - p counts as this: its power has no derivative at 0


@keras.saving.register_keras_serializable(package="kseg")
class CrossEntropy(SegmentationLoss):
    """Cross-entropy of each pixel's softmax, averaged over each image's valid pixels, or over the hardest of them.

    With n valid pixels i of class y_i, loss = (1/n) sum_i w[y_i] * -log softmax(logits_i)[y_i]. Division by n, not by the sum
    of the weights, lets a weight mean the same in every image: an image that shows nothing but a rare class keeps that class's
    weight. Weights whose mean over all pixels is 1 leave the size of the loss as it was.

    `top_k` = 0.25 averages over the quarter of the valid pixels whose weighted losses are largest (round(n / 4) of them, at
    least one): large easy regions, such as sky, then no longer drown the borders.

    Args:
        ignore_class: id of void pixels (255 in kseg's prepared data sets), or None where every pixel has a class.
        class_weights: K factors, each at least 0; None: all 1. `kseg.losses.class_weights` computes some.
        label_smoothing: share of the target, in [0, 1), that is spread evenly over the K classes.
        top_k: share of the valid pixels, in (0, 1], that counts: the hardest of each image. 1: all.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: a weight is negative or no number, or `label_smoothing` or `top_k` lies outside its range.

    Example:
        >>> loss = CrossEntropy(ignore_class=255)
        >>> float(loss(np.array([[[0, 255]]]), np.zeros((1, 1, 2, 4), "float32")))  # log 4
        1.3862943649291992

    Source: `top_k` is the bootstrapping of Wu et al. 2016, arXiv:1605.06885, with a share in place of a number of pixels.
    """

    def __init__(
        self,
        ignore_class=None,
        class_weights=None,
        label_smoothing=0.0,
        top_k=1.0,
        reduction="sum_over_batch_size",
        name="cross_entropy",
    ):
        super().__init__(ignore_class, class_weights, reduction, name)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"`label_smoothing` must lie in [0, 1). Received: label_smoothing={label_smoothing}.")
        if not 0 < top_k <= 1:
            raise ValueError(
                f"`top_k` must lie in (0, 1]. Received: top_k={top_k}. It is the share of the pixels that counts."
            )
        self.label_smoothing = label_smoothing
        self.top_k = top_k

    def call(self, y_true, y_pred):
        """Ids (B, H, W), logits (B, H, W, K) -> float32 (B,)."""
        ids, valid, logits = pixels(y_true, y_pred, self.ignore_class)
        losses = ops.sparse_categorical_crossentropy(ids, logits, from_logits=True)
        if self.label_smoothing:
            even = ops.logsumexp(logits, axis=-1) - ops.mean(logits, axis=-1)
            losses = (1 - self.label_smoothing) * losses + self.label_smoothing * even
        losses = losses * ops.take(weights_for(logits, self.class_weights), ids)
        return _mean(losses, valid) if self.top_k == 1 else _mean_of_hardest(losses, valid, self.top_k)

    def get_config(self):
        return super().get_config() | {"label_smoothing": self.label_smoothing, "top_k": self.top_k}


@keras.saving.register_keras_serializable(package="kseg")
class Focal(SegmentationLoss):
    """Cross-entropy that fades where the right class is likely already, averaged over each image's valid pixels.

    With p_i the softmax of the right class y_i at n valid pixels, loss = (1/n) sum_i w[y_i] * (1 - p_i)^gamma * -log p_i. With
    gamma = 0 it is `CrossEntropy`. The paper's binary form has one logit z: two classes with logits (0, z) and
    `class_weights=(1 - alpha, alpha)` are the same. The paper divides by the number of objects' anchors; this one, as all
    losses here, by the number of valid pixels.

    Args:
        ignore_class: id of void pixels, or None.
        class_weights: K factors, each at least 0; None: all 1.
        gamma: how fast easy pixels fade, at least 0.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: a weight is negative or no number, or `gamma` is negative.

    Example:
        >>> loss = Focal(ignore_class=255)
        >>> float(loss(np.array([[[0, 255]]]), np.zeros((1, 1, 2, 2), "float32")))  # (1 - 1/2)^2 log 2
        0.1732867956161499

    Source: Lin et al. 2017, arXiv:1708.02002, equations 4 and 5.
    """

    def __init__(self, ignore_class=None, class_weights=None, gamma=2.0, reduction="sum_over_batch_size", name="focal"):
        super().__init__(ignore_class, class_weights, reduction, name)
        if not gamma >= 0:
            raise ValueError(f"`gamma` must be at least 0. Received: gamma={gamma}.")
        self.gamma = gamma

    def call(self, y_true, y_pred):
        """Ids (B, H, W), logits (B, H, W, K) -> float32 (B,)."""
        ids, valid, logits = pixels(y_true, y_pred, self.ignore_class)
        cross_entropy = ops.sparse_categorical_crossentropy(ids, logits, from_logits=True)
        missed = ops.maximum(-ops.expm1(-cross_entropy), TINY)
        weights = ops.take(weights_for(logits, self.class_weights), ids)
        return _mean(weights * missed**self.gamma * cross_entropy, valid)

    def get_config(self):
        return super().get_config() | {"gamma": self.gamma}


def _mean(losses, valid):
    """Mean (B,) of losses (B, H, W) over the pixels at which `valid` is 1; 0 where there is none."""
    return ops.sum(losses * valid, axis=(1, 2)) / ops.maximum(ops.sum(valid, axis=(1, 2)), 1.0)


def _mean_of_hardest(losses, valid, share):
    """Mean (B,) of the largest of losses (B, H, W), of which none is negative: a `share` of the pixels at which `valid` is 1."""
    number = ops.sum(valid, axis=(1, 2))
    kept = ops.maximum(ops.round(share * number), ops.minimum(number, 1.0))
    easiest_first = ops.sort(ops.reshape(ops.where(valid > 0, losses, -1.0), (ops.shape(losses)[0], -1)), axis=-1)
    hardest_first = ops.flip(easiest_first, axis=-1)
    counts = ops.arange(ops.shape(hardest_first)[-1], dtype="float32") < kept[:, None]
    return ops.sum(ops.where(counts, hardest_first, 0.0), axis=-1) / ops.maximum(kept, 1.0)
