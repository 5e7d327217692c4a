"""Sliding windows, the oldest way to label every pixel: classify the window around it, one window at a time.

It takes one forward pass per pixel, and neighbouring windows repeat nearly all of each other's work; `kseg.convolutionalize`
gives the same logits in one pass. numpy only: the classifier is called through `predict_on_batch`.
"""

from __future__ import annotations

import numpy as np

from kseg.inference.checks import check_count, check_images, values_checked

BORDERS = ("reflect", "zeros")


def windows(images: np.ndarray, size: int, *, border: str = "reflect") -> np.ndarray:
    """The window around every pixel, as a view: only the border is copied.

    A window of even size reaches one pixel farther to the top and the left.

    Args:
        images: (B, H, W, C).
        size: rows and columns of a window.
        border: what lies beyond an image: one of "reflect", its mirror image, and "zeros".

    Returns:
        (B, H, W, size, size, C), read-only; index it with arrays of positions to draw windows for training.

    Raises:
        ValueError: `images` has not four axes, `size` is below 1, or `border` is neither.

    Example:
        >>> windows(np.arange(3).reshape(1, 1, 3, 1), 3)[0, 0, 0, 1, :, 0]
        array([1, 0, 1])
    """
    with values_checked():  # any values can be cut into windows
        check_images(images, "images", "windows")
    check_count(size, "size")
    if border not in BORDERS:
        raise ValueError(f"`border` must be one of {', '.join(BORDERS)}. Received: border={border!r}.")
    padding = (size // 2, size - 1 - size // 2)
    padded = np.pad(images, ((0, 0), padding, padding, (0, 0)), mode="reflect" if border == "reflect" else "constant")
    return np.moveaxis(np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2)), 3, -1)


def predict_windows(classifier, images: np.ndarray, *, border: str = "reflect", batch_size: int = 256) -> np.ndarray:
    """Predicts every pixel by classifying the window around it, one window at a time.

    Args:
        classifier: model from windows (N, size, size, C) to logits (N, K), such as `kseg.PatchClassifier`.
        images: (B, H, W, C) in [0, 255].
        border: one of "reflect", "zeros", as in `windows`.
        batch_size: windows per forward pass.

    Returns:
        Logits (B, H, W, K), float32.

    Raises:
        TypeError: `classifier` takes no square windows of one size, or `images` is no array of numbers.
        ValueError: as `windows`, or the images do not fit.

    Example:
        >>> classifier = kseg.PatchClassifier(2, window=18, kernel_sizes=(3, 3), filters=(4, 4), dense_units=(8,))
        >>> kseg.predict_windows(classifier, np.full((1, 10, 12, 3), 200, np.uint8)).shape
        (1, 10, 12, 2)

    Source: Ciresan et al. 2012, section 2. It takes 20 to 450 times as long as the classifier's conversion does
        (`python -m benchmarks.windows`: windows of 18 to 95 pixels, images of 64x48 to 240x180).
    """
    size, channels = _input_window(classifier)
    check_count(batch_size, "batch_size")
    check_images(images, "images", "predict_windows", channels=channels)
    every = windows(images, size, border=border)
    positions = np.stack(np.unravel_index(np.arange(np.prod(every.shape[:3])), every.shape[:3]))
    batches = np.split(positions, range(batch_size, positions.shape[1], batch_size), axis=1)
    logits = [np.asarray(classifier.predict_on_batch(every[tuple(batch)]), np.float32) for batch in batches]
    return np.concatenate(logits).reshape(*every.shape[:3], -1)


def _input_window(classifier) -> tuple[int, int | None]:
    """Rows and channels of the windows that a classifier takes.

    Raises:
        TypeError: it takes none.
    """
    shape = getattr(classifier, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[1] is None or shape[1] != shape[2]:
        raise TypeError(
            "`classifier` must take square windows of one size, (N, size, size, C). "
            f"Received: a model of input_shape={shape}. For a network for whole images, use its own predict."
        )
    return shape[1], shape[3]
