"""What the header of a JPEG 2000 says, and pictures that Pillow would cut to 8 bits, by imagecodecs. numpy only."""

from __future__ import annotations

import struct

import numpy as np

from kseg._extras import extra
from kseg.pairs.errors import PairError

START = b"\xff\x4f\xff\x51"
"""Of the codestream: its beginning, and the segment of sizes."""
STYLE = b"\xff\x52"
"""Segment of the coding style."""


def is_simple(data: bytes) -> bool:
    """Whether a picture is of 8 bits in grey or RGB, or of grey alone, which Pillow decodes without loss."""
    bits = bits_of_bands(data)
    return len(bits) == 1 or (len(bits) == 3 and max(bits) <= 8)


def bits_of_bands(data: bytes) -> list[int]:
    """Bits of each band; nothing where the header is damaged."""
    start = data.find(START)
    try:
        (bands,) = struct.unpack_from(">H", data, start + 40)
        return [(data[start + 42 + 3 * band] & 127) + 1 for band in range(bands)] if start >= 0 else []
    except (struct.error, IndexError):
        return []


def is_irreversible(data: bytes) -> bool:
    """Whether the wavelet of a picture loses values; one that does not may still have been cut off."""
    start = data.find(START)
    style = data.find(STYLE, start)
    return start >= 0 and style >= 0 and data[style + 13 : style + 14] == b"\0"


def read_samples(data: bytes, where: str) -> np.ndarray:
    """Every band of a picture with all its bits, (H, W, C).

    Raises:
        PairError: it is damaged.
    """
    with extra("formats"):
        import imagecodecs

    try:
        pixels = np.asarray(imagecodecs.jpeg2k_decode(data))
    except (RuntimeError, ValueError, OSError, MemoryError) as error:
        raise PairError("damaged_file", f"A file must be whole. Received: {error}", where, "Copy it again.") from error
    return pixels[..., None] if pixels.ndim == 2 else pixels
