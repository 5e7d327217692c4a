"""A picture is opened when it is whole, and what is not is refused by name before it can do harm."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from kseg.pairs.decoding import ADAM7, MAX_SCANS, has_colour, open_image, reopen_image, upright_transpose
from kseg.pairs.errors import PairError, printable
from tests.kseg.pairs.encoded import COLOUR, GREY, black, chunk, encoded, wrap

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def refused(data, **limits) -> PairError:
    with pytest.raises(PairError) as raised:
        open_image(data, "photos/7", **limits)
    assert raised.value.where == "photos/7" and raised.value.cure.endswith(".")
    return raised.value


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.97])
def test_a_file_that_is_cut_off_is_damaged(kind, kept):
    data = encoded(NOISE, kind)
    assert refused(data[: int(kept * len(data))]).name == "damaged_file"


def test_a_jpeg_whose_lower_half_is_missing_is_damaged_though_pillow_fills_it_with_grey():
    data = encoded(NOISE, "JPEG")
    half = data[: len(data) // 2] + b"\xff\xd9"
    Image.open(io.BytesIO(half)).load()
    assert "Corrupt JPEG data: premature end of data segment" in refused(half).what


def test_changed_bits_of_a_jpeg_are_found_that_pillow_lets_pass():
    data = bytearray(encoded(NOISE, "JPEG"))
    data[len(data) // 2 :: 997] = b"\x55" * len(data[len(data) // 2 :: 997])
    Image.open(io.BytesIO(data)).load()
    assert "Corrupt JPEG data" in refused(bytes(data)).what


def test_a_png_must_have_an_end_and_correct_checksums_though_pillow_does_not_check():
    data = encoded(COLOUR)
    Image.open(io.BytesIO(data[:-4])).load()
    assert refused(data[:-4]).name == "damaged_file"
    flipped = bytearray(data)
    flipped[60] ^= 1
    assert "the checksum of chunk 'IDAT' is wrong" in refused(bytes(flipped)).what
    unknown = data[:33] + chunk(b"HiHi", b"") + data[33:]
    assert "the chunk 'HiHi' is unknown" in refused(unknown).what


def test_a_png_with_missing_rows_is_damaged_though_pillow_fills_them():
    short = wrap(16, 400, zlib.compress(bytes(17 * 24)))
    Image.open(io.BytesIO(short)).load()
    assert "the pixels end after 408 of 6800 bytes" in refused(short).what
    assert open_image(wrap(16, 24, zlib.compress(bytes(17 * 24))), "here").size == (16, 24)


def interlaced(pixels: np.ndarray) -> bytes:
    """Encodes a grey PNG in the seven passes of Adam7, without filters."""
    passes = [pixels[y::dy, x::dx] for x, y, dx, dy in ADAM7]
    rows = b"".join(b"\0" + row.tobytes() for part in passes if part.size for row in part)
    height, width = pixels.shape
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("shape", [(24, 16), (1, 1), (3, 5), (9, 2)])
def test_interlaced_pngs_are_decoded(shape):
    pixels = GREY[: shape[0], : shape[1]]
    np.testing.assert_array_equal(np.asarray(open_image(interlaced(pixels), "here")), pixels)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<html>not found</html>", "unknown"),
        (encoded(COLOUR, "BMP"), "BMP"),
        (encoded(COLOUR, "GIF"), "GIF"),
        (encoded(COLOUR, "TIFF"), "TIFF"),
        (encoded(COLOUR, "WEBP"), "WebP"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF"),
    ],
)
def test_other_formats_are_refused_by_content(data, kind):
    error = refused(data)
    assert error.name == "unsupported_format" and f"{len(data)} bytes of kind {kind}" in error.what


def test_empty_files_and_animations_are_refused():
    assert refused(b"").name == "empty_file"
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    error = refused(encoded(frames[0], save_all=True, append_images=frames[1:]))
    assert (error.name, error.what) == ("animated", "A file must hold one image. Received: 2 frames of an animation")


def test_an_image_with_too_many_pixels_is_refused_by_its_header():
    error = refused(black(20_000, 10_000, 1)[:2000])
    assert error.name == "too_many_pixels"
    assert error.what == "An image must have at most 50,000,000 pixels. Received: 20000x10000"
    assert refused(encoded(GREY), max_pixels=24 * 16 - 1).name == "too_many_pixels"
    assert open_image(encoded(GREY), "here", max_pixels=24 * 16).size == (16, 24)


def test_the_limit_replaces_pillows(recwarn):
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(black(20_000, 10_000, 1)))
    assert open_image(black(10_000, 9_500, 1), "here", max_pixels=10**8).size == (10_000, 9_500)
    assert reopen_image(black(20_000, 10_000, 1)).size == (20_000, 10_000)
    assert not recwarn.list


def test_a_jpeg_with_too_many_scans_is_refused_before_decoding():
    data = encoded(NOISE, "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    assert (
        f"{MAX_SCANS + 10} scans"
        in refused(data[:-2] + last * (MAX_SCANS + 10 - data.count(b"\xff\xda")) + b"\xff\xd9").what
    )


def test_text_chunks_that_would_fill_the_memory_are_refused():
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "0" * 10**8, zip=True)
    assert refused(encoded(GREY, pnginfo=text)).name == "damaged_file"


def test_the_first_image_of_a_phones_jpeg_counts():
    second = Image.fromarray(255 - COLOUR)
    data = encoded(Image.fromarray(COLOUR), "MPO", save_all=True, append_images=[second], quality=95)
    assert np.abs(np.asarray(open_image(data, "here")).astype(int) - COLOUR).mean() < 8


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_an_unreadable_exif_rotates_nothing(exif):
    assert upright_transpose(open_image(encoded(COLOUR, "JPEG", exif=exif), "here")) is None


def test_the_header_tells_whether_an_image_has_colours(tmp_path):
    for name, data, expected in (
        ("a", encoded(COLOUR), True),
        ("b", encoded(COLOUR, "JPEG"), True),
        ("c", encoded(GREY), False),
        ("d", b"damaged", False),
    ):
        (tmp_path / name).write_bytes(data)
        assert has_colour(tmp_path / name) is expected
    assert has_colour(tmp_path / "missing") is False


def test_paths_are_printable_whatever_bytes_they_hold():
    assert printable("a/b.png") == "a/b.png"
    assert printable("é\n\t.png") == "é\\n\\t.png"
    assert printable(b"caf\xe9.png") == "caf\\xe9.png"


def test_an_error_holds_fault_place_and_cure_and_can_be_pickled():
    import pickle

    error = pickle.loads(pickle.dumps(PairError("name", "What. Received: x", "there", "Repair it.")))
    assert (error.name, str(error)) == ("name", "What. Received: x [there]. Repair it.")


def test_a_png_without_pixels_is_damaged():
    assert refused(wrap(0, 4, b"")).name == "damaged_file"
