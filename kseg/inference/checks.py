"""Checks of images before a network predicts them: rank, dtype, channels, NaN, and [0, 1] where [0, 255] is meant.

The models of this package nest: tiles of views of an ensemble. The outermost call checks the values of its images; those below it
see pieces of them, where an all-dark tile would look like an image in [0, 1]. numpy only.
"""

from __future__ import annotations

import contextlib
import contextvars
import operator

import numpy as np

from kseg.array_checks import check_image_range
from kseg.inference.mapped_files import bands

_values_are_checked = contextvars.ContextVar("values_are_checked", default=False)


@contextlib.contextmanager
def values_checked():
    """While it is open, `check_images` skips the values: the images are pieces of images that were checked."""
    token = _values_are_checked.set(True)
    try:
        yield
    finally:
        _values_are_checked.reset(token)


def check_images(
    images,
    name: str,
    where: str,
    *,
    rank: int = 4,
    channels: int | None = None,
    dtype=None,
    levels: bool = True,
    stacklevel: int = 4,
) -> None:
    """Refuses images that no network can predict, and warns of values outside [0, 255].

    Args:
        images: (B, H, W, C), or (H, W, C) with rank 3; anything with a shape and a dtype that numpy slices.
        name: of the argument, for messages.
        where: the function that was called, for messages.
        rank: 3 or 4.
        channels: that the model takes; None: any.
        dtype: the only one allowed; None: any real one.
        levels: whether values must lie in [0, 255]; those of other images are not looked at.
        stacklevel: of warnings; the default names the caller of the function that checks.

    Raises:
        TypeError: `images` is no array of numbers.
        ValueError: the rank or the channels do not fit, there is no pixel, or a value is NaN or infinite.
    """
    axes = "(B, H, W, C)" if rank == 4 else "(H, W, C)"
    if not (hasattr(images, "shape") and hasattr(images, "dtype")):
        raise TypeError(
            f"`{name}` must be an array {axes}. Received: {name} of type {type(images).__name__} [{where}]. "
            "Convert it with np.asarray, or stack images of one size with np.stack."
        )
    shape, found = tuple(images.shape), np.dtype(getattr(images.dtype, "as_numpy_dtype", images.dtype))
    if len(shape) != rank or 0 in shape[-3:]:
        raise ValueError(
            f"`{name}` must have the axes {axes} and a pixel. Received: {name}.shape={shape} [{where}].{_axes_cure(shape, rank)}"
        )
    if found.kind in "OSUcMm" or (dtype is not None and found != dtype):
        kinds = "real numbers" if dtype is None else np.dtype(dtype).name
        raise TypeError(f"`{name}` must hold {kinds}. Received: {name}.dtype={found} [{where}].")
    if channels is not None and shape[-1] != channels:
        raise ValueError(
            f"`{name}` must have the model's {channels} channels. Received: {name}.shape={shape} [{where}]."
            f"{_channels_cure(channels)}"
        )
    if levels and not _values_are_checked.get():
        _check_values(images, where, stacklevel + 1)


def check_count(value, name: str, minimum: int = 1) -> int:
    """A whole number of at least `minimum`, as a Python int.

    Raises:
        ValueError: it is anything else.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = minimum - 1
    if number < minimum:
        raise ValueError(f"`{name}` must be a whole number, at least {minimum}. Received: {name}={value!r}.")
    return number


def _check_values(images, where: str, stacklevel: int):
    """Checks the range; a mapped image is read band by band."""
    if isinstance(images, np.ndarray) and not isinstance(images, np.memmap):
        return check_image_range(images, where, stacklevel)
    low, high = np.inf, -np.inf
    for image in images if len(images.shape) == 4 else [images]:
        for first, band in bands(image):
            lowest, highest = float(band.min()), float(band.max())
            if not (np.isfinite(lowest) and np.isfinite(highest)):
                check_image_range(band, f"{where}, rows {first} to {first + len(band) - 1}")
            low, high = min(low, lowest), max(high, highest)
    return check_image_range(np.array([low, high]), where, stacklevel) if low <= high else None


def _axes_cure(shape: tuple, rank: int) -> str:
    if rank == 4 and len(shape) == 3:
        return " Add an axis for the batch: image[np.newaxis]."
    if rank == 3 and len(shape) == 4:
        return " Give one image at a time: images[0]."
    if rank == 3 and len(shape) == 2:
        return " Add an axis for the channels: image[..., np.newaxis]."
    return ""


def _channels_cure(channels: int) -> str:
    return " Drop the alpha channel, or repeat the grey one." if channels == 3 else ""
