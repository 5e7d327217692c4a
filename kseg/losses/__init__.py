"""Losses of dense label maps, added and scaled as `CrossEntropy() + 0.5 * Dice()`.

Each takes integer ids (B, H, W) or (B, H, W, 1) and logits (B, H, W, K) and returns one value per image, (B,): a mean over the
image's own valid pixels, and 0 where all are void. All images then count equally, and neither the batch size nor the number of
replicas changes a step. Void pixels affect neither value nor gradient, whatever the logits there. Void is 255 unless
`ignore_class` says otherwise; with more than 255 classes, set it.

Refused: ids that are neither a class nor void, where values are known (numpy arrays, eager tensors), and label maps whose
rank or size is not the logits', one-hot ones included. In a graph, which cannot raise, such an id counts as void, and
`kseg.metrics.ConfusionMatrix` counts it. Sums are float32 under every precision. `keras` and `keras.ops` only, so losses run
on every Keras backend.
"""

from kseg.losses.boundary import BoundaryCrossEntropy
from kseg.losses.lovasz import Lovasz
from kseg.losses.overlap import Dice, Jaccard, Tversky
from kseg.losses.pixelwise import CrossEntropy, Focal
from kseg.losses.segmentation_loss import SegmentationLoss, WeightedSum
from kseg.pairs.class_balance import class_weights

__all__ = [
    "BoundaryCrossEntropy",
    "CrossEntropy",
    "Dice",
    "Focal",
    "Jaccard",
    "Lovasz",
    "SegmentationLoss",
    "Tversky",
    "WeightedSum",
    "class_weights",
]
