"""What the graph decodes is what ingestion stores, also of JPEGs of four colours."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

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


def test_a_cut_jpeg_of_four_colours_is_damaged():
    data = jpeg_of("CMYK", 0)[:-200]
    image, whole = decode_unless_damaged(tf.constant(data), read_header(tf.constant(data)).scan, 1)
    assert image.shape == (1, 1, 1) or not bool(whole)
