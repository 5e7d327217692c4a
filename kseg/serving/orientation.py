"""The orientation of JPEG and PNG files, read and applied in a TensorFlow graph as Pillow reads it when images are ingested.

Cameras store the sensor's rows and note how to rotate them; training images are rotated when they are ingested, so a served
model must rotate its input too. `tf.io.decode_jpeg` does not. Read are the EXIF of a JPEG and of a PNG (chunk eXIf), of which
IFD0 counts, whatever number type the value has; and, without an orientation there, XMP. Not read: what a PNG compresses (chunk
zTXt, compressed iTXt), and EXIF in the text chunk "Raw profile type exif". TensorFlow only, because a SavedModel is a TensorFlow
graph.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import numpy as np  # noqa: E402  (only after the backend is known)
import tensorflow as tf  # noqa: E402

from kseg.serving.headers import Header, byte_length, is_one_of, part, read_bytes, read_header  # noqa: E402

MAX_EXIF = 2**20  # bytes that are read: EXIF of a JPEG has at most 65,535
REPEATED_NAMES = r"^(?:Exif\x00\x00)+"  # in front of a TIFF header, which Pillow skips
BYTE_ORDERS = (b"II*\0", b"II\0*", b"MM\0*", b"MM*\0", b"MM\0+")  # of TIFF headers that Pillow reads
ORIENTATION_TAG = 0x0112
UNIT_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8)  # bytes, by type of a field; 0: unknown, is skipped
NUMBER_KINDS = (0, 0, 0, 2, 3, 6, 1, 0, 2, 3, 6, 4, 5, 3, 0, 0, 7)  # by type: 0 is no number; see `_first_number`
XMP_ORIENTATION = "tiff:Orientation"


def apply_orientation(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Rotates and flips a decoded image.

    Args:
        image: (H, W, C), as `tf.io.decode_jpeg` returns it.
        orientation: 1 to 8, as `read_orientation` returns it.

    Returns:
        (H, W, C), or (W, H, C) if the camera was held sideways.
    """
    image = tf.cond(orientation >= 5, lambda: _transposed(image), lambda: image)
    image = tf.cond(is_one_of(orientation, (2, 3, 6, 7)), lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(is_one_of(orientation, (3, 4, 7, 8)), lambda: tf.reverse(image, [0]), lambda: image)


def _transposed(image):
    """(H, W, C) to (W, H, C), pixel by pixel: where `tf.transpose` meets uint8, TensorFlow prints an error of oneDNN (2.21)."""
    height, width, channels = tf.unstack(tf.shape(image))
    order = tf.range(height) * width + tf.range(width)[:, None]
    return tf.ensure_shape(
        tf.gather(tf.reshape(image, (height * width, channels)), order), (None, None, image.shape[-1])
    )


def read_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """The orientation of an encoded image, int32: 1 (upright) to 8; 1 if there is none.

    Args:
        encoded: scalar string, any bytes.
    """
    return orientation_of(read_header(encoded))


def orientation_of(header: Header) -> tf.Tensor:
    """The orientation that a header holds, int32: 1 (upright) to 8; 1 if there is none.

    Args:
        header: as `read_header` returns it.

    Source: CIPA DC-008 (Exif 2.32), sections 4.5.2, 4.6.2 and 4.6.4 A; Pillow's `Image.getexif` where files deviate from it.
    """
    found, value = tf.cond(
        header.has_exif, lambda: _read_exif(header.exif), lambda: (tf.constant(False), tf.constant(1))
    )
    return tf.cond(found | tf.equal(header.xmp, ""), lambda: value, lambda: _read_xmp(header.xmp))


def _read_exif(exif):
    """Whether EXIF settles the orientation, and the orientation; unreadable EXIF settles that an image is upright."""
    # The TIFF header.
    exif = part(tf.strings.regex_replace(exif, REPEATED_NAMES, "", replace_global=False), 0, MAX_EXIF)
    size = byte_length(exif)
    magic = part(exif, 0, 4)
    readable = tf.reduce_any(tf.equal(magic, tf.constant(BYTE_ORDERS))) & (size >= 8)
    big_endian = tf.equal(tf.strings.substr(magic, 0, 2), b"MM")

    def numbers(values, places):
        """The numbers, int64 (N, len(places)), that lie at places (start, stop) of bytes (N, W)."""
        weights = np.zeros((2, values.shape[1], len(places)), np.int64)
        for number, (start, stop) in enumerate(places):
            weights[0, start:stop, number] = 256 ** np.arange(stop - start)
            weights[1, start:stop, number] = weights[0, start:stop, number][::-1]
        return tf.matmul(values, tf.gather(tf.constant(weights), tf.cast(big_endian, tf.int32)))

    # All fields of IFD0 together: 12 bytes each, behind a count of 2 bytes.
    directory = numbers(read_bytes(exif, 4, 4)[None], [(0, 4)])[0, 0]
    starts = directory + 2 + 12 * tf.range(numbers(read_bytes(exif, directory, 2)[None], [(0, 2)])[0, 0])
    starts = tf.boolean_mask(starts, starts + 12 <= size)
    fields = tf.gather(tf.io.decode_raw(exif, tf.uint8), starts[:, None] + tf.range(12, dtype=tf.int64))
    tags, types, counts, values = tf.unstack(
        numbers(tf.cast(fields, tf.int64), [(0, 2), (2, 4), (4, 8), (8, 12)]), axis=1
    )
    unit_sizes = tf.gather(tf.constant(UNIT_SIZES, tf.int64), types * tf.cast(types < len(UNIT_SIZES), tf.int64))
    sizes = counts * unit_sizes
    places = tf.where(sizes > 4, values, starts + 8)
    # Pillow stops at the first field whose values lie outside; the last field of a tag counts.
    broken = (sizes > 4) & (places + sizes > size)
    reached = tf.cumsum(tf.cast(broken, tf.int32)) == 0
    found = tf.where(reached & (tags == ORIENTATION_TAG) & (sizes > 0))[:, 0]

    def value():
        first = read_bytes(exif, tf.gather(places, found[-1]), 8)[None]
        candidates = tf.unstack(numbers(first, [(0, 1), (0, 2), (0, 4), (4, 8), (0, 8)])[0])
        return _first_number(*candidates, tf.gather(types, found[-1]))

    number = tf.cond(readable & (tf.size(found) > 0), value, lambda: tf.constant(1, tf.int32))
    return (size > 0) & (~readable | (tf.size(found) > 0)), number


def _first_number(byte, short, long, next_long, long8, kind):
    """The first value of a field if it is a whole number from 1 to 8, where 6, 6.0 and 6/1 are equal as in Pillow; else 1."""
    candidates = [
        tf.constant(0.0, tf.float64),
        tf.cast(byte, tf.float64),
        tf.cast(short, tf.float64),
        tf.cast(long, tf.float64),
        tf.cast(tf.bitcast(tf.cast(long, tf.uint32), tf.float32), tf.float64),
        tf.bitcast(long8, tf.float64),
        tf.math.divide_no_nan(tf.cast(long, tf.float64), tf.cast(next_long, tf.float64)),
        tf.cast(long8, tf.float64),
    ]
    value = tf.gather(tf.stack(candidates), tf.gather(tf.constant(NUMBER_KINDS), kind))
    valid = (value >= 1) & (value <= 8) & (value == tf.floor(value))
    return tf.cast(tf.where(valid, value, 1.0), tf.int32)


def _read_xmp(xmp):
    """The digit behind the first `tiff:Orientation="` or `tiff:Orientation>`; 1 if there is none from 2 to 8."""
    rests = tf.strings.split(xmp, XMP_ORIENTATION)[1:]
    starts = [tf.constant('="'), tf.constant(">")]
    digits = tf.zeros_like(rests)
    for start, length in zip(starts, (2, 1), strict=True):
        begins = tf.equal(
            tf.strings.substr(rests, tf.zeros_like(rests, tf.int32), tf.fill(tf.shape(rests), length)), start
        )
        after = tf.minimum(tf.strings.length(rests), length)
        digits = tf.where(begins, tf.strings.substr(rests, after, tf.ones_like(after)), digits)
    valid = tf.strings.regex_full_match(digits, "[0-9]")
    value = tf.strings.to_number(tf.concat([tf.boolean_mask(digits, valid), ["1"]], axis=0)[0], tf.int32)
    return tf.where((value >= 1) & (value <= 8), value, 1)
