"""Prepared data sets as `tf.data`: reading, batching, augmenting and resizing. TensorFlow only."""

from kseg.data.batches import evaluation_set, side_by_side, training_set
from kseg.data.reading import read_pairs

__all__ = ["evaluation_set", "read_pairs", "side_by_side", "training_set"]
