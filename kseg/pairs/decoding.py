"""Strict decoding of JPEG and PNG files. numpy, Pillow and simplejpeg only.

Pillow silently fills the missing half of a JPEG, and opens PNGs without an end, which TensorFlow then refuses in the middle of
training. So JPEGs are decoded with every libjpeg warning as an error, and every chunk of a PNG is checked. Files that would take
too much memory or time are refused before they are decoded.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageChops
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from kseg._extras import extra
from kseg.pairs.errors import PairError

MAX_PIXELS = 50_000_000
"""Default limit of one image, enough for cameras. A prediction of 21 classes then takes 4 GB."""

ORIENTATION = 0x0112  # EXIF tag
MAX_SCANS = 500
"""Limit of a progressive JPEG. Cameras write 10; a scan of few bytes costs a pass over all pixels, so small files can be slow."""

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
OTHER_FORMATS = {  # first bytes of common files that are not read
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"RIFF": "WebP",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"%PDF": "PDF",
    b"PK\x03\x04": "ZIP",
    b"\x93NUMPY": "NumPy",
}
COLOUR_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}  # simplejpeg's names by Pillow's
EXIF_TRANSPOSES = {  # by EXIF orientation, the operation that turns the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    ArithmeticError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for corrupt bytes."""

CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}  # chunks of PNG; other decoders refuse unknown critical ones

SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # samples of a pixel, by colour type of PNG
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
"""Passes of an interlaced PNG: first column and row, column and row steps."""

FULL_RANGE = 2**16 - 1
INFLATE_BYTES = 2**20  # decompressed at a time


