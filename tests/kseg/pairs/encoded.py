"""Encoded pictures for tests, also such as no program writes."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

GREY = np.arange(24 * 16, dtype=np.uint8).reshape(24, 16)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=-1)


def encoded(pixels, kind="PNG", **options) -> bytes:
    """An array or Pillow image as a file."""
    stream = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples: np.ndarray, depth: int, colour_type: int) -> bytes:
    """A PNG of any depth, written by hand, since Pillow writes no grey of 2 or 4 bits and no RGB of 16."""
    height, width = samples.shape[:2]
    rows = samples.reshape(height, -1)
    if depth == 16:
        lines = [row.astype(">u2").tobytes() for row in rows]
    else:
        bits = (rows[..., None] >> np.arange(depth)[::-1] & 1).reshape(height, -1).astype(np.uint8)
        lines = [np.packbits(row).tobytes() for row in bits]
    body = zlib.compress(b"".join(b"\0" + line for line in lines))
    return wrapped(width, height, body, depth, colour_type)


def wrapped(width: int, height: int, body: bytes, depth: int = 8, colour_type: int = 0, *chunks: bytes) -> bytes:
    """A PNG around compressed rows; `chunks` come before them."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    parts = (chunk(b"IHDR", header), *chunks, chunk(b"IDAT", body), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def black(width: int, height: int, samples: int) -> bytes:
    """A black PNG of any size, in little memory: 1 sample a pixel is grey, 3 are RGB."""
    compressor, row = zlib.compressobj(1), bytes(1 + width * samples)
    body = b"".join([compressor.compress(row) for _ in range(height)]) + compressor.flush()
    return wrapped(width, height, body, 8, {1: 0, 3: 2}[samples])


def with_palette(values: np.ndarray, colours=(200, 10, 10)) -> Image.Image:
    """A palette picture whose indices are `values`; the colours mean nothing."""
    picture = Image.fromarray(values, "P")
    picture.putpalette(list(colours) * 256)
    return picture
