"""The EXIF orientation of JPEGs, read and applied in a TensorFlow graph.

Cameras store the sensor's rows and note in EXIF how to rotate them; training images are rotated when they are ingested, so a
served model must rotate its input too. `tf.io.decode_jpeg` does not. Read is IFD0 of the first EXIF segment; orientations in XMP
or PNG are ignored. TensorFlow only, because a SavedModel is a TensorFlow graph.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

HEAD = 2**18  # bytes that are searched: EXIF precedes the picture, in a segment of at most 65,535 bytes
ORIENTATION_TAG = 0x0112
SHORT = 3  # type of a field of 16 bits


def apply_orientation(image: tf.Tensor, encoded: tf.Tensor) -> tf.Tensor:
    """Rotates and flips a decoded image as the EXIF of its file says.

    Args:
        image: (H, W, C), as `tf.io.decode_jpeg` returns it.
        encoded: scalar string, the file: a JPEG, or anything else, which is left unchanged.

    Returns:
        (H, W, C), or (W, H, C) if the camera was held sideways.
    """
    value = read_orientation(encoded)
    image = tf.cond(value >= 5, lambda: _transposed(image), lambda: image)
    image = tf.cond(_is_one_of(value, 2, 3, 6, 7), lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(_is_one_of(value, 3, 4, 7, 8), lambda: tf.reverse(image, [0]), lambda: image)


def _transposed(image):
    """(H, W, C) to (W, H, C), pixel by pixel: where `tf.transpose` meets uint8, TensorFlow prints an error of oneDNN (2.21)."""
    height, width, channels = tf.unstack(tf.shape(image))
    order = tf.range(height) * width + tf.range(width)[:, None]
    return tf.ensure_shape(
        tf.gather(tf.reshape(image, (height * width, channels)), order), (None, None, image.shape[-1])
    )


def read_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a JPEG, int32: 1 (upright) to 8; 1 if there is none.

    Args:
        encoded: scalar string.

    Source: CIPA DC-008 (Exif 2.32), sections 4.5.2, 4.6.2 and 4.6.4 A.
    """
    # The file's first bytes, and the byte order of its EXIF.
    data = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, 0, HEAD), tf.uint8), tf.int32)
    size = tf.size(data)
    data = tf.pad(data, [[0, 16]])  # room for the fields of a truncated file
    start = _find_tiff_header(data, size)
    big_endian = data[start] == ord("M")

    def read(offset, width):
        """Numbers of `width` bytes at offsets (N,) from the header; 0 beyond the end."""
        positions = start + offset[:, None] + tf.range(width)
        weights = tf.where(big_endian, tf.range(width)[::-1], tf.range(width))
        inside = (positions >= 0) & (positions < size)
        values = tf.where(inside, tf.gather(data, tf.where(inside, positions, 0)), 0)
        return tf.reduce_sum(tf.bitwise.left_shift(values, 8 * weights), axis=1)

    # All fields of IFD0 together: 12 bytes each, behind a count of 2 bytes.
    directory = read(tf.constant([4]), 4)[0]
    count = read(directory[None], 2)[0]
    fields = directory + 2 + 12 * tf.range(count)
    # The value of the one that holds the orientation.
    found = (read(fields, 2) == ORIENTATION_TAG) & (read(fields + 2, 2) == SHORT)
    value = tf.reduce_max(tf.where(found, read(fields + 8, 2), 0))
    return tf.where((start > 0) & (value >= 2) & (value <= 8), value, 1)


def _find_tiff_header(data, size):
    """The position of the TIFF header in the first EXIF segment; 0 without one."""
    exif = tf.constant([0xFF, 0xE1, *b"Exif\0\0"])

    def is_segment(at, found):
        marker = data[at + 1]
        starts = (data[at] == 0xFF) & (marker != 0xDA) & (marker != 0xD9) & (marker >= 0xC0)
        return (found == 0) & (at + 10 < size) & starts

    def next_segment(at, found):
        head = tf.concat([data[at : at + 2], data[at + 4 : at + 10]], axis=0)
        found = tf.where(tf.reduce_all(head == exif), at + 10, 0)
        return at + 2 + tf.maximum(256 * data[at + 2] + data[at + 3], 2), found

    first = tf.where((data[0] == 0xFF) & (data[1] == 0xD8), 2, size)
    at = tf.minimum(first, size)
    _, found = tf.while_loop(
        lambda at, found: is_segment(tf.minimum(at, size), found), next_segment, (at, tf.constant(0))
    )
    return found


def _is_one_of(value, *values):
    return tf.reduce_any(value == tf.constant(values))
