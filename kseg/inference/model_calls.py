"""How a model is asked, whatever it is. numpy only."""

from __future__ import annotations

import numpy as np


def predict_logits(model, images: np.ndarray) -> np.ndarray:
    """What a model answers to images: a Keras model in one compiled batch, a callable as it is.

    Args:
        model: a Keras model, or a callable from images (B, H, W, C) to scores (B, H, W, K).
        images: (B, H, W, C) in [0, 255].

    Returns: scores (B, H, W, K), float32.

    Raises:
        ValueError: the scores are of another size than the images.
    """
    answer = model.predict_on_batch(images) if hasattr(model, "predict_on_batch") else model(images)
    answer = np.asarray(answer, np.float32)
    if answer.ndim != 4 or answer.shape[:3] != images.shape[:3]:
        raise ValueError(
            "`model` must answer an image (H, W, C) with scores (H, W, K) of its own size. "
            f"Received: scores {answer.shape[1:]} of an image {images.shape[1:]}. Build the network with padding='same'."
        )
    return answer
