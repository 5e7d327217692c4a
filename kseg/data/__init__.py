"""Prepared data sets as `tf.data`: reading, batching, augmenting and resizing. TensorFlow only."""

from kseg.data.batches import evaluation_set, in_colours_of, side_by_side, training_set
from kseg.data.colours import take_colours
from kseg.data.reading import read_pairs

__all__ = ["evaluation_set", "in_colours_of", "read_pairs", "side_by_side", "take_colours", "training_set"]
