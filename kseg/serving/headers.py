"""Format and size of an encoded image, read from its header in a TensorFlow graph before anything is decoded.

A file of a few kilobytes may hold 100 megapixels, so a server must know the size before it decodes. JPEG: the segments up to the
first scan are walked as libjpeg walks them; PNG: the chunk IHDR, which libpng requires to be the first. The same walk finds where
EXIF and XMP lie, which `kseg.serving.orientation` reads. Its steps are limited, so a file of many empty segments costs
milliseconds. Refused: what is neither JPEG nor PNG, although TensorFlow would decode GIF and WebP, too. TensorFlow only, because
a SavedModel is a TensorFlow graph.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

from typing import NamedTuple  # noqa: E402  (only after the backend is known)

import tensorflow as tf  # noqa: E402

from kseg.serving.statuses import DAMAGED, EMPTY, GOOD, UNSUPPORTED_FORMAT  # noqa: E402

MAX_STEPS = 4096
"""Segments of a JPEG before its picture, above which it counts as damaged; chunks of a PNG that are searched for EXIF. Colour
profiles and depth maps of cameras take a few hundred segments."""

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
XMP_OF_PNG = b"XML:com.adobe.xmp\0\0\0"  # not compressed

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # of PNG, by number of channels

SCAN, APP1 = 0xDA, 0xE1
WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD8))  # TEM and restart markers
NOT_IN_A_HEADER = (0x00, 0xD8, 0xD9)  # a stuffed byte, a second start, the end
TABLES = (0xC4, 0xC8, 0xCC)  # within 0xC0 to 0xCF, where every other marker opens a frame


class Header(NamedTuple):
    """What a file says about itself before its pixels; scalars.

    Attributes:
        status: GOOD, EMPTY, UNSUPPORTED_FORMAT or DAMAGED of `kseg.serving.statuses`, int32.
        height: in pixels, as stored, int64; 0 unless `status` is GOOD.
        width: likewise.
        scan: position of a JPEG's first scan, int64; 0 of a PNG.
        exif: bytes of its EXIF, from the TIFF header on; empty where there is none.
        has_exif: whether there is a segment or chunk of EXIF, bool.
        xmp: bytes of its XMP; empty where there is none.
    """

    status: tf.Tensor
    height: tf.Tensor
    width: tf.Tensor
    scan: tf.Tensor
    exif: tf.Tensor
    has_exif: tf.Tensor
    xmp: tf.Tensor


def read_header(encoded: tf.Tensor) -> Header:
    """Reads the header of an encoded image.

    Args:
        encoded: scalar string, any bytes.
    """
    size = byte_length(encoded)
    starts = [tf.equal(part(encoded, 0, len(magic)), magic) for magic in (JPEG, PNG)]
    kind = tf.where(starts[0], 1, tf.where(starts[1], 2, 0))
    nothing = Header(tf.where(size == 0, EMPTY, UNSUPPORTED_FORMAT), *[tf.constant(0, tf.int64)] * 3, *_no_metadata())
    header = tf.switch_case(
        kind, [lambda: nothing, lambda: _read_jpeg(encoded, size), lambda: _read_png(encoded, size)]
    )
    whole = (header.status != GOOD) | ((header.height > 0) & (header.width > 0))
    status = tf.where(whole, header.status, DAMAGED)
    sides = [side * tf.cast(status == GOOD, tf.int64) for side in (header.height, header.width)]
    return Header(status, *sides, *header[3:])


def is_png_of(encoded: tf.Tensor, channels: int, bits: int) -> tf.Tensor:
    """Whether an encoded image is a PNG of so many channels and bits per sample, bool; a palette is none.

    Args:
        encoded: scalar string, any bytes.
        channels: 1 to 4.
        bits: 8 or 16.
    """
    header = bytes([bits, COLOUR_TYPES[channels]])
    return tf.equal(part(encoded, 0, len(PNG)), PNG) & tf.equal(part(encoded, 24, 2), header)


def byte_length(encoded: tf.Tensor) -> tf.Tensor:
    """The length of a string in bytes, int64, which sums with 32-bit fields do not exceed."""
    return tf.cast(tf.strings.length(encoded), tf.int64)


def part(encoded: tf.Tensor, at, number) -> tf.Tensor:
    """At most `number` bytes of a string from position `at` on, as a string; `tf.strings.substr` fails beyond the end."""
    at = tf.clip_by_value(tf.cast(at, tf.int64), 0, byte_length(encoded))
    return tf.strings.substr(encoded, at, tf.cast(number, tf.int64))


def read_bytes(encoded: tf.Tensor, at, number: int) -> tf.Tensor:
    """`number` bytes of a string from position `at` on (number,), int64; 0 beyond its end."""
    return tf.cast(tf.io.decode_raw(part(encoded, at, number), tf.uint8, fixed_length=number), tf.int64)


def _no_metadata():
    return tf.constant(""), tf.constant(False), tf.constant("")


def _read_jpeg(encoded, size) -> Header:
    """Walks from marker to marker until the first scan; the first frame holds the size, as in libjpeg."""

    def step(number, at, scan, height, width, exif, xmp):
        head = read_bytes(encoded, at, 9)
        marker, length = head[1], 256 * head[2] + head[3]
        fill = marker == 0xFF  # any number of such bytes may precede a marker
        alone = is_one_of(marker, WITHOUT_LENGTH)
        valid = (head[0] == 0xFF) & ~is_one_of(marker, NOT_IN_A_HEADER) & (at + 4 <= size)
        # What this segment holds.
        is_frame = (marker >= 0xC0) & (marker <= 0xCF) & ~is_one_of(marker, TABLES) & (height == 0)
        height = tf.where(valid & is_frame, 256 * head[5] + head[6], height)
        width = tf.where(valid & is_frame, 256 * head[7] + head[8], width)
        exif = tf.where(valid & (exif == 0) & _holds(encoded, at, marker, EXIF), at, exif)
        xmp = tf.where(valid & _holds(encoded, at, marker, XMP), at, xmp)
        scan = tf.where(valid & (marker == SCAN), at, scan)
        # The next one; the walk ends at a scan or where there is no marker.
        one = tf.ones_like(at)
        following = at + tf.where(fill, one, tf.where(alone, 2 * one, 2 + tf.maximum(length, 2)))
        at = tf.where(valid & (scan == 0), following, size)
        return number + 1, tf.minimum(at, size), scan, height, width, exif, xmp

    zero = tf.constant(0, tf.int64)
    state = (tf.constant(0), tf.constant(2, tf.int64), *[zero] * 5)
    _, _, scan, height, width, exif, xmp = tf.while_loop(
        lambda number, at, *_: (number < MAX_STEPS) & (at < size), step, state, parallel_iterations=1
    )
    status = tf.where(scan > 0, GOOD, DAMAGED)
    return Header(status, height, width, scan, _segment(encoded, exif, EXIF), exif > 0, _segment(encoded, xmp, XMP))


def _holds(encoded, at, marker, name: bytes):
    """Whether the segment at `at` is an APP1 that begins with a name."""
    return (marker == APP1) & tf.equal(part(encoded, at + 4, len(name)), name)


def _segment(encoded, at, name: bytes):
    """What follows the name in a segment of a JPEG; empty where `at` is 0."""
    head = read_bytes(encoded, at, 4)
    length = 256 * head[2] + head[3] - 2 - len(name)
    return part(encoded, at + 4 + len(name), tf.maximum(length, 0) * tf.cast(at > 0, tf.int64))


def _read_png(encoded, size) -> Header:
    """Reads IHDR, and walks over the other chunks in search of EXIF and XMP; the last of each counts, as in Pillow."""
    first = read_bytes(encoded, len(PNG), 16)
    is_header = tf.reduce_all(first[:8] == tf.constant([0, 0, 0, 13, *b"IHDR"], tf.int64))
    width, height = _big_endian(first[8:12]), _big_endian(first[12:16])

    def step(number, at, exif, xmp):
        head = read_bytes(encoded, at, 8)
        length, kind = _big_endian(head[:4]), part(encoded, at + 4, 4)
        text = part(encoded, at + 8, len(XMP_OF_PNG))
        exif = tf.where(tf.equal(kind, b"eXIf"), at, exif)
        xmp = tf.where(tf.equal(kind, b"iTXt") & tf.equal(text, XMP_OF_PNG), at, xmp)
        return number + 1, tf.where(tf.equal(kind, b"IEND"), size, tf.minimum(at + 12 + length, size)), exif, xmp

    zero = tf.constant(0, tf.int64)
    state = (tf.constant(0), tf.constant(len(PNG), tf.int64), zero, zero)
    _, _, exif, xmp = tf.while_loop(
        lambda number, at, *_: (number < MAX_STEPS) & (at < size), step, state, parallel_iterations=1
    )
    status = tf.where(is_header, GOOD, DAMAGED)
    return Header(status, height, width, zero, _chunk(encoded, exif), exif > 0, _chunk(encoded, xmp))


def _chunk(encoded, at):
    """The data of a chunk of a PNG; empty where `at` is 0."""
    length = _big_endian(read_bytes(encoded, at, 4))
    return part(encoded, at + 8, length * tf.cast(at > 0, tf.int64))


def _big_endian(numbers):
    """A number of 4 bytes (4,)."""
    return tf.reduce_sum(numbers * tf.constant([2**24, 2**16, 2**8, 1], tf.int64))


def is_one_of(value: tf.Tensor, values: tuple[int, ...]) -> tf.Tensor:
    """Whether a scalar is one of some numbers."""
    return tf.reduce_any(value == tf.constant(values, value.dtype))
