"""The oldest way to label every pixel: classify the window round it, one window at a time.

It needs one forward pass a pixel, and neighbouring windows repeat nearly all of each other's work; `kseg.convolutionalize` gives
the same answer in one pass. numpy only: a model is asked by `predict_on_batch`.
"""

from __future__ import annotations

import numpy as np


def windows(images: np.ndarray, size: int, *, border: str = "reflect") -> np.ndarray:
    """The window round every pixel, as a view: no pixel is copied but for the border.

    The window of an even size reaches one pixel farther to the top and the left.

    Args:
        images: (B, H, W, C).
        size: rows and columns of a window.
        border: what lies beyond an image: "reflect", its mirror image, or "zeros".

    Returns: (B, H, W, size, size, C), read-only; index it with arrays of positions to draw windows for training.

    Raises:
        ValueError: `images` has not four axes, `size` is below 1, or `border` is neither.

    Example:
        >>> windows(np.arange(3).reshape(1, 1, 3, 1), 3)[0, 0, 0, 1, :, 0]
        array([1, 0, 1])
    """
    if images.ndim != 4:
        raise ValueError(f"`images` must have the axes (B, H, W, C). Received: shape {images.shape}.")
    if size < 1:
        raise ValueError(f"`size` must be at least 1 pixel. Received: size={size}.")
    if border not in ("reflect", "zeros"):
        raise ValueError(f'`border` must be "reflect" or "zeros". Received: border={border!r}.')
    around = (size // 2, size - 1 - size // 2)
    padded = np.pad(images, ((0, 0), around, around, (0, 0)), mode="reflect" if border == "reflect" else "constant")
    return np.moveaxis(np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2)), 3, -1)


def predict_windows(classifier, images: np.ndarray, *, border: str = "reflect", batch_size: int = 256) -> np.ndarray:
    """Labels every pixel by classifying the window round it, one window at a time.

    Args:
        classifier: model from windows (N, size, size, C) to logits (N, K), such as `kseg.PatchClassifier`.
        images: (B, H, W, C) in [0, 255].
        border: "reflect" or "zeros", as in `windows`.
        batch_size: windows classified together.

    Returns: logits (B, H, W, K), float32.

    Raises:
        ValueError: as `windows`.

    Source: Ciresan et al. 2012, section 2. It takes 20 to 450 times as long as the classifier's conversion does
        (`python -m benchmarks.windows`: windows of 18 to 95 pixels, images of 64x48 to 240x180).
    """
    every = windows(images, classifier.input_shape[1], border=border)
    places = np.stack(np.unravel_index(np.arange(np.prod(every.shape[:3])), every.shape[:3]))
    batches = np.split(places, range(batch_size, places.shape[1], batch_size), axis=1)
    logits = [np.asarray(classifier.predict_on_batch(every[tuple(batch)]), np.float32) for batch in batches]
    return np.concatenate(logits).reshape(*every.shape[:3], -1)
