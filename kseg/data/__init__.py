"""Reading and augmenting a prepared data set with `tf.data`, and resizing in a TensorFlow graph. TensorFlow."""

from kseg.data.reading import evaluation_set, pairs, training_set

__all__ = ["evaluation_set", "pairs", "training_set"]
