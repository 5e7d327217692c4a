"""How the losses of a game's replicas add up: several replicas train as one would. TensorFlow, for `tf.distribute`."""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402
from keras import ops  # noqa: E402


def num_replicas() -> int:
    """Number of replicas of the strategy in scope."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def batch_share(images):
    """This replica's share of the global batch, by which its gradients of means are weighted.

    The weighted gradients add up to the gradient of the mean over all images.
    """
    if num_replicas() == 1:
        return ops.ones(())
    images = ops.cast(images, "float32")
    return images / tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, images)


def weighted_mean(values, weights):
    """Mean of values times their image's weight; 0 for an empty batch, which a replica may get at the end of the data.

    Args:
        values: (B, ...), float.
        weights: a number or (B,).
    """
    if not isinstance(weights, float):
        weights = ops.reshape(weights, [-1] + [1] * (len(values.shape) - 1))
    return ops.sum(values * weights) / ops.cast(ops.maximum(ops.size(values), 1), values.dtype)


def regularization(network):
    """Penalties of `network`, divided by the replicas."""
    return sum(network.losses, 0.0) / num_replicas()
