"""Which images show the same as an earlier one: to the pixel, or nearly.

An image's *look* is 128 bits: on a grid of 8x8 the signs of the brightness differences to the right and downwards (dHash, in both
directions). Saving as JPEG, halving the size or brightening changes few of them; a copy that is turned, mirrored or cropped by
more than some 3 % is not found. numpy and Pillow only.
"""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image

GRID = 8
COMPARISONS = 2**22  # at a time
FAR = 255

SPLITS = ("train", "validation", "test")


def pixel_digest(pixels: np.ndarray) -> str:
    """SHA-256 of shape and values: the same for two files that show the same."""
    return hashlib.sha256(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def look(image: np.ndarray) -> str:
    """The look of an image (H, W, C), uint8, as 32 hexadecimal digits.

    Example:
        >>> look(np.zeros((4, 4, 1), np.uint8)) == 32 * "0"  # no difference has a sign
        True
    """
    grey = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("L")
    across = np.asarray(grey.resize((GRID + 1, GRID), Image.Resampling.BOX), np.int16)
    down = np.asarray(grey.resize((GRID, GRID + 1), Image.Resampling.BOX), np.int16)
    return (
        np.packbits(np.concatenate([np.diff(across, axis=1) > 0, np.diff(down, axis=0) > 0], axis=None)).tobytes().hex()
    )


def in_order(images: list[dict]) -> list[dict]:
    """Images by split, train first, and key: what a later one repeats, it repeats of an earlier one."""
    return sorted(images, key=lambda image: (SPLITS.index(image["split"]), image["key"]))


def name(image: dict) -> str:
    """Split and key as one text."""
    return f"{image['split']}/{image['key']}"


def exact_duplicates(images: list[dict]) -> list[dict]:
    """Images whose pixels are those of an earlier one.

    Args:
        images: {"split", "key", "pixels" (digest of the image), "labels" (digest of its label map)}.

    Returns:
        A row for each, {"image", "of" (the first with these pixels), "same_labels"}, as "split/key".
    """
    first, rows = {}, []
    for image in in_order(images):
        other = first.setdefault(image["pixels"], image)
        if other is not image:
            rows.append(
                {"image": name(image), "of": name(other), "same_labels": image["labels"] == other["labels"]},
            )
    return rows


def near_duplicates(images: list[dict], most_bits: int) -> list[dict]:
    """Images that look like an earlier one without being the same to the pixel.

    All are compared with all, 0.3 s for 10,000 and 30 s for 100,000 images on one core.

    Args:
        images: {"split", "key", "pixels", "look"}.
        most_bits: by which two looks may differ, of 128.

    Returns:
        For each image and each split with one earlier that is like it, a row {"image", "of" (the likest), "bits"}.
    """
    images = in_order(images)
    if len(images) < 2:
        return []
    looks = np.array([np.frombuffer(bytes.fromhex(image["look"]), np.uint64) for image in images])
    _, same = np.unique([image["pixels"] for image in images], return_inverse=True)
    splits = np.array([SPLITS.index(image["split"]) for image in images])
    rows = []
    for split in range(len(SPLITS)):
        (earlier,) = np.nonzero(splits == split)
        (later,) = np.nonzero(splits >= split)
        for part in np.array_split(later, -(-len(later) * len(earlier) // COMPARISONS) or 1):
            if not (len(part) and len(earlier)):
                continue
            bits = np.bitwise_count(looks[part, None] ^ looks[None, earlier]).sum(axis=-1)
            bits[earlier[None] >= part[:, None]] = FAR
            equal = (same[part, None] == same[None, earlier]) & (bits < FAR)
            nearest = np.where(equal.any(axis=1)[:, None], FAR, bits)
            for row in np.flatnonzero(nearest.min(axis=1) <= most_bits):
                column = int(nearest[row].argmin())
                image, of = images[part[row]], images[earlier[column]]
                rows.append({"image": name(image), "of": name(of), "bits": int(nearest[row, column])})
    return rows
