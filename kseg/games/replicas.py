"""How the losses of a game's replicas add up, so that several play as one would.

TensorFlow, because `tf.distribute` is its own.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402
from keras import ops  # noqa: E402


def number() -> int:
    """Of the replicas."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def portion(images):
    """This replica's share of the whole batch: gradients of means, so weighted, add up to that of the mean over all images."""
    if number() == 1:
        return ops.ones(())
    images = ops.cast(images, "float32")
    return images / tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, images)


def mean(values, counts):
    """Their mean, each image's times what it counts; 0 of none, which a replica can be left with at the end of the data."""
    if not isinstance(counts, float):
        counts = ops.reshape(counts, [-1] + [1] * (len(values.shape) - 1))
    return ops.sum(values * counts) / ops.cast(ops.maximum(ops.size(values), 1), values.dtype)


def penalties(network):
    """Regularisation of `network`, a share for each replica."""
    return sum(network.losses, 0.0) / number()
