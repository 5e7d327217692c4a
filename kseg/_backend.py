"""The one check that modules tied to TensorFlow make before they import it. Imports Keras alone."""

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
