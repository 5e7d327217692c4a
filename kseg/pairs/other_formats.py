"""Sides whose pixels are kept in other formats than PNG and JPEG, and are handed on as PNG. numpy and Pillow only.

TIFF, GIF, BMP and WebP are decoded by Pillow, .npy by numpy. Refused is what a PNG of 8 or 16 bits cannot hold without loss, or
what is no single picture: several pages, bands beyond red, green and blue, floating-point numbers.
"""

from __future__ import annotations

import dataclasses
import io
import pathlib
import struct
import tokenize
import zipfile
import zlib

import numpy as np
from PIL import Image, UnidentifiedImageError

from kseg.pairs.decoding import DECODE_ERRORS, MAX_PIXELS, check_pixels
from kseg.pairs.errors import PairError, printable
from kseg.pairs.sides import PlainFile, Side, read_file

PILLOW_FORMATS = {".bmp": "BMP", ".gif": "GIF", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP"}
ARRAY_ERRORS = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    OverflowError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zlib.error,
    zipfile.BadZipFile,
)
"""What numpy and zipfile raise where a file is damaged, encrypted or packed in another way."""

GREY_MODES = ("1", "L", "I;16", "I;16B")


def side_of(path: pathlib.Path) -> Side:
    """The side that reads a file, by its suffix."""
    suffix = path.suffix.lower()
    if suffix in PILLOW_FORMATS:
        return ConvertedFile(path)
    return ArrayFile(path) if suffix == ".npy" else PlainFile(path)


@dataclasses.dataclass(frozen=True)
class ConvertedFile(PlainFile):
    """A file of TIFF, GIF, BMP or WebP with one picture, or one page of it; see `Side`.

    Args:
        path: the file.
        page: number of the page from 0; None: the only one.
    """

    page: int | None = None

    @property
    def name(self) -> str:
        place = printable(self.path)
        return place if self.page is None else f"{place}, page {self.page + 1}"

    @property
    def own_file(self) -> pathlib.Path | None:
        return self.path if self.page is None else None

    @property
    def kind(self) -> str:
        return PILLOW_FORMATS[self.path.suffix.lower()]

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        # A stack may be far larger than a picture: its pages are read from the file one by one.
        stream = io.BytesIO(read_file(self.path, max_pixels)) if self.page is None else self.path
        try:
            with Image.open(stream, formats=[self.kind]) as image:
                self._check(image, max_pixels)
                image.seek(self.page or 0)
                image.load()
                return self._convert(image)
        except PairError:  # is a ValueError, too
            raise
        except UnidentifiedImageError as error:
            raise self._format_error("neither grey nor RGB of 8 or 16 bits, or no such file") from error
        except DECODE_ERRORS as error:
            raise PairError(
                "damaged_file",
                f"A file must be whole. Received: {str(error) or type(error).__name__}",
                self.name,
                "Copy it again, or remove the pair.",
            ) from error

    def has_colour(self) -> bool:
        try:
            with Image.open(self.path, formats=[self.kind]) as image:
                image.seek(self.page or 0)
                return image.mode not in GREY_MODES and not (image.mode == "P" and _grey_palette(image))
        except (UnidentifiedImageError, *DECODE_ERRORS):
            return False

    def _check(self, image, max_pixels):
        check_pixels(image.width, image.height, self.name, max_pixels)
        pages = getattr(image, "n_frames", 1) if self.page is None else 1
        if pages > 1:
            raise PairError(
                "animated",
                f"A file must hold one image. Received: {pages} pages or frames",
                self.name,
                "Save the one that the mask belongs to, or give stacks of the same number of pages for images and masks.",
            )

    def _convert(self, image) -> bytes:
        """The picture as PNG; a palette of GIF or BMP, whose order is each file's own, is replaced by its colours."""
        if image.mode == "P" and (self.kind != "TIFF" or _grey_palette(image)):
            image = image.convert("L" if _grey_palette(image) else "RGB")
        if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
            image = image.convert("RGB")
        if image.mode not in (*GREY_MODES, "P", "RGB"):
            raise self._format_error(f"the bands {', '.join(image.getbands())} of mode {image.mode}")
        return encode(image)

    def _format_error(self, found) -> PairError:
        return PairError(
            "unsupported_format",
            f"A {self.kind} must be grey or RGB with 8 bits, or grey with 16. Received: {found}",
            self.name,
            "Convert it to PNG, and decide which bands to keep.",
        )


def _grey_palette(image) -> bool:
    """Whether the colours of a palette are all grey."""
    colours = np.array(image.getpalette("RGB")).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


@dataclasses.dataclass(frozen=True)
class ArrayFile(PlainFile):
    """A file of numpy's with one array; see `Side` and `encode_array`."""

    kind = "npy"

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        return encode_array(self._load(max_pixels), self.name, max_pixels)

    def has_colour(self) -> bool:
        try:
            return self._load().ndim == 3
        except PairError:
            return False

    def _load(self, max_pixels: int = MAX_PIXELS) -> np.ndarray:
        try:
            return np.lib.format.open_memmap(self.path, mode="r")
        except ARRAY_ERRORS as error:
            raise PairError(
                "damaged_file",
                f"A file must hold one array of numpy's. Received: {error}",
                self.name,
                "Save it by numpy.save without pickled objects.",
            ) from error


def encode_array(pixels: np.ndarray, where: str, max_pixels: int = MAX_PIXELS) -> bytes:
    """An array as PNG.

    Args:
        pixels: (H, W), (H, W, 1), (H, W, 3), (1, H, W) or (3, H, W); integers in 0..255, 16 bits without sign where there is one
            channel, or truth values.
        where: its place, for messages.
        max_pixels: height times width above which it is refused.

    Raises:
        PairError: the array has another shape, type or range, or is too large.
    """
    if pixels.ndim == 3 and pixels.shape[-1] not in (1, 3) and pixels.shape[0] in (1, 3):
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    wanted = "An array must have the shape (H, W) or (H, W, 3) and integers in 0..255"
    if (
        pixels.ndim not in (2, 3)
        or pixels.shape[2:] not in ((), (3,))
        or not pixels.size
        or pixels.dtype.kind not in "biu"
    ):
        raise PairError(
            "unsupported_array",
            f"{wanted}. Received: {pixels.dtype} {pixels.shape}",
            where,
            "Save images as uint8 in 0..255, masks as the values of the classes.",
        )
    check_pixels(pixels.shape[1], pixels.shape[0], where, max_pixels)
    if pixels.dtype == np.uint16 and pixels.ndim == 2:
        return encode(Image.fromarray(np.ascontiguousarray(pixels)))
    lowest, highest = int(pixels.min()), int(pixels.max())
    if lowest < 0 or highest > 255:
        raise PairError(
            "values_above_255",
            f"{wanted}. Received: {lowest} to {highest}",
            where,
            "Write class values with 8 bits, and void as 255.",
        )
    return encode(Image.fromarray(np.ascontiguousarray(pixels, np.uint8)))


def encode(image: Image.Image) -> bytes:
    """A picture as PNG without metadata."""
    stream = io.BytesIO()
    image.info.clear()
    image.save(stream, "PNG")
    return stream.getvalue()
