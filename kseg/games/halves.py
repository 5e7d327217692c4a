"""Both halves of a batch through a network, each with batch statistics of its own. TensorFlow, for a check of the batch."""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)
from keras import ops  # noqa: E402


def run_segmentor(segmentor, images, apart: bool):
    """Logits (B, H, W, K) of a segmentor in training, each half of the images normalised by itself if they are `apart`."""
    return ops.concatenate(run_halves(segmentor, images)) if apart else segmentor(images, training=True)


def run_halves(network, images) -> list:
    """Runs a network in training on the first half of a batch and on the second, as if they were two batches.

    Images of two domains in one batch would be normalised by what they have in common, which holds for neither of them when it
    comes alone. The moving statistics follow both halves.

    Args:
        network: model of images (B, H, W, C).
        images: (B, H, W, C), B at least 2; the first half is the larger one where B is odd.

    Returns:
        The network's output for each half.

    Raises:
        tf.errors.InvalidArgumentError: B is 1.
    """
    count = tf.shape(images)[0]
    tf.debugging.assert_greater(count, 1, "Each batch must hold images of both kinds. Received: a batch of one image.")
    middle = (count + 1) // 2
    return [network(half, training=True) for half in (images[:middle], images[middle:])]
