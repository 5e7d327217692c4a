"""One way to resize, for Beam workers, training and the exported graph alike.

A model that is trained on images resized one way and served with another is a different model, so this module states the rule
once: an image keeps its aspect, is fitted into a box with an antialiased triangle ("bilinear") filter and is rounded to uint8;
label maps take the nearest pixel. Beam workers call the numpy and Pillow functions; the functions
that end in `_in_graph` are their TensorFlow twins and import TensorFlow only when called. The twins differ by at most one grey
level, because Pillow rounds between its two passes. Images that are not uint8 with 1 or 3 channels are refused.
"""

from __future__ import annotations

import numpy as np
from PIL import Image


def fitted_size(height: int, width: int, box: tuple[int, int]) -> tuple[int, int]:
    """The largest size of the same aspect that lies inside `box`; it also scales up.

    Integer arithmetic, rounded half up, so that the graph's twin cannot disagree by a pixel.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        box: (height, width) to fit into, in pixels.

    Returns:
        (height, width) in pixels, each at least 1, one of them the box's.

    Raises:
        ValueError: a size is smaller than 1.

    Example:
        >>> fitted_size(375, 500, box=(180, 240))
        (180, 240)
        >>> fitted_size(500, 375, box=(180, 240))
        (180, 135)
    """
    box_height, box_width = box
    if min(height, width, box_height, box_width) < 1:
        raise ValueError(f"Sizes must be at least 1. Received: height={height}, width={width}, box={tuple(box)}.")
    if box_height * width <= box_width * height:
        return box_height, max(1, (2 * width * box_height + height) // (2 * height))
    return max(1, (2 * height * box_width + width) // (2 * width)), box_width


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes an image with an antialiased bilinear filter.

    Args:
        image: (H, W, C), uint8, C = 1 or 3.
        size: (height, width) of the result, in pixels.

    Returns:
        (height, width, C), uint8.

    Raises:
        ValueError: the image is of another shape or dtype.
    """
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.dtype != np.uint8:
        raise ValueError(
            f"`image` must be uint8 of shape (H, W, 1) or (H, W, 3). Received: image={image.dtype} {image.shape}."
        )
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    resized = np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    return resized.reshape(*size, image.shape[2])


def resize_label_map(label_map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes class ids by taking the nearest pixel, so that no id appears that was not there.

    Args:
        label_map: (H, W), uint8.
        size: (height, width) of the result, in pixels.

    Returns:
        (height, width), uint8.

    Raises:
        ValueError: the label map is of another shape or dtype.
    """
    if label_map.ndim != 2 or label_map.dtype != np.uint8:
        raise ValueError(
            f"`label_map` must be uint8 of shape (H, W). Received: label_map={label_map.dtype} {label_map.shape}."
        )
    return np.asarray(Image.fromarray(label_map).resize((size[1], size[0]), Image.Resampling.NEAREST))
