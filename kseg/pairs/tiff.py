"""TIFF beyond what Pillow decodes without loss: any number of bands, 8 to 64 bits, floating-point numbers, tiles, GeoTIFF.

tifffile reads it, with imagecodecs for the compressions. Refused: colours other than grey and RGB, such as CMYK, and files that
say which value marks pixels without data where such pixels occur. numpy only, the packages when a file is read.
"""

from __future__ import annotations

import functools
import logging
import struct
import zlib

import numpy as np

from kseg._extras import extra
from kseg.pairs.channels import MAX_CHANNELS, transpose_pixels
from kseg.pairs.decoding import EXIF_TRANSPOSES, ORIENTATION, check_pixels
from kseg.pairs.errors import PairError

GREY_OR_RGB = (0, 1, 2)  # photometric interpretations; bands beyond red, green and blue are extra samples
NO_DATA = 42113  # GDAL's tag
ERRORS = (
    OSError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, AttributeError, RuntimeError, struct.error,
    zlib.error,
)  # fmt: skip
"""What tifffile and the codecs of imagecodecs raise for corrupt bytes."""


def read_bands(source, page: int, where: str, max_pixels: int, missing: int | None = None) -> np.ndarray:
    """One page of a TIFF, upright.

    Args:
        source: path, or an open binary file.
        page: number of the page from 0.
        where: its place, for messages.
        max_pixels: height times width above which it is refused before it is decoded.
        missing: what pixels become that hold GDAL's value of missing data, as in a mask; None: they are refused.

    Returns:
        (H, W, C), of the type of the file.

    Raises:
        PairError: the page is damaged or too large, or holds something else than numbers in grey or RGB and further bands.
    """
    tifffile = _tifffile()
    try:
        with tifffile.TiffFile(_rewound(source)) as file:
            found = file.pages[page].aspage()
            _check(found, where, max_pixels)
            pixels = found.asarray(maxworkers=1)
            no_data = found.tags.valueof(NO_DATA)
            transpose = EXIF_TRANSPOSES.get(found.tags.valueof(ORIENTATION))
            pixels = np.moveaxis(pixels, 0, -1) if found.axes == "SYX" else pixels
    except PairError:  # is a ValueError, too
        raise
    except ERRORS as error:
        raise PairError(
            "damaged_file",
            f"A file must be whole. Received: {str(error) or type(error).__name__}",
            where,
            "Copy it again, or leave it out.",
        ) from error
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    no_data = parse_no_data(no_data)
    if missing is None:
        _refuse_missing_data(pixels, no_data, where)
    elif no_data is not None and not 0 <= no_data <= 255:
        pixels = _with_missing(pixels, no_data, missing, where)
    return transpose_pixels(pixels, transpose)


def read_no_data(source) -> float | None:
    """GDAL's value of missing data in the header of a TIFF; None where there is none, or where it cannot be read."""
    tifffile = _tifffile()
    try:
        with tifffile.TiffFile(source) as file:
            return parse_no_data(file.pages[0].aspage().tags.valueof(NO_DATA))
    except ERRORS:  # is reported when the page is read
        return None


def parse_no_data(tag) -> float | None:
    """The value of GDAL's tag of missing data; None where there is none, or no number."""
    try:
        return float(tag.strip("\0 ")) if isinstance(tag, str) else None
    except ValueError:
        return None


def _with_missing(pixels, no_data: float, missing: int, where) -> np.ndarray:
    """The pixels with `missing` where they hold the value of missing data, which no other pixel may hold."""
    with np.errstate(over="ignore"):
        lost = np.isnan(pixels) if np.isnan(no_data) else pixels == no_data
    if not lost.any():
        return pixels
    if (pixels[~lost] == missing).any():
        raise PairError(
            "no_data",
            f"Missing data becomes {missing}, which must be no other value of a mask. Received: {missing} and {no_data:g}",
            where,
            f"Write one value for void instead of {no_data:g}.",
        )
    kept = pixels[~lost]
    whole = not kept.size or (kept == np.floor(kept)).all()
    lossless = whole and (not kept.size or (kept.min() >= 0 and kept.max() <= 255))
    return np.where(lost, missing, pixels).astype(np.uint8 if lossless else pixels.dtype)


def count_full_pages(source) -> int:
    """The pages of a TIFF, at least 1, without the smaller copies and masks of transparency of cloud-optimised GeoTIFF."""
    tifffile = _tifffile()
    try:
        with tifffile.TiffFile(_rewound(source)) as file:
            pages = [page.aspage() for page in file.pages]
            return max(1, sum(not (page.is_reduced or page.is_mask) for page in pages))
    except ERRORS:  # is reported when the page is read
        return 1


@functools.cache
def _tifffile():
    """The package, which prints nothing of its own about damaged files, unless somebody has asked for that: errors are raised."""
    with extra("formats"):
        import imagecodecs  # noqa: F401  (without it, tifffile reads no LZW)
        import tifffile
    log = logging.getLogger("tifffile")
    if log.level == logging.NOTSET and not log.handlers:
        log.setLevel(logging.CRITICAL)
    return tifffile


def _rewound(source):
    if hasattr(source, "seek"):
        source.seek(0)
    return source


def _check(page, where, max_pixels):
    check_pixels(page.imagewidth, page.imagelength, where, max_pixels)
    bands, bits = page.samplesperpixel, page.bitspersample
    if page.photometric not in GREY_OR_RGB or page.dtype is None or page.dtype.kind not in "iufb" or page.axes not in (
        "YX", "YXS", "SYX",
    ):  # fmt: skip
        colours = getattr(page.photometric, "name", page.photometric)
        raise PairError(
            "unsupported_format",
            "A TIFF must hold real numbers in grey, RGB or further bands. "
            f"Received: {bands} samples of {bits} bits, colours {colours}",
            where,
            "Convert it to grey or RGB.",
        )
    if 0 in page.shape:
        raise ValueError(f"a picture of {page.imagewidth}x{page.imagelength} pixels in {bands} bands")
    if bands > MAX_CHANNELS:
        raise PairError(
            "too_many_channels",
            f"An image must have at most {MAX_CHANNELS} channels. Received: {bands}",
            where,
            "Keep the bands that matter.",
        )


def _refuse_missing_data(pixels, value: float | None, where):
    """Refuses pixels that hold the value of GDAL's tag for missing data; whole numbers without sign may mean it otherwise."""
    if value is None or pixels.dtype.kind not in "fi":
        return
    with np.errstate(over="ignore"):
        missing = np.count_nonzero(pixels == value)
    if missing:
        raise PairError(
            "no_data",
            f"Every pixel must have data. Received: the value of missing data, {value:g}, at {missing} of {pixels.size} values",
            where,
            "Fill these pixels, for example with the mean of their channel, and make them void in the mask.",
        )
