"""Images of any number of channels, of 8 or 16 bits or of floating-point numbers: which kind they are, and how they are encoded.

A data set has one kind. Plain is what JPEG and 8-bit PNG hold, grey or RGB. What else a PNG holds that everybody reads, four
channels of 8 or 16 bits, is a PNG; anything else is an array of numpy's behind the bytes TENSOR, which no file of a user's begins
with. Numbers are kept as they are: integers of 8 and 16 bits, all others as float32. numpy and Pillow only.
"""

from __future__ import annotations

import dataclasses
import io
import struct
import zlib
from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image

from kseg.pairs.decoding import PNG, decode_samples, has_16_bits, png_header
from kseg.pairs.errors import PairError

TENSOR = b"\x93TENSOR\n"
"""First bytes of an encoded array."""

DTYPES = ("uint8", "uint16", "float32")
MAX_CHANNELS = 512
"""Hyperspectral cameras have about 250."""

MAX_ALPHA_LEVELS = 16  # partial transparencies of a picture's alpha; a fourth band has more
PNG_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by number of channels


@dataclasses.dataclass(frozen=True)
class PixelKind:
    """What every image of a data set holds.

    Attributes:
        channels: C.
        dtype: one of DTYPES, of what is stored.
    """

    channels: int
    dtype: str = "uint8"

    @classmethod
    def of(cls, pixels: np.ndarray) -> PixelKind:
        """That of an image (..., C)."""
        return cls(pixels.shape[-1], pixels.dtype.name)

    @classmethod
    def recorded(cls, record: Mapping) -> PixelKind:
        """That which statistics or a plan state; without a dtype, as earlier versions wrote them, it is uint8."""
        return cls(record["channels"], record.get("dtype", "uint8"))

    @property
    def is_plain(self) -> bool:
        """Whether it is 8-bit grey or RGB."""
        return self.dtype == "uint8" and self.channels in (1, 3)

    @property
    def is_png(self) -> bool:
        """Whether it is stored as PNG, or JPEG where it is plain."""
        return self.dtype != "float32" and self.channels in (1, 3, 4)

    def __str__(self) -> str:
        return f"{self.channels} channel{'s' if self.channels > 1 else ''} of {self.dtype}"


def kind_of(data: bytes) -> PixelKind:
    """The kind of an encoded array, or of a PNG by its header; that of a palette counts as RGB.

    Args:
        data: a PNG, or what `encode_pixels` returned.
    """
    if data.startswith(TENSOR):
        return PixelKind.of(decode_tensor(data))
    depth, colour_type = png_header(data)
    channels = {number: channels for channels, number in PNG_COLOUR_TYPES.items()}.get(colour_type, 3)
    return PixelKind(channels, "uint16" if depth == 16 else "uint8")


def encode_pixels(pixels: np.ndarray) -> bytes:
    """Encodes an image without loss, always to the same bytes: as PNG if it is of 8 or 16 bits and has 1, 3 or 4 channels.

    Args:
        pixels: (H, W, C), of one of DTYPES.
    """
    pixels = np.ascontiguousarray(pixels)
    if PixelKind.of(pixels).is_png:
        return encode_as_png(pixels)
    stream = io.BytesIO()
    stream.write(TENSOR)
    np.save(stream, pixels, allow_pickle=False)
    return stream.getvalue()


def decode_tensor(data: bytes) -> np.ndarray:
    """The array (H, W, C) behind TENSOR."""
    stream = io.BytesIO(data)
    stream.seek(len(TENSOR))
    return np.load(stream, allow_pickle=False)


def read_tensor(data: bytes, where: str) -> np.ndarray:
    """The array (H, W, C) behind TENSOR in a file, which may be anybody's.

    Raises:
        PairError: there is none, or one that `encode_pixels` does not write.
    """
    try:
        pixels = decode_tensor(data)
        if pixels.ndim != 3 or pixels.dtype.name not in DTYPES or 0 in pixels.shape:
            raise ValueError(f"an array {pixels.dtype} {pixels.shape}")
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError, OverflowError, TypeError, KeyError) as error:
        raise PairError("damaged_file", f"A file must be whole. Received: {error}", where, "Copy it again.") from error
    return pixels


