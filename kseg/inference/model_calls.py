"""What counts as a model, and how one is called. numpy only."""

from __future__ import annotations

import os

import numpy as np


def check_model(model, name: str = "model") -> None:
    """Refuses what is neither a Keras model nor a callable.

    Args:
        model: a Keras model, or a callable from images (B, H, W, C) to logits (B, H, W, K).
        name: of the argument, for the message.

    Raises:
        TypeError: it is neither.
    """
    if not callable(model) and not hasattr(model, "predict_on_batch"):
        cure = ""
        if isinstance(model, str | os.PathLike):
            cure = " Load a file with keras.saving.load_model, an export with kseg.inference.SavedModel."
        raise TypeError(f"`{name}` must be a Keras model or a callable. Received: {name}={model!r}.{cure}")


def num_channels(model) -> int | None:
    """The channels C that a model takes; None if it does not tell."""
    shape = getattr(model, "input_shape", None)
    if isinstance(shape, tuple) and len(shape) == 4:
        return shape[-1]
    return getattr(model, "channels", None)


def takes_levels(model) -> bool:
    """Whether the images of a model lie in [0, 255], as they do unless its attribute `levels` says otherwise."""
    return getattr(model, "levels", True)


def predict_logits(model, images: np.ndarray) -> np.ndarray:
    """The logits of a batch: a Keras model predicts it in one compiled call, a callable is called.

    Args:
        model: a Keras model, or a callable from images (B, H, W, C) to logits (B, H, W, K).
        images: (B, H, W, C) in [0, 255].

    Returns:
        Logits (B, H, W, K), float32.

    Raises:
        ValueError: the logits are of another size than the images, or NaN.
    """
    logits = model.predict_on_batch(images) if hasattr(model, "predict_on_batch") else model(images)
    logits = np.asarray(logits, np.float32)
    if logits.ndim != 4 or logits.shape[:3] != images.shape[:3]:
        raise ValueError(
            "`model` must return logits (H, W, K) of the size of the image (H, W, C). "
            f"Received: logits {logits.shape[1:]} of an image {images.shape[1:]}. Build the network with padding='same'."
        )
    wrong = np.count_nonzero(np.isnan(logits))
    if wrong:
        raise ValueError(
            f"`model` must return logits that are numbers. Received: NaN at {wrong} of {logits.size} values. "
            "Look for weights that are NaN, after a training that diverged, for example."
        )
    return logits
