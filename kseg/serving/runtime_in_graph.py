"""A network that another runtime computes, as a part of the served graph. TensorFlow only; it runs in this process alone.

All steps before and behind the network stay those of `kseg.serving.graph`, so limits, statuses and messages are the same.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import numpy as np  # noqa: E402  (only after the backend is known)
import tensorflow as tf  # noqa: E402


@dataclasses.dataclass(frozen=True, eq=False)
class RuntimeNetwork:
    """What `ServedModel` takes in the place of a Keras model.

    The graph does not keep it: TensorFlow never forgets a Python function that a graph calls. Who calls the graph must hold it.

    Attributes:
        run: function of images (B, h, w, C), float32, that returns probabilities (B, h, w, K), float32: the mean of all views. It
            may be called from several threads.
        inputs: the specification of the images, in a list.
        outputs: that of the probabilities.
        name: for messages.
        variables: none that TensorFlow knows.
    """

    run: Callable[[np.ndarray], np.ndarray]
    inputs: list[tf.TensorSpec]
    outputs: list[tf.TensorSpec]
    name: str
    variables: tuple = ()

    def probabilities(self, image):
        """Images (B, h, w, C) to probabilities (B, h, w, K), both float32 tensors."""
        held = weakref.ref(self)
        found = tf.numpy_function(lambda values: held().run(values), [image], tf.float32)
        return tf.ensure_shape(found, (*image.shape[:3], self.outputs[0].shape[-1]))
