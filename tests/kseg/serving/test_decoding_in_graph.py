"""What the graph decodes is what ingestion stores, also of JPEGs of four colours."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kseg.pairs.channels import PixelKind, png_file
from kseg.pairs.image_files import decode_image, prepare_image
from kseg.serving.decoding_in_graph import decode_unless_damaged
from kseg.serving.headers import read_header

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8))


def jpeg_of(mode, adobe):
    stream = io.BytesIO()
    PICTURE.convert(mode).save(stream, "JPEG", quality=95)
    data = stream.getvalue()
    if adobe is None:
        return data
    segment = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([adobe])
    start = data.index(b"\xff\xee") if b"\xff\xee" in data else 2
    length = 2 + int.from_bytes(data[start + 2 : start + 4], "big") if b"\xff\xee" in data else 0
    return data[:start] + segment + data[start + length :]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("adobe", [None, 0, 2], ids=["CMYK", "CMYK of Adobe", "YCCK"])
def test_a_jpeg_of_four_colours_is_decoded_as_it_is_stored(adobe, channels):
    data = jpeg_of("CMYK", adobe)
    stored, _, reason = prepare_image(data, channels, "a.jpg")
    assert reason == "CMYK"
    header = read_header(tf.constant(data))
    image, whole = decode_unless_damaged(tf.constant(data), header.scan, channels)
    assert bool(whole)
    np.testing.assert_allclose(image.numpy().astype(int), decode_image(stored).astype(int), atol=1)


def file_of(picture, **options):
    stream = io.BytesIO()
    picture.save(stream, **options)
    return stream.getvalue()


COLOURS = np.zeros((24, 40, 3), np.uint8)  # at whose edges a JPEG leaves [0, 255]
COLOURS[:12, :, 0] = COLOURS[6:18, 10:30, 1] = COLOURS[12:, :20, 2] = 255
COLOURS = Image.fromarray(COLOURS)
DEEP = np.random.default_rng(1).integers(0, 5000, (24, 40, 3)).astype(">u2")
FILES = {
    "JPEG": file_of(COLOURS, format="JPEG", quality=60),
    "progressive JPEG": file_of(COLOURS, format="JPEG", progressive=True),
    "PNG": file_of(PICTURE, format="PNG"),
    "PNG with alpha": file_of(COLOURS.convert("RGBA"), format="PNG"),
    "palette": file_of(PICTURE.convert("P"), format="PNG"),
    "PNG of 16 bits": png_file((24, 40), PixelKind(3, "uint16"), iter([b"\0" + row.tobytes() for row in DEEP])),
    "grey JPEG": file_of(PICTURE.convert("L"), format="JPEG"),
    "grey PNG with alpha": file_of(PICTURE.convert("LA"), format="PNG"),
}


@pytest.mark.parametrize("image_range", [None, 4095])
@pytest.mark.parametrize("name", FILES)
def test_grey_of_colours_is_that_of_ingestion(name, image_range):
    data = FILES[name]
    stored, _, _ = prepare_image(data, 1, "a", image_range=image_range)
    image, whole = decode_unless_damaged(tf.constant(data), read_header(tf.constant(data)).scan, 1, image_range)
    assert bool(whole)
    np.testing.assert_array_equal(image, decode_image(stored))


def test_a_cut_jpeg_of_four_colours_is_damaged():
    data = jpeg_of("CMYK", 0)[:-200]
    image, whole = decode_unless_damaged(tf.constant(data), read_header(tf.constant(data)).scan, 1)
    assert image.shape == (1, 1, 1) or not bool(whole)
