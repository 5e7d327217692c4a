"""Cross-entropy that weighs pixels by their distance from the borders of classes. `keras` and `keras.ops` only."""

from __future__ import annotations

import math

import keras
from keras import ops

from kseg._checks import check_number
from kseg.labels import VOID
from kseg.losses.segmentation_loss import SegmentationLoss, mask_void, weight_vector


@keras.saving.register_keras_serializable(package="kseg")
class BoundaryCrossEntropy(SegmentationLoss):
    """Cross-entropy of each pixel's softmax, averaged with weights that are largest at the borders between classes.

    With d_i the distance of pixel i from the nearest border, in pixels along rows, columns or diagonals, 0 for a pixel with a
    neighbour of another class among its eight, b_i = 1 + weight * exp(-d_i^2 / (2 sigma^2)), and 1 beyond 3 sigma. Over the valid
    pixels of class y_i, loss = sum_i b_i w[y_i] * -log softmax(logits_i)[y_i] / sum_i b_i. Void is no class: its border is none,
    and two classes on both sides of void are as far from each other as they are.

    Args:
        ignore_class: id of void pixels, or None where every pixel has a class.
        class_weights: K factors w, each at least 0; None: all 1.
        weight: how much more a pixel at a border counts, at least 0; with 0 it is `CrossEntropy`.
        sigma: width of the border in pixels, above 0.
        reduction: Keras's; over the (B,) values.
        name: of the loss.

    Raises:
        ValueError: a weight is negative or not finite, or `sigma` is not above 0.

    Example:
        >>> loss = BoundaryCrossEntropy()
        >>> float(loss(np.array([[[0, 255]]]), np.zeros((1, 1, 2, 4), "float32")))  # log 4
        1.3862943649291992

    Source: Ronneberger et al. 2015 (arXiv:1505.04597), equation 2, there with the sum of the distances from the two nearest
        cells, weight 10 and sigma 5, added to the class weights and not normalised.
    """

    def __init__(
        self,
        ignore_class=VOID,
        class_weights=None,
        weight=5.0,
        sigma=2.0,
        reduction="sum_over_batch_size",
        name="boundary_cross_entropy",
    ):
        super().__init__(ignore_class, class_weights, reduction, name)
        check_number("weight", weight, minimum=0)
        check_number("sigma", sigma, above=0)
        self.weight, self.sigma = weight, sigma

    def call(self, y_true, y_pred):
        """Ids (B, H, W), logits (B, H, W, K) -> float32 (B,)."""
        ids, valid, logits = mask_void(y_true, y_pred, self.ignore_class)
        losses = ops.sparse_categorical_crossentropy(ids, logits, from_logits=True)
        losses = losses * ops.take(weight_vector(logits, self.class_weights), ids)
        weights = valid * border_weights(ids, valid, self.weight, self.sigma)
        return ops.sum(losses * weights, axis=(1, 2)) / ops.maximum(ops.sum(weights, axis=(1, 2)), 1.0)

    def get_config(self):
        return super().get_config() | {"weight": self.weight, "sigma": self.sigma}


def border_weights(ids, valid, weight: float, sigma: float):
    """1 + weight * exp(-d^2 / (2 sigma^2)) of each pixel, float32 (B, H, W), with d its distance from a border, 1 beyond 3 sigma.

    Args:
        ids: int32 (B, H, W).
        valid: float32 (B, H, W), 1 where a pixel has a class.
        weight: at a border.
        sigma: of the bell, in pixels.
    """
    ids, has_class = ops.cast(ids, "float32")[..., None], valid[..., None] > 0
    # The largest id, and minus the smallest, of a window that grows by a pixel on each side.
    largest, smallest = (ops.where(has_class, signed, -1e9) for signed in (ids, -ids))
    weights, seen = ops.ones_like(valid), ops.zeros_like(valid)
    for distance in range(math.ceil(3 * sigma) + 1):
        largest, smallest = (ops.max_pool(one, 3, strides=1, padding="same") for one in (largest, smallest))
        near = ops.cast(largest + smallest > 0, "float32")[..., 0]  # the window holds two classes
        weights = weights + (near - seen) * weight * math.exp(-(distance**2) / (2 * sigma**2))
        seen = near
    return weights
