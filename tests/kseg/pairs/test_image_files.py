"""What is stored of one encoded image: its own bytes or an equivalent PNG; and which pairs are refused."""

import io

import numpy as np
import pytest
from PIL import Image

from kseg.labels import LabelMap
from kseg.pairs.channels import TENSOR
from kseg.pairs.errors import PairError
from kseg.pairs.image_files import decode_image, encode_png, prepare_image, prepare_pair
from tests.kseg.pairs.encoded import COLOUR, GREY, encoded, png

LABELS = LabelMap(("a", "b", "c"), ((0, 0, 0), (255, 0, 0), (0, 255, 0)), (0, 1, 7), ignore_value=255)
IDS = np.array([[0, 1, 2], [255, 2, 0]], np.uint8)
VALUES = np.array([[0, 1, 7], [255, 7, 0]], np.uint8)


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
    assert prepare_image(data, channels, "here") == (data, (24, 16), None)


def rgba():
    return encoded(np.dstack([COLOUR, GREY // 128 * 255]))


def palette():
    return encoded(Image.fromarray(COLOUR).quantize(8))


@pytest.mark.parametrize(
    ("data", "channels", "reason", "expected"),
    [
        (rgba(), 3, "alpha channel", COLOUR),
        (encoded(np.dstack([GREY, GREY // 128 * 255])), 1, "alpha channel", GREY[..., None]),
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
def test_other_images_are_reencoded_as_png_with_a_reason(data, channels, reason, expected):
    stored, size, found = prepare_image(data, channels, "here")
    assert (size, found) == ((24, 16), reason)
    np.testing.assert_array_equal(decode_image(stored), expected)
    assert prepare_image(stored, channels, "here") == (stored, size, None)  # every decoder reads it alike now


UPRIGHT = {  # the upright image by EXIF orientation
    2: COLOUR[:, ::-1],
    3: COLOUR[::-1, ::-1],
    4: COLOUR[::-1],
    5: COLOUR.swapaxes(0, 1),
    6: np.rot90(COLOUR, -1),
    7: COLOUR[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90(COLOUR, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_images_are_rotated_by_their_exif_orientation(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored, size, reason = prepare_image(encoded(COLOUR, exif=exif), 3, "here")
    unchanged = ", size unchanged" if orientation in (2, 3, 4) else ""
    assert (size, reason) == (UPRIGHT[orientation].shape[:2], f"rotated by EXIF{unchanged}")
    np.testing.assert_array_equal(decode_image(stored), UPRIGHT[orientation])


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_square_image_has_the_same_size_when_it_is_rotated(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    _, _, reason = prepare_image(encoded(COLOUR[:16], exif=exif), 3, "here")
    assert reason == "rotated by EXIF, size unchanged"


def test_a_mask_drawn_on_the_pixels_as_stored_is_refused_as_such():
    exif = Image.Exif()
    exif[0x0112] = 6
    message = r"Received: mask 3x2, image 2x3, after rotation by its EXIF \[m, i\]\. The mask was drawn on the pixels as stored"
    with pytest.raises(PairError, match=message):
        prepare_pair(encoded(np.dstack([VALUES] * 3), exif=exif), encoded(VALUES), LABELS, 3, "i", "m")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("colour", [False, True])
def test_16_bits_are_scaled_by_their_range_without_losing_levels(colour, alpha, channels):
    pixels = COLOUR if colour else GREY[..., None]
    opaque = np.full((*GREY.shape, 1), 65535)
    samples = np.concatenate([pixels.astype(int) * 39, *([opaque] if alpha else [])], axis=-1)
    kind = {(False, False): 0, (True, False): 2, (False, True): 4, (True, True): 6}[colour, alpha]
    stored, _, _ = prepare_image(png(samples, 16, kind), channels, "here", image_range=255 * 39)
    expected = Image.fromarray(pixels if colour else pixels[..., 0]).convert("L" if channels == 1 else "RGB")
    np.testing.assert_array_equal(decode_image(stored).squeeze(), np.asarray(expected))


def test_samples_above_the_range_are_white():
    stored, _, _ = prepare_image(png(np.array([[0, 50, 100, 101, 65535]]), 16, 0), 1, "here", image_range=100)
    assert decode_image(stored)[..., 0].tolist() == [[0, 128, 255, 255, 255]]


def test_a_rotated_image_of_16_bits_is_scaled_and_rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(GREY.astype(np.uint16) * 2)
    stored, _, _ = prepare_image(encoded(image, exif=exif), 1, "here", image_range=510)
    np.testing.assert_array_equal(decode_image(stored)[..., 0], np.rot90(GREY, -1))


@pytest.mark.parametrize("bands", [COLOUR, GREY[..., None]], ids=["RGB", "grey"])
def test_alpha_that_varies_like_a_picture_is_refused(bands):
    with pytest.raises(
        PairError, match=r"Received: 254 values between, at 99% of the pixels \[i\]\. If it is another band"
    ):
        prepare_image(encoded(np.dstack([bands, GREY])), 3, "i")


def test_16_bits_of_which_only_12_are_used_are_reported_as_dark():
    dark = png(GREY.astype(np.uint16) * 10, 16, 0)
    stored, _, reason = prepare_image(dark, 1, "here")
    assert reason == "16 bits, the upper 4 unused"
    np.testing.assert_array_equal(decode_image(stored)[..., 0], GREY.astype(np.uint16) * 10 >> 8)


def test_a_cmyk_jpeg_is_converted_to_rgb():
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    stored, _, reason = prepare_image(encoded(red, "JPEG", quality=100), 3, "here")
    assert reason == "CMYK"
    assert np.abs(decode_image(stored).astype(int) - (255, 0, 0)).max() <= 3


def test_a_cmyk_jpeg_of_no_adobe_program_is_not_inverted():
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)
    start = data.index(b"\xff\xee")
    plain = data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]
    stored, _, _ = prepare_image(plain, 3, "here")  # Pillow stored the inverse, and the marker that says so is gone
    assert np.abs(decode_image(stored).astype(int) - (0, 0, 0)).max() <= 3


def test_a_mask_of_another_size_is_refused_with_both_paths_and_sizes():
    with pytest.raises(PairError, match=r"Received: mask 3x2, image 16x24 \[m, i\]"):
        prepare_pair(encoded(COLOUR), encoded(VALUES), LABELS, 3, "i", "m")


def test_a_pair_is_stored_as_the_bytes_of_the_image_and_a_png_of_ids():
    image = encoded(np.dstack([VALUES] * 3))
    stored, label_map, reason = prepare_pair(image, encoded(VALUES), LABELS, 3, "i", "m")
    assert (stored, reason) == (image, None)
    np.testing.assert_array_equal(decode_image(label_map)[..., 0], IDS)


def test_an_encoded_label_map_has_no_metadata_and_one_channel():
    data = encode_png(IDS[..., None])
    assert (data[24], data[25]) == (8, 0)
    assert data == encode_png(IDS)


@pytest.mark.parametrize("pixels", [IDS.astype(np.int64), IDS[0], np.zeros((2, 3, 4), np.uint8), IDS / 255])
def test_pixels_of_another_kind_are_not_encoded(pixels):
    with pytest.raises(ValueError, match=rf"`pixels` must be uint8 .*Received: pixels={pixels.dtype}"):
        encode_png(pixels)


def array_header(shape) -> bytes:
    """An array of numpy's that announces a shape and holds nothing."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.mark.parametrize("behind", [b"", b"x", b"\x93NUMPY\x01\x00", array_header((2, 2, 9**9)), array_header((4,))])
@pytest.mark.parametrize(("channels", "dtype"), [(3, "uint8"), (4, "uint16"), (2, "float32")])
def test_a_file_that_begins_like_a_stored_array_is_a_named_fault(behind, channels, dtype):
    with pytest.raises(PairError) as raised:
        prepare_image(TENSOR + behind, channels, "a.png", dtype=dtype)
    assert raised.value.name in ("damaged_file", "too_many_pixels") and raised.value.where == "a.png"
