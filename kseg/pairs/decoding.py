"""One encoded picture, opened only when it is whole.

Pillow alone shows half of a damaged JPEG as if nothing were wrong, and opens PNGs whose end is missing, which TensorFlow then
refuses in the middle of a training. So JPEGs are decoded strictly, with every warning of libjpeg an error, and the chunks of PNGs
are checked up to the last. What would fill the memory or the afternoon is refused before it is decoded. numpy, Pillow and
simplejpeg only.
"""

from __future__ import annotations

import io
import os
import struct
import zlib

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from kseg._extras import extra

MAX_PIXELS = 50_000_000
"""Of one picture by default: what a camera takes. Its probabilities of 21 classes have 4 GB when a label map is made of them."""

ORIENTATION = 0x0112  # EXIF tag
MAX_SCANS = 500
"""Of a progressive JPEG: cameras write 10; each costs a walk over all pixels and few bytes, so a small file can take hours."""

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
OTHER_KINDS = {  # how files begin that people have and that are not read
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
COLOUR_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}  # Pillow's names to simplejpeg's
EXIF_TRANSPOSES = {  # EXIF orientation to what sets the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, struct.error, zlib.error)
"""What Pillow raises at changed bytes."""

CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}  # of PNG; another decoder stops at any it does not know


SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by the colour type of PNG
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
"""Of an interlaced PNG the passes: first column and row, and the steps to the next."""

INFLATED = 2**20  # bytes at a time


class PairError(ValueError):
    """Files that cannot be used as they are.

    Attributes:
        name: of the fault, as docs/data_validation.md lists them.
        what: what is required, and what was received.
        where: path or paths.
        cure: what helps.
    """

    def __init__(self, name: str, what: str, where: str, cure: str):
        super().__init__(name, what, where, cure)
        self.name, self.what, self.where, self.cure = name, what, where, cure

    def __str__(self):
        return f"{self.what} [{self.where}]. {self.cure}"


def printable(path) -> str:
    """A path as text that can be printed and stored, whatever bytes its name has: a newline becomes `\\n`."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def open_image(data: bytes, where: str, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture in the bytes of a JPEG or PNG file, whole and with its pixels loaded.

    Of a JPEG that holds several pictures, as telephones write them, it is the first.

    Args:
        data: of the file.
        where: its place, for the message.
        max_pixels: height times width above which it is refused unseen.

    Raises:
        PairError: the file is empty, of another kind, damaged, animated or too large.
    """
    picture = _header(data, where)
    if picture.width * picture.height > max_pixels:
        raise PairError(
            "too_many_pixels",
            f"A picture must have at most {max_pixels:,} pixels. Received: {picture.width}x{picture.height}",
            where,
            "Cut it into tiles, or raise example_gen.max_pixels if there is memory for it.",
        )
    try:
        if picture.format == "PNG":
            _check_chunks(data)
        else:
            _check_scans(data, picture.mode)
        picture.load()
    except DAMAGE as error:
        raise _damaged(error, where) from error
    return picture


def _header(data, where):
    """The picture with its pixels not yet loaded."""
    if not data:
        raise PairError("empty_file", "A file must hold a picture. Received: 0 bytes", where, "Copy it anew.")
    if not data.startswith((PNG, JPEG)):
        raise _of_another_kind(data, where)
    try:
        picture = reopen_image(data)
    except DAMAGE as error:
        raise _damaged(error, where) from error
    if getattr(picture, "is_animated", False):
        raise PairError(
            "animated",
            f"A file must hold one picture. Received: {picture.n_frames} of an animation",
            where,
            "Store the one that its mask belongs to.",
        )
    return picture


def _of_another_kind(data, where) -> PairError:
    kind = next((kind for start, kind in OTHER_KINDS.items() if data.startswith(start)), None)
    kind = kind or ("HEIF" if data[4:8] == b"ftyp" else "unknown")
    return PairError(
        "unsupported_format",
        f"A file must be JPEG or PNG inside, whatever its name. Received: {len(data)} bytes of kind {kind}",
        where,
        "Convert it to PNG, or take the pair out.",
    )


def _damaged(error, where) -> PairError:
    said = str(error) or type(error).__name__
    return PairError(
        "damaged_file",
        f"A file must be whole. Received: {said}",
        where,
        "Copy it anew; if that is how it was made, save it anew from a program that shows it well, or take the pair out.",
    )


def reopen_image(data: bytes) -> Image.Image:
    """The picture in the bytes of a JPEG or PNG file that has been `opened` before; here it is not checked again."""
    return _parsed(io.BytesIO(data))


def _parsed(stream):
    kind = PngImageFile if stream.read(len(PNG)) == PNG else JpegImageFile
    stream.seek(0)
    return kind(stream)  # not Image.open, whose limit of pixels is one for the whole process


def has_colour(path) -> bool:
    """Whether the header of a JPEG or PNG file speaks of colours; False where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return _parsed(file).mode not in ("1", "L", "LA", "I", "I;16")
    except DAMAGE:  # `opened` says which file it is and why
        return False


def upright_transpose(picture: Image.Image) -> Image.Transpose | None:
    """What sets the picture upright, by its EXIF orientation; None where it is upright, or the EXIF cannot be read."""
    try:
        return EXIF_TRANSPOSES.get(picture.getexif().get(ORIENTATION))
    except DAMAGE:
        return None


def png_header(data: bytes) -> tuple[int, int]:
    """Bits a sample and colour type: bytes 24 and 25 of every PNG."""
    return data[24], data[25]


def _check_chunks(data):
    """Lengths and checksums of all chunks of a PNG, and that there are as many rows as the header says.

    Pillow stops reading at the last row, and leaves those black that are missing.
    """
    kind, start, bodies = b"", len(PNG), []
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + 8 + length
        if struct.unpack_from(">I", data, end)[0] != zlib.crc32(data[start + 4 : end]):
            raise ValueError(f"the checksum of chunk {kind.decode('latin-1')!r} is wrong")
        if kind[:1].isupper() and kind not in CRITICAL:
            raise ValueError(f"the chunk {kind.decode('latin-1')!r} is of no known kind")
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
            found += len(inflater.decompress(body, INFLATED))
            body = inflater.unconsumed_tail
    if found < expected:
        raise ValueError(f"the pixels end after {found} of {expected} bytes")


def _check_scans(data, mode):
    """Decodes a JPEG strictly."""
    scans = data.count(b"\xff\xda")
    if scans > MAX_SCANS:
        raise ValueError(f"{scans} scans, of which {MAX_SCANS} are allowed")
    with extra("data"):
        import simplejpeg
    simplejpeg.decode_jpeg(data, COLOUR_SPACES[mode], strict=True)
