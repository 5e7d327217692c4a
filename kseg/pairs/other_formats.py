"""Sides whose pixels are kept in other formats than PNG and JPEG; they are handed on as `kseg.pairs.channels` encodes them.

GIF, BMP, WebP, PPM, JPEG 2000 and TIFF of 8-bit grey and RGB and 16-bit grey are decoded by Pillow, other TIFF by
`kseg.pairs.tiff`, other JPEG 2000 by `kseg.pairs.jpeg2000`, .npy by numpy. Refused is what is no single picture, such as several
pages, and numbers that float32 does not hold. numpy and Pillow only.
"""

from __future__ import annotations

import dataclasses
import io
import pathlib
import re
import struct
import tokenize
import zipfile
import zlib

import numpy as np
from PIL import Image, UnidentifiedImageError

from kseg.labels import VOID
from kseg.pairs.channels import MAX_CHANNELS, encode_pixels
from kseg.pairs.decoding import DECODE_ERRORS, MAX_PIXELS, check_pixels
from kseg.pairs.errors import PairError, printable
from kseg.pairs.jpeg2000 import is_irreversible, is_simple, read_samples
from kseg.pairs.sides import PlainFile, Side, read_file
from kseg.pairs.tiff import NO_DATA, count_full_pages, parse_no_data, read_bands, read_no_data

