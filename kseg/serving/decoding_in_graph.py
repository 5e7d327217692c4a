"""Decoding of JPEG and PNG in a TensorFlow graph, without failing where a file is damaged. TensorFlow only.

TensorFlow's decoder fills what is missing of a JPEG with one colour if the file ends with a marker, and reports nothing. So a
JPEG whose last block has one colour is decoded once more, with other bytes before its end: the pixels of a whole picture do not
depend on what follows it. Not noticed: less than the last block is missing, or a progressive JPEG lacks detail, not the picture.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

from kseg.serving.bands import BAND_PIXELS, map_groups  # noqa: E402
from kseg.serving.headers import PNG, byte_length, part, read_bytes  # noqa: E402

MAX_SCANS = 500
"""Of a progressive JPEG, as in `kseg.pairs.decoding`: each costs a pass over all pixels."""

BLOCK = 8
"""Rows and columns of a block of a JPEG."""

START = b"\xff\xd8"
START_OF_SCAN, END = b"\xff\xda", b"\xff\xd9"
FILLER = bytes((89 * n + 31) % 251 for n in range(64))  # entropy-coded data without a marker
OTHER_END = FILLER + b"".join(bytes([0xFF, 0xD0 + n]) + FILLER for n in range(8)) + END
"""Behind each restart marker, too: a picture may be cut where the decoder awaits one."""


def decode_strictly(
    encoded: tf.Tensor, channels: int, image_range: int | None = None, dtype: tf.DType = tf.uint8
) -> tf.Tensor:
    """An encoded JPEG or PNG as stored, (H, W, C), with the pixels that Pillow decodes in Beam workers.

    Args:
        encoded: scalar string; unless it becomes uint8 of 1 or 3 channels, a PNG of C channels with the bits of `dtype`.
        channels: C.
        image_range: sample of 16-bit images that becomes 255; None: 65535.
        dtype: uint8 or uint16, of the result.

    Raises:
        tf.errors.InvalidArgumentError: it cannot be decoded.
    """

    # decode_jpeg reads PNG too; tf.io.decode_image decodes JPEG with another method, up to 6 grey levels off.
    def decode_8_bits(channels):
        return tf.io.decode_jpeg(encoded, channels=channels, dct_method="INTEGER_ACCURATE")

    def decode_16_bits(channels):  # like kseg.pairs.decoding.to_8_bits
        samples = tf.io.decode_png(encoded, channels=channels, dtype=tf.uint16)

        def scale(rows):
            scaled = (tf.cast(rows, tf.int32) * 510 + image_range) // (2 * image_range)
            return tf.cast(tf.minimum(scaled, 255), tf.uint8)

        return _by_bands(scale, samples, channels)

    if dtype != tf.uint8 or channels not in (1, 3):  # 0: as many as the file has; decode_png takes no 2
        return tf.ensure_shape(tf.io.decode_png(encoded, channels=0, dtype=dtype), (None, None, channels))

    def decode_levels(channels):
        if image_range is None:
            return decode_8_bits(channels)
        is_deep = _is_png(encoded) & tf.equal(part(encoded, 24, 1), b"\x10")  # that byte holds the bits of a sample
        return tf.cond(is_deep, lambda: decode_16_bits(channels), lambda: decode_8_bits(channels))

    if channels == 3:
        return decode_levels(3)
    # TensorFlow's decoders make grey of colours in other ways than Pillow, and none of CMYK.
    return tf.cond(_has_colours(encoded), lambda: _by_bands(_grey_of, decode_levels(3), 1), lambda: decode_levels(1))


def _is_png(encoded):
    return tf.equal(part(encoded, 0, len(PNG)), PNG)


def _has_colours(encoded):
    """Whether the pixels of a file are not grey, nor grey and alpha: a JPEG's components, the colour type of a PNG."""
    is_jpeg = tf.equal(part(encoded, 0, len(START)), START)
    of_png = read_bytes(encoded, 25, 1)[0]
    return tf.cond(
        is_jpeg,
        lambda: tf.io.extract_jpeg_shape(encoded)[2] != 1,
        lambda: _is_png(encoded) & (of_png != 0) & (of_png != 4),
    )


def _grey_of(rows):
    """RGB as grey (H, W, 1), uint8, in the whole numbers in which Pillow computes it."""
    weighted = tf.cast(rows, tf.int32) * tf.constant([19595, 38470, 7471])
    return tf.cast((tf.reduce_sum(weighted, axis=-1, keepdims=True) + 2**15) // 2**16, tf.uint8)


def _by_bands(function, image, channels: int):
    """A function of the pixels of an image (H, W, C), some rows at a time, to (H, W, channels), uint8."""
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    (values,) = map_groups(lambda rows: (function(rows),), [image], tf.maximum(BAND_PIXELS // width, 1), (tf.uint8,))
    return tf.reshape(values, (height, width, channels))


def decode_unless_damaged(
    encoded: tf.Tensor,
    scan: tf.Tensor,
    channels: int,
    image_range: int | None = None,
    dtype: tf.DType = tf.uint8,
):
    """An encoded image, or a black pixel if it is damaged or truncated; raises nothing.

    Args:
        encoded: scalar string, a JPEG or PNG whose header is readable.
        scan: position of a JPEG's first scan; 0 of a PNG.
        channels: C.
        image_range: as in `decode_strictly`.
        dtype: as in `decode_strictly`.

    Returns:
        Image as stored (H, W, C), and whether it is whole, bool.
    """

    def decode(encoded, scan):
        is_jpeg = scan > 0
        check = tf.debugging.Assert(~is_jpeg | _has_few_scans(encoded), ["too many scans"])
        with tf.control_dependencies([check]):
            image = decode_strictly(tf.identity(encoded), channels, image_range, dtype)
        if dtype != tf.uint8 or channels not in (1, 3):
            return image, tf.constant(True)
        whole = tf.cond(is_jpeg, lambda: _is_whole_jpeg(encoded, scan, image, channels), lambda: tf.constant(True))
        return image, whole

    # An element that cannot be computed is dropped; this survives an export, and costs about a millisecond.
    decoded = tf.data.Dataset.from_tensors((encoded, scan)).map(decode).ignore_errors()
    nothing = tf.data.Dataset.from_tensors((tf.zeros((1, 1, channels), dtype), False))
    return decoded.concatenate(nothing).take(1).get_single_element()


def _is_whole_jpeg(encoded, scan, image, channels):
    """Whether the pixels of a JPEG stay the same with other bytes behind its data, where that is in doubt."""
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    last_block = image[(height - 1) // BLOCK * BLOCK :, (width - 1) // BLOCK * BLOCK :]
    in_doubt = tf.reduce_all(last_block == last_block[0, 0])

    def compare():  # libjpeg warns on stderr of the bytes that it skips: another reason to do this seldom
        before = part(encoded, 0, scan)
        data = tf.strings.split(part(encoded, scan, byte_length(encoded)), END, maxsplit=1)[0]
        other = tf.strings.join([before, data, tf.constant(OTHER_END)])
        return tf.reduce_all(image == decode_strictly(other, channels))

    return tf.cond(in_doubt, compare, lambda: tf.constant(True))


def _has_few_scans(encoded):
    """Whether a file has at most MAX_SCANS scans."""
    return tf.size(tf.strings.split(encoded, START_OF_SCAN, maxsplit=MAX_SCANS + 1)) - 1 <= MAX_SCANS
