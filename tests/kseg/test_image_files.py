"""What of one encoded image or mask is stored: own bytes, or a PNG that shows the same; class ids of any kind of mask."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from kseg.datasets.image_files import PairError, decode_image, encode_png, joined, read_mask, stored_image
from kseg.labels import LabelMap

LABELS = LabelMap(("a", "b", "c"), ((0, 0, 0), (255, 0, 0), (0, 255, 0)), (0, 1, 7), ignore_value=255)
IDS = np.array([[0, 1, 2], [255, 2, 0]], np.uint8)
VALUES = np.array([[0, 1, 7], [255, 7, 0]], np.uint8)
GREY = np.arange(24 * 16, dtype=np.uint8).reshape(24, 16)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=-1)


def encoded(pixels, kind="PNG", **options) -> bytes:
    stream = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
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
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + line for line in lines))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "channels"),
    [
        (encoded(COLOUR), 3),
        (encoded(GREY), 1),
        (encoded(COLOUR, "JPEG"), 3),
        (encoded(GREY, "JPEG"), 1),
        (encoded(COLOUR, "JPEG", progressive=True), 3),
    ],
    ids=["rgb.png", "grey.png", "rgb.jpg", "grey.jpg", "progressive.jpg"],
)
def test_plain_images_keep_their_bytes(data, channels):
    assert stored_image(data, channels, "here") == (data, (24, 16), None)


def rgba():
    return encoded(np.dstack([COLOUR, GREY]))


def palette():
    return encoded(Image.fromarray(COLOUR).quantize(8))


@pytest.mark.parametrize(
    ("data", "channels", "reason", "expected"),
    [
        (rgba(), 3, "alpha channel", COLOUR),
        (encoded(np.dstack([GREY, 255 - GREY])), 1, "alpha channel", GREY[..., None]),
        (encoded(Image.fromarray(COLOUR), transparency=(1, 2, 3)), 3, "alpha channel", COLOUR),
        (palette(), 3, "palette", np.asarray(Image.open(io.BytesIO(palette())).convert("RGB"))),
        (encoded(GREY), 3, "grey among colour", np.dstack([GREY] * 3)),
        (png(GREY.astype(np.uint16) * 256 + 255, 16, 0), 1, "16 bits", GREY[..., None]),
        (png(COLOUR.astype(np.uint16) * 256 + 255, 16, 2), 3, "16 bits", COLOUR),
        (png(GREY % 4, 2, 0), 1, "2 bits", GREY[..., None] % 4 * 85),
        (encoded(Image.fromarray(GREY > 9)), 1, "1 bits", np.where(GREY > 9, 255, 0)[..., None]),
    ],
    ids=["rgba", "grey+alpha", "transparent colour", "palette", "grey", "16-bit grey", "16-bit rgb", "2-bit", "1-bit"],
)
def test_other_images_are_read_rightly_and_stored_as_png_with_the_reason(data, channels, reason, expected):
    stored, size, said = stored_image(data, channels, "here")
    assert (size, said) == ((24, 16), reason)
    np.testing.assert_array_equal(decode_image(stored), expected)
    assert stored_image(stored, channels, "here") == (stored, size, None)  # now every decoder reads it alike


def test_an_image_turned_by_exif_is_turned():
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the picture is at its right side
    stored, size, reason = stored_image(encoded(COLOUR, exif=exif), 3, "here")
    assert (size, reason) == ((16, 24), "turned by EXIF")
    np.testing.assert_array_equal(decode_image(stored), np.rot90(COLOUR, -1))


def test_a_cmyk_jpeg_becomes_the_rgb_that_it_shows():
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    stored, _, reason = stored_image(encoded(red, "JPEG", quality=100), 3, "here")
    assert reason == "CMYK"
    assert np.abs(decode_image(stored).astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.97])
def test_a_file_that_is_cut_off_is_refused_with_its_place(kind, kept):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(noise, kind)
    with pytest.raises(PairError, match=r"\[photos/7\]"):
        stored_image(data[: int(kept * len(data))], 3, "photos/7")


def test_a_png_with_a_changed_bit_is_refused():
    data = bytearray(encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)))
    data[len(data) // 2] ^= 1
    with pytest.raises(PairError, match=r"must be whole.*\[here\]"):
        stored_image(bytes(data), 3, "here")


def test_a_file_of_another_kind_is_refused_whatever_its_name():
    for data in (b"", b"<html>not found</html>", encoded(COLOUR, "BMP")):
        with pytest.raises(PairError, match=r"must be JPEG or PNG inside, whatever its name.*\[a.png\]"):
            stored_image(data, 3, "a.png")


def paletted(values):
    picture = Image.fromarray(values, "P")
    picture.putpalette([200, 10, 10] * 256)
    return picture


@pytest.mark.parametrize(
    "data",
    [encoded(VALUES), encoded(paletted(VALUES)), png(VALUES.astype(np.uint16), 16, 0)],
    ids=["grey", "palette", "16-bit"],
)
def test_the_values_of_a_mask_become_ids_whatever_stores_them(data):
    np.testing.assert_array_equal(read_mask(data, LABELS, "here"), IDS)


@pytest.mark.parametrize("colour_type", [0, 3])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_samples_of_fewer_than_8_bits_are_taken_as_they_are_stored(depth, colour_type):
    samples = np.arange(2**depth, dtype=np.uint8).reshape(1, -1)
    names, colours = tuple("abcdefghijklmnop"[: 2**depth]), ((0, 0, 0),) * 2**depth
    labels = LabelMap(names, colours, tuple(range(2**depth)))
    data = png(samples, depth, colour_type)
    if colour_type == 3:
        data = data[:33] + chunk(b"PLTE", bytes([9] * 3 * 2**depth)) + data[33:]
    np.testing.assert_array_equal(read_mask(data, labels, "here"), samples)


def test_one_bit_means_0_and_255_where_the_classes_say_so():
    labels = LabelMap(("membrane", "cell"), ((0, 0, 0), (255, 255, 255)), (0, 255))
    ids = np.array([[0, 1, 1]], np.uint8)
    np.testing.assert_array_equal(read_mask(encoded(Image.fromarray(ids > 0)), labels, "here"), ids)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encoded(COLOUR), r"A mask must have one channel, grey or palette\. Received: RGB \[m\]"),
        (encoded(GREY, "JPEG"), r"must be PNG inside.*\[m\]"),
        (encoded(np.full((2, 3), 3, np.uint8)), r"Mask values must be among.*Received: 3 \(6 pixels\).*\[m\]"),
        (png(np.full((2, 2), 1000), 16, 0), r"must lie in 0\.\.255\. Received: 1000 \[m\]"),
        (encoded(VALUES)[:-20], r"must be whole.*\[m\]"),
    ],
    ids=["colours", "jpeg", "unknown value", "above 255", "cut off"],
)
def test_a_mask_that_cannot_be_used_is_refused_with_its_place(data, message):
    with pytest.raises(PairError, match=message):
        read_mask(data, LABELS, "m")


def test_a_mask_of_another_size_is_refused_with_both_places_and_sizes():
    with pytest.raises(PairError, match=r"Received: mask 3x2 \[m\], image 16x24 \[i\]"):
        joined(encoded(COLOUR), encoded(VALUES), LABELS, 3, "i", "m")


def test_a_pair_becomes_the_images_own_bytes_and_a_png_of_ids():
    image = encoded(np.dstack([VALUES] * 3))
    stored, label_map, reason = joined(image, encoded(VALUES), LABELS, 3, "i", "m")
    assert (stored, reason) == (image, None)
    np.testing.assert_array_equal(decode_image(label_map)[..., 0], IDS)


def test_an_encoded_label_map_has_no_metadata_and_one_channel():
    data = encode_png(IDS[..., None])
    assert (data[24], data[25]) == (8, 0)
    assert data == encode_png(IDS)
