"""An exported SavedModel as a model of this package. TensorFlow, because that is what loads it; imported when called."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kseg.inference.averaging import TINY

SIGNATURE = "probabilities"


def saved_model(path) -> Callable[[np.ndarray], np.ndarray]:
    """Loads an export of `kseg.export` as a callable from images to logits.

    It fits every image into the size that it was trained at, so to show it another scale, cut tiles of that size from a scaled
    image.

    Args:
        path: folder of the SavedModel.

    Returns: callable from images (B, H, W, C), rounded to uint8, to the logarithms of probabilities (B, H, W, K), float32.

    Raises:
        OSError: there is no SavedModel.
        ValueError: it has no signature "probabilities".
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    if SIGNATURE not in loaded.signatures:
        raise ValueError(
            f"A SavedModel must have the signature {SIGNATURE}. Received: {sorted(loaded.signatures)} [{path}]. "
            "Export it with kseg.export."
        )
    signature = loaded.signatures[SIGNATURE]

    def ask(images):
        if images.dtype != np.uint8:
            images = np.clip(np.floor(images + 0.5), 0, 255).astype(np.uint8)
        (probabilities,) = signature(image=tf.constant(images)).values()
        return np.log(np.maximum(probabilities.numpy(), TINY))

    ask.saved_model = loaded  # its variables live as long as this object
    return ask
