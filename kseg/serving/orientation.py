"""The EXIF orientation of JPEGs, read and undone in a TensorFlow graph.

Cameras store what the sensor saw and say in EXIF how to turn it; training images are turned when they are ingested, so a served
model has to turn what it is sent. `tf.io.decode_jpeg` does not. Read is IFD0 of the first EXIF segment; orientations in XMP or in
PNGs are not. TensorFlow only, because a SavedModel is a TensorFlow graph.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

HEAD = 2**18  # bytes in which EXIF is looked for: it stands before the picture, in a segment of at most 65,535
TAG = 0x0112
SHORT = 3  # type of a field of 16 bits


def upright(image: tf.Tensor, encoded: tf.Tensor) -> tf.Tensor:
    """Turns a decoded image as the EXIF of its file says.

    Args:
        image: (H, W, C), as `tf.io.decode_jpeg` returns it.
        encoded: scalar string, the file: a JPEG, or anything else, which is left as it is.

    Returns:
        (H, W, C), or (W, H, C) where it lay on its side.
    """
    turn = orientation(encoded)
    image = tf.cond(turn >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    image = tf.cond(_among(turn, 2, 3, 6, 7), lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(_among(turn, 3, 4, 7, 8), lambda: tf.reverse(image, [0]), lambda: image)


def _among(value, *values):
    return tf.reduce_any(value == tf.constant(values))


def orientation(encoded: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a JPEG, int32: 1 (upright) to 8; 1 where there is none.

    Args:
        encoded: scalar string.

    Source: CIPA DC-008 (Exif 2.32), sections 4.5.2, 4.6.2 and 4.6.4 A.
    """
    data = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, 0, HEAD), tf.uint8), tf.int32)
    size = tf.size(data)
    data = tf.pad(data, [[0, 16]])  # room for the fields of a file that ends too early
    start = _tiff_start(data, size)
    big = data[start] == ord("M")

    def number(at, width):
        """Numbers of `width` bytes at places (N,) after the start; 0 beyond the end."""
        places = start + at[:, None] + tf.range(width)
        weights = tf.where(big, tf.range(width)[::-1], tf.range(width))
        inside = (places >= 0) & (places < size)
        values = tf.where(inside, tf.gather(data, tf.where(inside, places, 0)), 0)
        return tf.reduce_sum(tf.bitwise.left_shift(values, 8 * weights), axis=1)

    directory = number(tf.constant([4]), 4)[0]
    count = number(directory[None], 2)[0]
    fields = directory + 2 + 12 * tf.range(count)
    said = (number(fields, 2) == TAG) & (number(fields + 2, 2) == SHORT)
    value = tf.reduce_max(tf.where(said, number(fields + 8, 2), 0))
    return tf.where((start > 0) & (value >= 2) & (value <= 8), value, 1)


def _tiff_start(data, size):
    """Where the TIFF header of the first EXIF segment stands; 0 where there is none."""
    exif = tf.constant([0xFF, 0xE1, *b"Exif\0\0"])

    def goes_on(at, found):
        marker = data[at + 1]
        is_segment = (data[at] == 0xFF) & (marker != 0xDA) & (marker != 0xD9) & (marker >= 0xC0)
        return (found == 0) & (at + 10 < size) & is_segment

    def next_segment(at, found):
        begins = tf.concat([data[at : at + 2], data[at + 4 : at + 10]], axis=0)
        found = tf.where(tf.reduce_all(begins == exif), at + 10, 0)
        return at + 2 + tf.maximum(256 * data[at + 2] + data[at + 3], 2), found

    first = tf.where((data[0] == 0xFF) & (data[1] == 0xD8), 2, size)
    at = tf.minimum(first, size)
    _, found = tf.while_loop(lambda at, found: goes_on(tf.minimum(at, size), found), next_segment, (at, tf.constant(0)))
    return found
