"""The Lovász-softmax loss: the convex surrogate of the Jaccard loss that agrees with it wherever predictions are hard."""

from __future__ import annotations

import keras
from keras import ops

from kseg.losses.segmentation_loss import SegmentationLoss, pixels, weights_for


@keras.saving.register_keras_serializable(package="kseg")
class Lovasz(SegmentationLoss):
    """Lovász-softmax: for each image, the mean over its classes of the Lovász extension of 1 - IoU at the pixels' errors.

    With p the softmax and t the one-hot truth at valid pixels, the errors of class c are m_i = |t_ic - p_ic|. Sorted so that
    m_1 >= m_2 >= ..., the loss of the class is sum_i m_i (J_i - J_(i-1)), where J_i is the class's 1 - IoU if just the first i
    pixels were wrong. Where p is 0 or 1 this is 1 - IoU itself. Classes that an image does not show do not enter its mean.

    It sorts the errors of every class in every image, which costs more than all other losses here.

    Args:
        ignore_class: id of void pixels, or None.
        class_weights: K factors of the mean over classes, each at least 0; None: all 1.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: a weight is negative or no number.

    Example:
        >>> loss = Lovasz(ignore_class=255)
        >>> float(loss(np.array([[[0, 0, 255]]]), np.zeros((1, 1, 3, 2), "float32")))  # 1/2 (1/2 - 0) + 1/2 (1 - 1/2)
        0.5

    Source: Berman et al. 2018, arXiv:1705.08790, section 3, algorithm 1, over present classes and image by image.
    """

    def __init__(self, ignore_class=None, class_weights=None, reduction="sum_over_batch_size", name="lovasz"):
        super().__init__(ignore_class, class_weights, reduction, name)

    def call(self, y_true, y_pred):
        """Ids (B, H, W), logits (B, H, W, K) -> float32 (B,)."""
        ids, valid, logits = pixels(y_true, y_pred, self.ignore_class)
        truth = ops.one_hot(ids, logits.shape[-1], dtype="float32") * ops.cast(valid > 0, "float32")[..., None]
        errors = ops.abs(truth - ops.softmax(logits)) * valid[..., None]
        rank = ops.where((valid == 0)[..., None], -1.0, errors)  # void comes last, where it changes no J
        truth, errors, rank = (_classes_in_rows(x) for x in (truth, errors, rank))
        order = ops.argsort(-ops.stop_gradient(rank), axis=-1)
        errors, truth = ops.take_along_axis(errors, order, axis=-1), ops.take_along_axis(truth, order, axis=-1)
        losses = ops.sum(errors * ops.stop_gradient(_steps(truth)), axis=-1)
        weights = weights_for(logits, self.class_weights) * ops.cast(ops.sum(truth, axis=-1) > 0, "float32")
        return ops.sum(weights * losses, axis=-1) / ops.maximum(ops.sum(weights, axis=-1), 1e-7)


def _classes_in_rows(x):
    """(B, H, W, K) to (B, K, H * W)."""
    batch, height, width, classes = ops.shape(x)
    return ops.transpose(ops.reshape(x, (batch, height * width, classes)), (0, 2, 1))


def _steps(truth):
    """J_i - J_(i-1), (B, K, N), of truth (B, K, N) in order of falling errors; J_0 = 0."""
    occurring = ops.sum(truth, axis=-1, keepdims=True)
    intersection = occurring - ops.cumsum(truth, axis=-1)
    union = occurring + ops.cumsum(1 - truth, axis=-1)
    jaccard = 1 - intersection / ops.maximum(union, 1.0)
    before = ops.concatenate([ops.zeros_like(occurring), jaccard[..., :-1]], axis=-1)
    return jaccard - before
