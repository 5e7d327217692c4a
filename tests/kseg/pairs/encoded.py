"""Encoded images for tests, including ones that no program writes."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

GREY = np.arange(24 * 16, dtype=np.uint8).reshape(24, 16)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=-1)


def encoded(pixels, kind="PNG", **options) -> bytes:
    """Encodes an array or Pillow image."""
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples: np.ndarray, depth: int, colour_type: int) -> bytes:
    """Encodes a PNG of any depth; Pillow writes neither grey of 2 or 4 bits nor RGB of 16."""
    height, width = samples.shape[:2]
    rows = samples.reshape(height, -1)
    if depth == 16:
        lines = [row.astype(">u2").tobytes() for row in rows]
    else:
        bits = (rows[..., None] >> np.arange(depth)[::-1] & 1).reshape(height, -1).astype(np.uint8)
        lines = [np.packbits(row).tobytes() for row in bits]
    body = zlib.compress(b"".join(b"\0" + line for line in lines))
    return wrap(width, height, body, depth, colour_type)


def wrap(width: int, height: int, body: bytes, depth: int = 8, colour_type: int = 0, *chunks: bytes) -> bytes:
    """Builds a PNG from compressed rows, with `chunks` before them."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    parts = (chunk(b"IHDR", header), *chunks, chunk(b"IDAT", body), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def black(width: int, height: int, samples: int) -> bytes:
    """Encodes a black PNG of any size in little memory: grey with 1 sample per pixel, RGB with 3."""
    compressor, row = zlib.compressobj(1), bytes(1 + width * samples)
    body = b"".join([compressor.compress(row) for _ in range(height)]) + compressor.flush()
    return wrap(width, height, body, 8, {1: 0, 3: 2}[samples])


def with_palette(values: np.ndarray, colours=(200, 10, 10)) -> Image.Image:
    """A palette image with the indices `values`, all of one colour."""
    image = Image.fromarray(values, "P")
    image.putpalette(list(colours) * 256)
    return image