PILLOW_FORMATS = {
    **{".bmp": "BMP", ".gif": "GIF", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP"},
    **{".jp2": "JPEG2000", ".j2k": "JPEG2000", ".ppm": "PPM", ".pgm": "PPM"},
}
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

BITS_PER_SAMPLE, SAMPLES_PER_PIXEL = 258, 277  # tags of TIFF
GREY_MODES = ("1", "L", "I;16", "I;16B")


def side_of(path: pathlib.Path) -> Side:
    """The side that reads a file, by its suffix."""
    suffix = path.suffix.lower()
    if suffix in PILLOW_FORMATS:
        return ConvertedFile(path)
    return ArrayFile(path) if suffix == ".npy" else PlainFile(path)


def reads_colour(side: Side) -> bool:
    """Whether a side that reads into an encoded picture of any format holds colours; False if it cannot be read."""
    try:
        with Image.open(io.BytesIO(side.read())) as image:
            return image.mode not in (*GREY_MODES, "LA", "I")
    except DECODE_ERRORS:  # among them ValueError, which a PairError is
        return False


@dataclasses.dataclass(frozen=True)
class ConvertedFile(PlainFile):
    """A file of one of `PILLOW_FORMATS` with one picture, or one page of it; see `Side`.

    Args:
        path: the file.
        page: number of the page from 0; None: the only one.
        is_mask: whether pixels of a TIFF that hold GDAL's value of missing data, where that is no value of a mask, become 255.
    """

    page: int | None = None
    is_mask: bool = False

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
                self._check(image, stream, max_pixels)
                image.seek(self.page or 0)
                if self.kind == "JPEG2000" and not is_simple(data := read_file(self.path, max_pixels)):
                    return encode_pixels(as_stored(read_samples(data, self.name), self.name))
                if self.kind != "TIFF" or (_is_simple(image) and not self._is_marked(image)):
                    image.load()
                    return self._convert(image)
        except PairError:  # is a ValueError, too
            raise
        except UnidentifiedImageError as error:
            if self.kind != "TIFF":
                raise self._format_error("no such file") from error
        except DECODE_ERRORS as error:
            raise PairError(
                "damaged_file",
                f"A file must be whole. Received: {str(error) or type(error).__name__}",
                self.name,
                "Copy it again, or leave it out.",
            ) from error
        pixels = read_bands(stream, self.page or 0, self.name, max_pixels, missing=VOID if self.is_mask else None)
        return encode_pixels(as_stored(as_mask_values(pixels) if self.is_mask else pixels, self.name))

    def _is_marked(self, image) -> bool:
        """Whether a mask has a value of missing data that is no value of a mask."""
        return self.is_mask and not 0 <= (parse_no_data(image.tag_v2.get(NO_DATA)) or 0) <= 255

    def has_colour(self) -> bool:
        try:
            with Image.open(self.path, formats=[self.kind]) as image:
                image.seek(self.page or 0)
                return image.mode not in GREY_MODES and not (image.mode == "P" and _grey_palette(image))
        except (UnidentifiedImageError, *DECODE_ERRORS):
            return False

    def _check(self, image, stream, max_pixels):
        check_pixels(image.width, image.height, self.name, max_pixels)
        pages = getattr(image, "n_frames", 1) if self.page is None else 1
        if pages > 1 and self.kind == "TIFF":
            pages = count_full_pages(stream)
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
        if self.kind == "PPM":
            image = self._unscaled(image)
        if image.mode not in (*GREY_MODES, "P", "RGB"):
            raise self._format_error(f"the bands {', '.join(image.getbands())} of mode {image.mode}")
        return encode(image)

    def _unscaled(self, image):
        """A PPM as it is stored; Pillow stretches samples below a greatest value of another size."""
        largest = greatest_sample(read_file(self.path))
        if largest not in (1, 255, 65_535) or (largest == 65_535 and image.mode != "I"):
            raise self._format_error(f"samples up to {largest} in {len(image.getbands())} bands")
        return Image.fromarray(np.asarray(image).astype(np.uint16)) if image.mode == "I" else image

    def _format_error(self, found) -> PairError:
        return PairError(
            "unsupported_format",
            f"A {self.kind} must be grey or RGB with 8 bits. Received: {found}",
            self.name,
            "Convert it to PNG, and decide which bands to keep.",
        )


def _is_simple(image) -> bool:
    """Whether Pillow decodes a TIFF without loss, to one of GREY_MODES, RGB of 8 bits or a palette."""
    bits, samples = image.tag_v2.get(BITS_PER_SAMPLE, (1,)), image.tag_v2.get(SAMPLES_PER_PIXEL, 1)
    if image.mode == "RGB":
        return samples == 3 and max(np.atleast_1d(bits)) <= 8
    return samples == 1 and image.mode in (*GREY_MODES, "P")


def greatest_sample(data: bytes) -> int:
    """The greatest sample that the header of a PPM or PGM announces; 1 for a bitmap, 0 where there is no such header."""
    words, kind = re.sub(rb"#[^\n]*", b"", data[:1000]).split(maxsplit=4)[:4], data[:2]
    if kind in (b"P1", b"P4"):
        return 1
    return int(words[3]) if len(words) == 4 and words[3].isdigit() else 0


def check_lossless(side: Side):
    """Refuses a mask in a lossy WebP or JPEG 2000, whose values are changed at every edge as those of a JPEG are.

    Raises:
        PairError: one of the files is such, or cannot be read.
    """
    for path in side.files:
        kind, is_lossy = LOSSY.get(path.suffix.lower(), ("", None))
        if is_lossy and is_lossy(read_file(path)):
            raise PairError(
                "lossy_mask",
                f"A mask must be without loss. Received: a lossy {kind}, which changes values at every edge",
                printable(path),
                f"Export the mask again as PNG, or as lossless {kind}; converting this one would keep its wrong values.",
            )


def _is_lossy_webp(data: bytes) -> bool:
    """Whether a chunk of a WebP file is a lossy picture."""
    start = 12
    while start + 8 <= len(data):
        if data[start : start + 4] == b"VP8 ":
            return True
        length = int.from_bytes(data[start + 4 : start + 8], "little")
        start += 8 + length + length % 2
    return False


LOSSY = {
    ".webp": ("WebP", _is_lossy_webp),
    ".jp2": ("JPEG 2000", is_irreversible),
    ".j2k": ("JPEG 2000", is_irreversible),
}


def find_no_data(side: Side) -> float | None:
    """GDAL's value of missing data in the header of a TIFF; None where there is none."""
    if not isinstance(side, ConvertedFile) or side.kind != "TIFF":
        return None
    try:
        with Image.open(side.path, formats=["TIFF"]) as image:
            return parse_no_data(image.tag_v2.get(NO_DATA))
    except UnidentifiedImageError:  # of bands that Pillow does not know
        return read_no_data(side.path)
    except DECODE_ERRORS:  # is reported when it is read
        return None


def _grey_palette(image) -> bool:
    """Whether the colours of a palette are all grey."""
    colours = np.array(image.getpalette("RGB")).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


@dataclasses.dataclass(frozen=True)
class ArrayFile(PlainFile):
    """A file of numpy's with one array; see `Side` and `encode_array`."""

    is_mask: bool = False

    kind = "npy"

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        return encode_array(self._load(max_pixels), self.name, max_pixels, is_mask=self.is_mask)

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


def encode_array(pixels: np.ndarray, where: str, max_pixels: int = MAX_PIXELS, *, is_mask: bool = False) -> bytes:
    """An array as PNG, or as `encode_pixels` encodes it where a PNG cannot hold it.

    Whole numbers in 0..255 become 8 bits where there are 1 or 3 channels, as masks and pictures have them.

    Args:
        pixels: (H, W), (H, W, C) or (C, H, W); where the first axis is shorter than the last, it is that of the channels. Numbers
            as `as_stored` takes them.
        where: its place, for messages.
        max_pixels: height times width above which it is refused.
        is_mask: whether it holds classes, see `as_mask_values`.

    Raises:
        PairError: the array has another shape, type or range, or is too large.
    """
    if pixels.ndim not in (2, 3) or not pixels.size:
        raise _array_error(pixels, where)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    elif pixels.shape[-1] not in (1, 3) and (pixels.shape[0] in (1, 3) or pixels.shape[0] < pixels.shape[-1]):
        pixels = np.moveaxis(pixels, 0, -1)
    check_pixels(pixels.shape[1], pixels.shape[0], where, max_pixels)
    if pixels.shape[-1] > MAX_CHANNELS:
        raise _array_error(pixels, where)
    pixels = as_mask_values(pixels) if is_mask else pixels
    is_grey_16 = pixels.dtype == np.uint16 and pixels.shape[-1] == 1
    if pixels.shape[-1] in (1, 3) and not is_grey_16 and _is_8_bits(pixels):
        pixels = np.ascontiguousarray(pixels, np.uint8)
        return encode(Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))
    return encode_pixels(as_stored(pixels, where))


