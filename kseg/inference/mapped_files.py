"""Memory-mapped images and label maps that are larger than memory. numpy only."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import numpy as np

BAND_ROWS = 512


def bands(image, rows: int = BAND_ROWS) -> Iterator[tuple[int, np.ndarray]]:
    """Reads an image band by band, so that a mapped one takes the memory of one band.

    Args:
        image: (H, W, C), anything that numpy slices.
        rows: of a band.

    Yields:
        (first row, band (rows, W, C)).
    """
    for first in range(0, image.shape[0], rows):
        yield first, np.asarray(image[first : first + rows])
        release_pages(image)


def release_pages(array) -> None:
    """Releases the touched pages of a mapped file, which would otherwise count as memory of this process.

    Args:
        array: any array; one that is not mapped is left alone.
    """
    if isinstance(array, np.memmap) and array.mode != "c":  # the pages of copy-on-write hold what is in no file
        while isinstance(array, np.ndarray):
            array = array.base
        if isinstance(array, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            array.madvise(mmap.MADV_DONTNEED)
