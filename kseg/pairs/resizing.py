"""Resizing of images and label maps by one rule: Beam workers, training and the exported graph agree.

An image keeps its aspect ratio, is fitted into a size with an antialiased triangle ("bilinear") filter and keeps its type, for
which integers are rounded; a label map takes the nearest pixel. `kseg.data.resizing_in_graph` does the same in a TensorFlow
graph, within one level. Refused: images of other types than uint8, uint16 and float32. numpy and Pillow only.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

SCALE_DENOMINATOR = 2**20
"""Factors are rounded to this fraction, so that sizes are computed in integers, here as in a graph."""


def fitted_size(height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
    """The largest size of the same aspect ratio that fits into `size`. Small images are enlarged.

    Computed in integers and rounded half up, so that the version for graphs cannot differ by a pixel.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        size: (height, width) to fit into, in pixels.

    Returns:
        (height, width) in pixels, each at least 1; one of the two equals that of `size`.

    Raises:
        ValueError: a side is smaller than 1.

    Example:
        >>> fitted_size(375, 500, size=(180, 240))
        (180, 240)
        >>> fitted_size(500, 375, size=(180, 240))
        (180, 135)
    """
    max_height, max_width = size
    if min(height, width, max_height, max_width) < 1:
        raise ValueError(f"Sizes must be at least 1. Received: height={height}, width={width}, size={tuple(size)}.")
    if max_height * width <= max_width * height:
        return max_height, max(1, (2 * width * max_height + height) // (2 * height))
    return max(1, (2 * height * max_width + width) // (2 * width)), max_width


def working_size(height: int, width: int, working_scale: tuple[int, int] | float) -> tuple[int, int]:
    """The size at which a network is shown an image.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        working_scale: (height, width) to fit into, in pixels, or a factor on the image's own sides.

    Returns:
        (height, width) in pixels, each at least 1.

    Raises:
        ValueError: a side is smaller than 1, or the factor is not above 0.

    Example:
        >>> working_size(375, 500, (180, 240)), working_size(375, 500, 0.5)
        ((180, 240), (188, 250))
    """
    if isinstance(working_scale, tuple | list):
        return fitted_size(height, width, working_scale)
    numerator = scale_numerator(working_scale)
    if min(height, width) < 1:
        raise ValueError(f"Sizes must be at least 1. Received: height={height}, width={width}.")
    return tuple(
        max(1, (2 * side * numerator + SCALE_DENOMINATOR) // (2 * SCALE_DENOMINATOR)) for side in (height, width)
    )


def scale_numerator(factor: float) -> int:
    """A factor on the sides of an image in units of 1 / `SCALE_DENOMINATOR`.

    Raises:
        ValueError: it is not above 0, or above 16.
    """
    if not 0 < factor <= 16:
        raise ValueError(f"A factor on the sides of images must be above 0 and at most 16. Received: {factor!r}.")
    return max(1, round(factor * SCALE_DENOMINATOR))


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes an image with an antialiased bilinear filter.

    Args:
        image: (H, W, C), uint8, uint16 or float32.
        size: (height, width) of the result, in pixels.

    Returns:
        (height, width, C), of the same type; integers are rounded.

    Raises:
        ValueError: the image has another rank or dtype.
    """
    if image.ndim != 3 or image.dtype.name not in ("uint8", "uint16", "float32"):
        raise ValueError(
            f"`image` must be uint8, uint16 or float32 of shape (H, W, C). Received: image={image.dtype} {image.shape}."
        )
    if image.dtype == np.uint8 and image.shape[2] in (1, 3):
        return _resize(image[..., 0] if image.shape[2] == 1 else image, size).reshape(*size, image.shape[2])
    values = image if image.dtype == np.uint8 else image.astype(np.float32)
    resized = np.stack([_resize(values[..., channel], size) for channel in range(image.shape[2])], axis=-1)
    return np.clip(np.floor(resized + 0.5), 0, 65535).astype(np.uint16) if image.dtype == np.uint16 else resized


def _resize(pixels, size) -> np.ndarray:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def resize_label_map(label_map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes class ids by nearest neighbour: no new id appears.

    Args:
        label_map: (H, W), uint8.
        size: (height, width) of the result, in pixels.

    Returns:
        (height, width), uint8.

    Raises:
        ValueError: the label map has another rank or dtype.
    """
    if label_map.ndim != 2 or label_map.dtype != np.uint8:
        raise ValueError(
            f"`label_map` must be uint8 of shape (H, W). Received: label_map={label_map.dtype} {label_map.shape}."
        )
    return np.asarray(Image.fromarray(label_map).resize((size[1], size[0]), Image.Resampling.NEAREST))
