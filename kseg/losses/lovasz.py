"""The Lovász-softmax loss: the convex surrogate of the Jaccard loss, equal to it where predictions are hard."""

from __future__ import annotations

import keras
from keras import ops

from kseg.labels import VOID
from kseg.losses.segmentation_loss import SegmentationLoss, mask_void, weight_vector


@keras.saving.register_keras_serializable(package="kseg")
class Lovasz(SegmentationLoss):
    """Lovász-softmax: per image, the mean over its classes of the Lovász extension of 1 - IoU at the pixels' errors.

    With p the softmax and t the one-hot truth at valid pixels, the errors of class c are m_i = |t_ic - p_ic|. Sorted so that
    m_1 >= m_2 >= ..., the loss of the class is sum_i m_i (J_i - J_(i-1)), where J_i is the class's 1 - IoU if exactly the
    first i pixels were wrong. Where p is 0 or 1 this is 1 - IoU. Classes absent from an image do not enter its mean.

    Sorting the errors of every class in every image costs more than all other losses here.

    Args:
        ignore_class: id of void pixels, or None where every pixel has a class.
        class_weights: K factors of the mean over classes, each at least 0; None: all 1.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: a weight is negative or not finite.

    Example:
        >>> loss = Lovasz()
        >>> float(loss(np.array([[[0, 0, 255]]]), np.zeros((1, 1, 3, 2), "float32")))  # 1/2 (1/2 - 0) + 1/2 (1 - 1/2)
        0.5

    Source: Berman et al. 2018, arXiv:1705.08790, section 3, algorithm 1, over present classes, per image.
    """

    def __init__(self, ignore_class=VOID, class_weights=None, reduction="sum_over_batch_size", name="lovasz"):
        super().__init__(ignore_class, class_weights, reduction, name)

    def call(self, y_true, y_pred):
        """Ids (B, H, W), logits (B, H, W, K) -> float32 (B,)."""
        ids, valid, logits = mask_void(y_true, y_pred, self.ignore_class)
        truth = ops.one_hot(ids, logits.shape[-1], dtype="float32") * ops.cast(valid > 0, "float32")[..., None]
        errors = ops.abs(truth - ops.softmax(logits)) * valid[..., None]
        rank = ops.where((valid == 0)[..., None], -1.0, errors)  # void sorts last, where it changes no J
        truth, errors, rank = (_flatten_pixels(x) for x in (truth, errors, rank))
        order = ops.argsort(-ops.stop_gradient(rank), axis=-1)
        errors, truth = ops.take_along_axis(errors, order, axis=-1), ops.take_along_axis(truth, order, axis=-1)
        losses = ops.sum(errors * ops.stop_gradient(_jaccard_differences(truth)), axis=-1)
        weights = weight_vector(logits, self.class_weights) * ops.cast(ops.sum(truth, axis=-1) > 0, "float32")
        return ops.sum(weights * losses, axis=-1) / ops.maximum(ops.sum(weights, axis=-1), 1e-7)


def _flatten_pixels(x):
    """(B, H, W, K) -> (B, K, H * W)."""
    batch, height, width, classes = ops.shape(x)
    return ops.transpose(ops.reshape(x, (batch, height * width, classes)), (0, 2, 1))


def _jaccard_differences(truth):
    """J_i - J_(i-1), (B, K, N), for truth (B, K, N) sorted by decreasing error; J_0 = 0."""
    size = ops.sum(truth, axis=-1, keepdims=True)
    intersection = size - ops.cumsum(truth, axis=-1)
    union = size + ops.cumsum(1 - truth, axis=-1)
    jaccard = 1 - intersection / ops.maximum(union, 1.0)
    before = ops.concatenate([ops.zeros_like(size), jaccard[..., :-1]], axis=-1)
    return jaccard - before
