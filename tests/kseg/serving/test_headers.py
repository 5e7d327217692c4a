"""A graph reads format and size of any bytes before it decodes them, as the decoder would, at bounded cost."""

import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kseg.serving.decoding_in_graph import decode_strictly, decode_unless_damaged
from kseg.serving.headers import MAX_STEPS, read_header
from kseg.serving.statuses import DAMAGED, EMPTY, GOOD, UNSUPPORTED_FORMAT
from tests.kseg.pairs.encoded import COLOUR, GREY, chunk, encoded

SIZE = (24, 16)
JPEGS = {
    "baseline": encoded(COLOUR, "JPEG", quality=90),
    "progressive": encoded(COLOUR, "JPEG", quality=90, progressive=True),
    "grey": encoded(GREY, "JPEG"),
    "CMYK": encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"),
    "profile": encoded(COLOUR, "JPEG", icc_profile=bytes(200_000)),
}
PNGS = {"colour": encoded(COLOUR), "grey": encoded(GREY), "palette": encoded(Image.fromarray(COLOUR).convert("P"))}


@pytest.fixture(scope="module")
def header():
    """(status, height, width) of bytes, by a graph traced once."""
    function = tf.function(lambda data: read_header(data)[:3], input_signature=[tf.TensorSpec((), tf.string)])
    return lambda data: tuple(int(value) for value in function(data))


@pytest.fixture(scope="module")
def decode():
    """What a served graph decodes from bytes: an image (H, W, 3), or None."""

    @tf.function(input_signature=[tf.TensorSpec((), tf.string)])
    def decode(data):
        return decode_unless_damaged(data, read_header(data).scan, 3)

    def decoded(data):
        image, good = decode(data)
        return image.numpy() if good else None

    return decoded


def inserted(data: bytes, segments: bytes) -> bytes:
    """A JPEG with further bytes behind its first two."""
    return data[:2] + segments + data[2:]


@pytest.mark.parametrize("data", [*JPEGS.values(), *PNGS.values()], ids=[*JPEGS, *(f"{name} PNG" for name in PNGS)])
def test_the_size_of_every_kind_of_jpeg_and_png_is_read(header, data):
    assert header(data) == (GOOD, *SIZE)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP", "TIFF"])
def test_other_formats_are_refused_even_where_tensorflow_decodes_them(header, kind):
    assert header(encoded(COLOUR, kind)) == (UNSUPPORTED_FORMAT, 0, 0)
    if kind in ("GIF", "WEBP"):
        assert tf.io.decode_jpeg(encoded(COLOUR, kind)).shape[-3:-1] == SIZE


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", EMPTY),
        (b"\xff\xd8", UNSUPPORTED_FORMAT),
        (b"\xff\xd8\xff", DAMAGED),
        (JPEGS["baseline"][:150], DAMAGED),
        (JPEGS["baseline"][:20] + b"\0\0" + JPEGS["baseline"][20:], DAMAGED),  # junk between segments
        (b"\x89PNG\r\n\x1a\n", DAMAGED),
        (PNGS["colour"][:20], DAMAGED),
        (PNGS["colour"].replace(b"IHDR", b"IDAT"), DAMAGED),
    ],
    ids=range(8),
)
def test_a_header_that_ends_or_is_none_is_refused(header, data, status):
    assert header(data) == (status, 0, 0)


@pytest.mark.parametrize(
    "segments",
    [
        b"\xff\xff\xff\xe5\0\2",  # fill bytes
        b"\xff\xd3",  # a restart marker, which has no length
        b"\xff\x01",
        b"\xff\xfe\0\0",  # a length below that of the length itself
        b"\xff\xe2\0\x0a\xff\xc0\0\x11\x08\0\1\0",  # a frame inside a segment
        b"\xff\xc4\0\2",  # tables are no frame
    ],
    ids=range(6),
)
def test_segments_are_walked_as_libjpeg_walks_them(header, segments):
    data = inserted(JPEGS["baseline"], segments)
    assert header(data) == (GOOD, *SIZE)
    np.testing.assert_array_equal(decode_strictly(data, 3), decode_strictly(JPEGS["baseline"], 3))


