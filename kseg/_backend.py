"""What depends on Keras's backend: the check of modules that need TensorFlow, and whether a tensor has values yet. Keras only."""

from __future__ import annotations

import keras


def require_tensorflow(module: str) -> None:
    """Raises where Keras runs on another backend than TensorFlow.

    Args:
        module: `__name__` of the module that needs TensorFlow.

    Raises:
        ImportError: `keras.backend.backend()` is another one; the message names it.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ImportError(
            f"{module} needs Keras to run on TensorFlow. Received: keras.backend.backend()={backend!r}. "
            "Set KERAS_BACKEND=tensorflow before Keras is imported; networks, losses and metrics run on every backend."
        )


def known_values(tensor):
    """The values of an array or an eager tensor as a numpy array; None in a graph, which has none yet."""
    try:
        return keras.ops.convert_to_numpy(tensor)
    except (NotImplementedError, TypeError, ValueError):  # symbolic tensors of TensorFlow, of JAX and of Keras
        return None
