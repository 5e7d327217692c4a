"""A graph reads and applies the EXIF orientation of JPEGs like Pillow, whatever the bytes are."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kseg.pairs.decoding import EXIF_TRANSPOSES
from kseg.serving.orientation import apply_orientation, read_orientation
from tests.kseg.pairs.encoded import COLOUR, encoded

PLAIN = encoded(COLOUR, "JPEG", quality=95, subsampling=0)


@pytest.fixture(scope="module")
def oriented():
    """`read_orientation` as a graph, once for all files."""
    function = tf.function(read_orientation, input_signature=[tf.TensorSpec((), tf.string)])
    return lambda data: int(function(data))


def turned(value, **options) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif[0x0112] = value
    exif[0x8769] = {0x9003: "2024:05:06 07:08:09"}
    return encoded(COLOUR, "JPEG", exif=exif, quality=95, subsampling=0, **options)


def exif(endian: str, fields: list[tuple], directory: int = 8) -> bytes:
    """A JPEG whose EXIF was written by hand: fields are (tag, type, count, value)."""
    mark = {"<": b"II*\0", ">": b"MM\0*"}[endian]
    body = struct.pack(f"{endian}H", len(fields)) + b"".join(
        struct.pack(f"{endian}HHIH2x", tag, kind, count, value) for tag, kind, count, value in fields
    )
    tiff = mark + struct.pack(f"{endian}I", directory) + bytes(directory - 8) + body + bytes(4)
    segment = b"Exif\0\0" + tiff
    return PLAIN[:20] + b"\xff\xe1" + struct.pack(">H", 2 + len(segment)) + segment + PLAIN[20:]


@pytest.mark.parametrize("value", range(1, 9))
def test_every_orientation_is_applied_like_pillow_does(value):
    data = turned(value)
    stored = np.asarray(Image.open(io.BytesIO(data)))
    expected = Image.fromarray(stored).transpose(EXIF_TRANSPOSES[value]) if value > 1 else stored
    image = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
    np.testing.assert_array_equal(apply_orientation(image, tf.constant(data)), np.asarray(expected))


@pytest.mark.parametrize("endian", "<>")
def test_both_byte_orders_and_a_distant_directory_are_read(oriented, endian):
    fields = [(0x0100, 3, 1, 640), (0x0112, 3, 1, 8), (0x0131, 3, 1, 5)]
    assert oriented(exif(endian, fields)) == 8
    assert oriented(exif(endian, fields, directory=300)) == 8


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\xff\xd8",
        b"\xff\xd8\xff\xe1",
        b"\xff\xd8\xff\xe1\0\0",
        b"\xff\xd8\xff\xe1\0\x20Exif\0\0MM\0*\xff\xff\xff\xff",
        PLAIN,
        encoded(COLOUR),
        exif("<", [(0x0112, 3, 1, 9)]),
        exif("<", [(0x0112, 4, 1, 6)]),
        exif(">", [(0x0113, 3, 1, 6)]),
        exif(">", []),
        PLAIN + turned(6),
    ],
    ids=range(13),
)
def test_files_without_an_orientation_are_upright(oriented, data):
    assert oriented(data) == 1


def test_a_segment_of_another_kind_in_front_is_skipped(oriented):
    other = b"\xff\xe1\0\x20http://ns.adobe.com/xap/1.0/\0\0"
    data = turned(3)
    assert oriented(data[:2] + other + data[2:]) == 3


def test_corrupted_bytes_never_raise(oriented):
    generator = np.random.default_rng(0)
    data = turned(6)
    for _ in range(300):
        changed = bytearray(data)
        for place in generator.integers(0, 160, 4):
            changed[place] = generator.integers(256)
        assert 1 <= oriented(bytes(changed[: generator.integers(len(changed))])) <= 8


def test_no_operation_that_onednn_complains_about_is_in_the_graph():
    """oneDNN prints "supports DT_UINT8 only on platforms with AVX-512" about a transpose of uint8, in the middle of a run."""

    @tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.uint8), tf.TensorSpec((), tf.string)])
    def apply(image, encoded):
        return apply_orientation(image, encoded)

    graph = apply.get_concrete_function().graph.as_graph_def()
    operations = [node.op for function in graph.library.function for node in function.node_def]
    assert "Gather" in " ".join(operations) and not [name for name in operations if "Transpose" in name]
