"""A graph reads and applies the orientation of JPEG and PNG files like Pillow, whatever the bytes are."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kseg.pairs.decoding import EXIF_TRANSPOSES, upright_transpose
from kseg.serving.orientation import apply_orientation, read_orientation
from tests.kseg.pairs.encoded import COLOUR, chunk, encoded

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
    np.testing.assert_array_equal(apply_orientation(image, read_orientation(tf.constant(data))), np.asarray(expected))


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
        exif(">", [(0x0113, 3, 1, 6)]),
        exif(">", []),
        PLAIN + turned(6),
    ],
    ids=range(12),
)
def test_files_without_an_orientation_are_upright(oriented, data):
    assert oriented(data) == 1


def pillows(data: bytes) -> int:
    """The orientation that ingestion reads."""
    transpose = upright_transpose(Image.open(io.BytesIO(data)))
    return {value: number for number, value in EXIF_TRANSPOSES.items()}.get(transpose, 1)


VALUES = {  # type of the field: how a 6 is written, in 4 bytes or, by an offset behind the directory, in 8
    "SHORT": (3, "H2x"),
    "LONG": (4, "I"),
    "signed byte": (6, "b3x"),
    "signed SHORT": (8, "h2x"),
    "signed LONG": (9, "i"),
    "FLOAT": (11, "f"),
    "IFD": (13, "I"),
    "RATIONAL": (5, "II"),
    "signed RATIONAL": (10, "ii"),
    "DOUBLE": (12, "d"),
    "LONG8": (16, "Q"),
    "BYTE": (1, "B3x"),  # bytes, which are no number to Pillow
    "UNDEFINED": (7, "B3x"),
}


def tiff(endian: str, fields: list[tuple], behind: bytes = b"", mark: bytes | None = None) -> bytes:
    """EXIF of fields (tag, type, count, 4 bytes), with bytes behind the directory."""
    mark = mark or {"<": b"II*\0", ">": b"MM\0*"}[endian]
    body = b"".join(struct.pack(f"{endian}HHI", *field[:3]) + field[3] for field in fields)
    return mark + struct.pack(f"{endian}IH", 8, len(fields)) + body + bytes(4) + behind


def segment(content: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", 2 + len(content)) + content


def with_exif(content: bytes, name: bytes = b"Exif\0\0") -> bytes:
    return PLAIN[:20] + segment(name + content) + PLAIN[20:]


@pytest.mark.parametrize("endian", "<>")
@pytest.mark.parametrize("kind", VALUES)
def test_every_type_of_number_is_read_as_pillow_reads_it(oriented, kind, endian):
    number, form = VALUES[kind]
    values = (12, 2) if kind in ("RATIONAL", "signed RATIONAL") else (6,)
    value = struct.pack(endian + form, *values)
    if len(value) == 4:
        data = with_exif(tiff(endian, [(0x0112, number, 1, value)]))
    else:
        data = with_exif(tiff(endian, [(0x0112, number, 1, struct.pack(endian + "I", 26))], value))
    assert oriented(data) == pillows(data) == (1 if kind in ("BYTE", "UNDEFINED") else 6)


def field(value: int, kind: int = 3, count: int = 1) -> tuple:
    return 0x0112, kind, count, struct.pack("<HH", value, 0)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (tiff("<", [field(6, count=2)]), 6),  # the first of several
        (tiff("<", [(0x0112, 3, 3, struct.pack("<I", 26))], struct.pack("<HHH", 8, 1, 1)), 8),
        (tiff("<", [field(6, count=0)]), 1),
        (tiff("<", [field(6), field(3)]), 3),  # the last of a tag
        (tiff("<", [field(6), field(3, kind=14)]), 6),  # an unknown type is skipped
        (tiff("<", [field(0)]), 1),
        (tiff("<", [field(9)]), 1),
        (tiff("<", [(0x010F, 2, 99, struct.pack("<I", 10_000)), field(6)]), 1),  # Pillow stops at a broken field
        (tiff("<", [field(6)])[:-4], 6),
        (tiff("<", [field(6)])[:-5], 1),
        (tiff(">", [(0x0112, 3, 1, b"\0\6\0\0")], mark=b"MM*\0"), 6),
        (tiff("<", [field(6)], mark=b"II\0*"), 6),
        (tiff("<", [field(6)], mark=b"II+\0"), 1),
        (tiff("<", [field(6)], mark=b"XX*\0"), 1),
        (10 * b"Exif\0\0" + tiff("<", [field(6)]), 6),  # the name 11 times
        (
            tiff("<", [(0x0100, 3, 1, bytes(4))], b"")[:-4]
            + struct.pack("<IH", 26, 1)
            + struct.pack("<HHI4s", *field(6)),
            1,
        ),
    ],
    ids=range(16),
)
def test_unusual_exif_is_read_as_pillow_reads_it(oriented, content, expected):
    """The last one has its orientation in IFD1, that of the thumbnail."""
    assert oriented(with_exif(content)) == pillows(with_exif(content)) == expected


XMP = b"http://ns.adobe.com/xap/1.0/\0"


@pytest.mark.parametrize(
    ("xmp", "expected"),
    [
        (b'<x tiff:Orientation="6"/>', 6),
        (b"<tiff:Orientation>8</tiff:Orientation>", 8),
        (b"<x tiff:Orientation='6'/>", 1),
        (b'\xff\xfe tiff:Orientation tiff:Orientation="3"', 3),
        (b'tiff:Orientation="9"', 1),
        (b'tiff:Orientation="', 1),
        (b"", 1),
    ],
    ids=range(7),
)
def test_xmp_counts_where_exif_has_no_orientation(oriented, xmp, expected):
    data = PLAIN[:20] + segment(XMP + xmp) + PLAIN[20:]
    assert oriented(data) == pillows(data) == expected
    both = PLAIN[:20] + segment(b"Exif\0\0" + tiff("<", [field(2)])) + segment(XMP + xmp) + PLAIN[20:]
    assert oriented(both) == pillows(both) == 2
    neither = PLAIN[:20] + segment(b"Exif\0\0" + tiff("<", [])) + segment(XMP + xmp) + PLAIN[20:]
    assert oriented(neither) == pillows(neither) == expected


def test_the_orientation_of_a_png_is_read_before_and_behind_its_pixels(oriented):
    plain = encoded(COLOUR)
    exif, end = chunk(b"eXIf", tiff("<", [field(6)])), plain.index(b"IEND") - 4
    xmp = chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="3"/>')
    for data, expected in (
        (plain[:33] + exif + plain[33:], 6),
        (plain[:end] + exif + plain[end:], 6),
        (plain[:33] + xmp + plain[33:], 3),
        (plain[:33] + xmp + exif + plain[33:], 6),
        (plain, 1),
    ):
        assert oriented(data) == pillows(data) == expected


def test_a_segment_of_another_kind_in_front_is_skipped(oriented):
    other = b"\xff\xe1\0\x20http://ns.adobe.com/xap/1.0/\0\0"
    data = turned(3)
    assert oriented(data[:2] + other + data[2:]) == 3


def test_corrupted_bytes_never_raise(oriented):
    generator = np.random.default_rng(0)
    png = encoded(COLOUR)
    png = png[:33] + chunk(b"eXIf", tiff("<", [field(6)])) + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0") + png[33:]
    both = PLAIN[:20] + segment(b"Exif\0\0" + tiff("<", [field(6)])) + segment(XMP + b"tiff:Orientation") + PLAIN[20:]
    for data in (turned(6), both, png):
        for _ in range(300):
            changed = bytearray(data)
            for place in generator.integers(0, min(len(data), 160), 4):
                changed[place] = generator.integers(256)
            assert 1 <= oriented(bytes(changed[: generator.integers(len(changed))])) <= 8


def test_no_operation_that_onednn_complains_about_is_in_the_graph():
    """oneDNN prints "supports DT_UINT8 only on platforms with AVX-512" about a transpose of uint8, in the middle of a run."""

    @tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.uint8), tf.TensorSpec((), tf.string)])
    def apply(image, encoded):
        return apply_orientation(image, read_orientation(encoded))

    graph = apply.get_concrete_function().graph.as_graph_def()
    operations = [node.op for function in graph.library.function for node in function.node_def]
    assert "Gather" in " ".join(operations) and not [name for name in operations if "Transpose" in name]