def as_mask_values(pixels: np.ndarray) -> np.ndarray:
    """The values of a mask: of one channel for each class, the number of that which is 1; of floats, whole numbers in 0..255.

    Args:
        pixels: (H, W, C), of a real type.

    Returns:
        (H, W, 1) where they are such, otherwise as they are.
    """
    if pixels.dtype.kind not in "biuf":
        return pixels
    if pixels.shape[-1] > 1 and ((pixels == 0) | (pixels == 1)).all() and (np.sum(pixels, axis=-1) == 1).all():
        return np.argmax(pixels, axis=-1)[..., None]
    if pixels.dtype.kind == "f" and ((pixels >= 0) & (pixels <= 255) & (pixels == np.floor(pixels))).all():
        return pixels.astype(np.uint8)
    return pixels


def as_stored(pixels: np.ndarray, where: str) -> np.ndarray:
    """Pixels in the type in which they are stored: uint8 and uint16 as they are, others as uint8 if they fit, or else as float32.

    Args:
        pixels: (H, W, C), of a real type.
        where: their place, for messages.

    Raises:
        PairError: there are no numbers, or whole numbers that float32 does not hold.
    """
    if pixels.dtype.name in ("uint8", "uint16"):
        return pixels
    if pixels.dtype.kind not in "biuf":
        raise _array_error(pixels, where)
    if pixels.dtype.kind != "f" and _is_8_bits(pixels):
        return pixels.astype(np.uint8)
    with np.errstate(over="ignore"):  # infinity is refused when the pair is read
        stored = pixels.astype(np.float32)
    if pixels.dtype.kind in "iu" and (stored.astype(np.float64) != pixels).any():
        raise PairError(
            "values_too_large",
            "Whole numbers must be those that float32 holds, up to 16,777,216. "
            f"Received: {pixels.dtype}, {pixels.min()} to {pixels.max()}",
            where,
            "Scale them, or save them as floating-point numbers.",
        )
    return stored


def _is_8_bits(pixels) -> bool:
    """Whether an array holds whole numbers, or truth values, in 0..255."""
    return pixels.dtype.kind in "biu" and int(pixels.min()) >= 0 and int(pixels.max()) <= 255


def _array_error(pixels, where) -> PairError:
    return PairError(
        "unsupported_array",
        f"An array must have the shape (H, W) or (H, W, C), C at most {MAX_CHANNELS}, and real numbers. "
        f"Received: {pixels.dtype} {pixels.shape}",
        where,
        "Save images as uint8, uint16 or float32, masks as the values of the classes.",
    )


def encode(image: Image.Image) -> bytes:
    """A picture as PNG without metadata."""
    stream = io.BytesIO()
    image.info.clear()
    image.save(stream, "PNG")
    return stream.getvalue()
