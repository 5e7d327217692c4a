"""Losses of dense label maps, added and scaled as `CrossEntropy() + 0.5 * Dice()`.

Each takes integer ids (B, H, W) and logits (B, H, W, K) and gives one value for each image, (B,): a mean over the image's own
valid pixels, and 0 where all are void. Images then count alike, and neither the batch size nor the number of replicas changes
what a step does. Void pixels reach neither value nor gradient, whatever the logits there; ids that are no class make the image's
loss NaN rather than vanish. Sums are float32 under every precision. `keras` and `keras.ops` only, so they run on each of Keras's
backends.
"""

from kseg.losses.lovasz import Lovasz
from kseg.losses.overlap import Dice, Jaccard, Tversky
from kseg.losses.pixelwise import CrossEntropy, Focal
from kseg.losses.segmentation_loss import SegmentationLoss, WeightedSum
from kseg.pairs.class_balance import class_weights

__all__ = [
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