def test_no_bytes_are_decoded_to_another_size_than_their_header_says(header):
    """Otherwise a bomb could hide behind a small size."""
    draw, decoded = np.random.default_rng(0), 0
    for data in (*JPEGS.values(), *PNGS.values()):
        for _ in range(60):
            changed = bytearray(data)
            for place in draw.integers(2, min(len(data), 700), 3):
                changed[place] = draw.choice([0, 1, 8, 0xC0, 0xC2, 0xD8, 0xDA, 0xE1, 0xFF, draw.integers(256)])
            changed = bytes(changed)
            status, height, width = header(changed)
            if status == GOOD and height * width > 10**6:
                continue
            try:
                found = decode_strictly(changed, 3).shape[:2]
            except tf.errors.InvalidArgumentError:
                continue
            if status == GOOD:
                decoded += 1
                assert found == (height, width)
    assert decoded > 100


def test_tens_of_thousands_of_empty_segments_are_refused_after_a_bounded_number(header):
    few, many = (inserted(JPEGS["baseline"], b"\xff\xe5\0\2" * number) for number in (1000, 60_000))
    assert header(few) == (GOOD, *SIZE)
    assert header(many) == (DAMAGED, 0, 0)
    assert MAX_STEPS < 60_000


def test_the_walk_over_chunks_of_a_png_is_bounded(header):
    data = PNGS["colour"]
    end = data.index(b"IEND") - 4
    assert header(data[:end] + 60_000 * chunk(b"tEXt", b"") + data[end:]) == (GOOD, *SIZE)


def test_a_header_of_a_hundred_megapixels_is_read_without_decoding(header):
    start = inserted(JPEGS["baseline"], b"")
    place = start.index(b"\xff\xc0") + 5
    data = start[:place] + struct.pack(">HH", 12_000, 12_001) + start[place + 4 :]
    assert header(data) == (GOOD, 12_000, 12_001)
    assert header(PNGS["colour"][:16] + struct.pack(">II", 2**31, 7) + PNGS["colour"][24:]) == (GOOD, 7, 2**31)


@pytest.mark.parametrize("data", [*JPEGS.values(), *PNGS.values()], ids=[*JPEGS, *(f"{name} PNG" for name in PNGS)])
def test_a_whole_file_is_decoded_and_one_cut_off_is_not(decode, data):
    np.testing.assert_array_equal(decode(data), decode_strictly(data, 3))
    assert decode(data[: len(data) * 2 // 3]) is None


SMOOTH = np.asarray(Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)).resize((160, 120)))


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"subsampling": 0}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("pixels", [SMOOTH, np.full((120, 160, 3), 77, np.uint8)], ids=["smooth", "one colour"])
def test_a_jpeg_cut_off_and_closed_by_a_marker_is_refused(decode, pixels, options):
    data = encoded(pixels, "JPEG", **options)
    assert decode(data) is not None
    start = data.index(b"\xff\xda") + 14
    for share in (0.1, 0.4, 0.8):
        cut = data[: start + int(share * (len(data) - start))] + b"\xff\xd9"
        assert decode_strictly(cut, 3).shape == (120, 160, 3)  # grey below the cut
        assert decode(cut) is None


def test_a_progressive_jpeg_cut_off_in_its_first_scan_is_refused(decode):
    data = encoded(SMOOTH, "JPEG", progressive=True, quality=95)
    first, second = (data.index(b"\xff\xda", place) for place in (0, data.index(b"\xff\xda") + 2))
    assert decode(data) is not None
    assert decode(data[: (first + second) // 2] + b"\xff\xd9") is None


def test_bytes_behind_the_end_do_not_matter(decode):
    one_colour = encoded(np.full((120, 160, 3), 77, np.uint8), "JPEG")
    for data in (JPEGS["baseline"], one_colour):
        for behind in (b"\0" * 100, encoded(COLOUR, "JPEG"), b"\xff\xd9"):
            assert decode(data + behind) is not None


def test_a_jpeg_of_hundreds_of_scans_is_refused(decode):
    data = JPEGS["progressive"]
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    assert decode(data[:-2] + 3 * scan + b"\xff\xd9") is not None
    assert decode(data[:-2] + 600 * scan + b"\xff\xd9") is None