def open_image(data: bytes, where: str, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decodes a JPEG or PNG file and checks that it is complete.

    If a JPEG holds several images, as phones write them, the first one counts.

    Args:
        data: the encoded file.
        where: its path, for messages.
        max_pixels: height times width above which the file is refused before it is decoded.

    Raises:
        PairError: the file is empty, of another format, damaged, animated or too large.
    """
    image = _header(data, where)
    check_pixels(image.width, image.height, where, max_pixels)
    try:
        if image.format == "PNG":
            _check_chunks(data)
        else:
            _check_scans(data, image.mode)
        image.load()
    except DECODE_ERRORS as error:
        raise _damaged(error, where) from error
    if image.mode == "CMYK" and "adobe" not in image.info:  # Pillow takes all CMYK as inverted, which Adobe's alone is
        return ImageChops.invert(image)
    return image


def check_pixels(width: int, height: int, where: str, max_pixels: int):
    """Refuses a picture that is too large, before it is decoded.

    Raises:
        PairError: it has more than `max_pixels`.
    """
    if width * height > max_pixels:
        raise PairError(
            "too_many_pixels",
            f"An image must have at most {max_pixels:,} pixels. Received: {width}x{height}",
            where,
            "Cut it into tiles, or raise example_gen.max_pixels if the memory suffices.",
        )


def _header(data, where):
    """The image before its pixels are decoded."""
    if not data:
        raise PairError("empty_file", "A file must hold an image. Received: 0 bytes", where, "Copy it again.")
    if not data.startswith((PNG, JPEG)):
        raise _format_error(data, where)
    try:
        image = reopen_image(data)
    except DECODE_ERRORS as error:
        raise _damaged(error, where) from error
    if getattr(image, "is_animated", False):
        raise PairError(
            "animated",
            f"A file must hold one image. Received: {image.n_frames} frames of an animation",
            where,
            "Save the frame that the mask belongs to.",
        )
    return image


def _format_error(data, where) -> PairError:
    kind = next((kind for start, kind in OTHER_FORMATS.items() if data.startswith(start)), None)
    kind = kind or ("HEIF" if data[4:8] == b"ftyp" else "unknown")
    return PairError(
        "unsupported_format",
        f"The content of a file must be JPEG or PNG. Received: {len(data)} bytes of kind {kind}",
        where,
        "Convert it to PNG, or leave it out.",
    )


def _damaged(error, where) -> PairError:
    return PairError(
        "damaged_file",
        f"A file must be whole. Received: {str(error) or type(error).__name__}",
        where,
        "Copy it again; if the original is damaged too, save it again from a program that opens it, or leave it out.",
    )


def reopen_image(data: bytes) -> Image.Image:
    """Decodes a JPEG or PNG file that `open_image` accepted before, without checking it again."""
    return _parse(io.BytesIO(data))


def _parse(stream):
    kind = PngImageFile if stream.read(len(PNG)) == PNG else JpegImageFile
    stream.seek(0)
    return kind(stream)  # not Image.open, whose pixel limit is global


def has_colour(path) -> bool:
    """Whether a JPEG or PNG file holds colours according to its header; False if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return _parse(file).mode not in ("1", "L", "LA", "I", "I;16")
    except DECODE_ERRORS:  # `open_image` reports it
        return False


def upright_transpose(image: Image.Image) -> Image.Transpose | None:
    """The operation that turns an image upright by its EXIF orientation; None if it is upright or its EXIF is unreadable."""
    try:
        return EXIF_TRANSPOSES.get(image.getexif().get(ORIENTATION))
    except DECODE_ERRORS:
        return None


def turn_upright(image: Image.Image) -> Image.Image:
    """The image as its EXIF orientation says that it is displayed."""
    transpose = upright_transpose(image)
    return image if transpose is None else image.transpose(transpose)


def has_16_bits(data: bytes) -> bool:
    """Whether an encoded image, or its first bytes, is a PNG of 16 bits per sample."""
    return data.startswith(PNG) and data[24:25] == b"\x10"


def to_8_bits(samples: np.ndarray, image_range: int | None = None) -> np.ndarray:
    """Scales samples of 16 bits to uint8.

    Args:
        samples: uint16.
        image_range: sample that becomes 255, as larger ones do; None: the upper 8 bits, as TensorFlow reads them.

    Example:
        >>> to_8_bits(np.array([0, 2040, 4080, 65535], np.uint16), 4080).tolist()
        [0, 128, 255, 255]
    """
    if image_range is None:
        return (samples >> 8).astype(np.uint8)
    return np.minimum((samples.astype(np.int64) * 510 + image_range) // (2 * image_range), 255).astype(np.uint8)


def decode_16_bits(data: bytes) -> np.ndarray:
    """Decodes a PNG of 16 bits, which `open_image` accepted before: (H, W, C), uint16, without alpha, so that C is 1 or 3."""
    samples = decode_samples(data)
    return samples[..., : samples.shape[-1] - 1 + samples.shape[-1] % 2]


def decode_samples(data: bytes) -> np.ndarray:
    """Decodes a PNG of 16 bits, which `open_image` accepted before: (H, W, C), uint16, alpha included.

    Pillow itself keeps only the upper 8 bits of colours and of grey with alpha.
    """
    image = reopen_image(data)
    _, colour_type = png_header(data)
    if colour_type == 0:
        return np.asarray(image).astype(np.uint16)[..., None]
    if colour_type == 4:  # four bytes a pixel, which Pillow reads as four channels
        image._mode, high, low = "RGBA", slice(0, None, 2), slice(1, None, 2)
        image.tile = [tile._replace(args="RGBA") for tile in image.tile]
        samples = np.asarray(image).astype(np.uint16)
        return samples[..., high] << 8 | samples[..., low]
    high = np.asarray(image).astype(np.uint16)
    image = reopen_image(data)
    image.tile = [
        tile._replace(args=tile.args.replace("16B", "16L")) for tile in image.tile
    ]  # the second byte of each sample
    return high << 8 | np.asarray(image)


def png_header(data: bytes) -> tuple[int, int]:
    """Bits per sample and colour type of a PNG: its bytes 24 and 25."""
    return data[24], data[25]


def _check_chunks(data):
    """Checks lengths and checksums of all chunks of a PNG, and the number of rows.

    Pillow stops reading at the last row, and leaves missing rows black.
    """
    kind, start, bodies = b"", len(PNG), []
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + 8 + length
        if struct.unpack_from(">I", data, end)[0] != zlib.crc32(data[start + 4 : end]):
            raise ValueError(f"the checksum of chunk {kind.decode('latin-1')!r} is wrong")
        if kind[:1].isupper() and kind not in CRITICAL:
            raise ValueError(f"the chunk {kind.decode('latin-1')!r} is unknown")
        if kind == b"IDAT":
            bodies.append(data[start + 8 : end])
        start = end + 4
    _check_rows(bodies, *struct.unpack_from(">IIBBBBB", data, 16))


def _check_rows(bodies, width, height, depth, colour_type, _compression, _filter, interlaced):
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    sizes = [(-((x - width) // dx), -((y - height) // dy)) for x, y, dx, dy in passes]
    expected = sum(
        rows * (1 + -(-columns * depth * SAMPLES[colour_type] // 8)) for columns, rows in sizes if columns > 0
    )
    inflater, found = zlib.decompressobj(), 0
    for body in bodies:
        while body and found < expected:
            found += len(inflater.decompress(body, INFLATE_BYTES))
            body = inflater.unconsumed_tail
    if found < expected:
        raise ValueError(f"the pixels end after {found} of {expected} bytes")


def _check_scans(data, mode):
    """Decodes a JPEG strictly."""
    scans = data.count(b"\xff\xda")
    if scans > MAX_SCANS:
        raise ValueError(f"{scans} scans, at most {MAX_SCANS} are allowed")
    with extra("data"):
        import simplejpeg
    simplejpeg.decode_jpeg(data, COLOUR_SPACES[mode], strict=True)