def encode_as_png(pixels: np.ndarray) -> bytes:
    """A PNG of 8 or 16 bits; Pillow writes no 16-bit colours. Each row holds the differences from the one above (filter 2)."""
    samples = pixels.astype(pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(len(pixels), -1)
    rows = np.full((len(pixels), 1 + samples.shape[1]), 2, np.uint8)
    rows[0, 1:] = samples[0]
    np.subtract(samples[1:], samples[:-1], out=rows[1:, 1:])
    return png_file(pixels.shape[:2], PixelKind.of(pixels), [rows.tobytes()])


def png_file(size: tuple[int, int], kind: PixelKind, rows: Iterable[bytes]) -> bytes:
    """A PNG of 1 to 4 channels of 8 or 16 bits.

    Args:
        size: (height, width) in pixels.
        kind: of the pixels.
        rows: the bytes of the rows from the top, in parts, each row behind the number of its filter.
    """
    bits = 8 * np.dtype(kind.dtype).itemsize
    header = struct.pack(">IIBBBBB", size[1], size[0], bits, PNG_COLOUR_TYPES[kind.channels], 0, 0, 0)
    deflate = zlib.compressobj()
    body = b"".join(deflate.compress(part) for part in rows) + deflate.flush()
    return PNG + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    )


def alpha_levels(image: Image.Image, data: bytes) -> tuple[int, float]:
    """The number of values that the alpha of an image takes between none and full, and the share of pixels that have them.

    Args:
        image: decoded from `data`.
        data: its file, since Pillow keeps the upper 8 bits of 16 alone, of which a band of 12 bits has few.
    """
    if image.mode not in ("LA", "RGBA"):
        return 0, 0.0
    if has_16_bits(data):
        levels = np.bincount(decode_samples(data)[..., -1].ravel(), minlength=2**16)
    else:
        levels = np.array(image.getchannel("A").histogram())
    return int(np.count_nonzero(levels[1:-1])), float(levels[1:-1].sum() / levels.sum())


def varies_like_a_picture(levels: int, share: float) -> bool:
    """Whether an alpha with `alpha_levels` is another band, such as near infrared, and no transparency."""
    return share > 0.5 and levels > MAX_ALPHA_LEVELS


def check_finite(pixels: np.ndarray, where: str):
    """Refuses floating-point numbers that are NaN or infinite.

    Raises:
        PairError: some are.
    """
    wrong = np.count_nonzero(~np.isfinite(pixels)) if pixels.dtype.kind == "f" else 0
    if wrong:
        raise PairError(
            "not_finite",
            f"Every value of an image must be a finite number. Received: NaN or infinity at {wrong} of {pixels.size} values",
            where,
            "Fill what was not measured, for example with the mean of its channel, and make these pixels void in the mask.",
        )


def transpose_pixels(pixels: np.ndarray, transpose: Image.Transpose | None) -> np.ndarray:
    """An image (H, W, C) turned as `Image.transpose` turns it; None: as it is."""
    if transpose is None:
        return pixels
    turns = {Image.Transpose.ROTATE_90: 1, Image.Transpose.ROTATE_180: 2, Image.Transpose.ROTATE_270: 3}
    if transpose in turns:
        return np.rot90(pixels, turns[transpose])
    if transpose == Image.Transpose.FLIP_LEFT_RIGHT:
        return pixels[:, ::-1]
    if transpose == Image.Transpose.FLIP_TOP_BOTTOM:
        return pixels[::-1]
    swapped = pixels.swapaxes(0, 1)
    return swapped[::-1, ::-1] if transpose == Image.Transpose.TRANSVERSE else swapped
