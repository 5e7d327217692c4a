"""Every kind of mask becomes class ids; values and colours without a class are refused."""

import re

import numpy as np
import pytest
from PIL import Image, ImageFilter

from kseg.labels import LabelMap
from kseg.pairs.errors import PairError
from kseg.pairs.mask_files import read_mask
from tests.kseg.pairs.encoded import COLOUR, GREY, chunk, encoded, png, with_palette

LABELS = LabelMap(("a", "b", "c"), ((0, 0, 0), (255, 0, 0), (0, 255, 0)), (0, 1, 7), 255, (9, 9, 9))
IDS = np.array([[0, 1, 2], [255, 2, 0]], np.uint8)
VALUES = np.array([[0, 1, 7], [255, 7, 0]], np.uint8)
OPAQUE = np.full_like(VALUES, 255)


@pytest.mark.parametrize(
    "data",
    [
        encoded(VALUES),
        encoded(with_palette(VALUES)),
        png(VALUES.astype(np.uint16), 16, 0),
        encoded(LABELS.colour(IDS)),
        encoded(np.dstack([LABELS.colour(IDS), OPAQUE])),
        encoded(np.dstack([VALUES, OPAQUE])),
    ],
    ids=["grey", "palette", "16-bit", "colours", "colours+alpha", "grey+alpha"],
)
def test_the_values_of_every_kind_of_mask_become_ids(data):
    np.testing.assert_array_equal(read_mask(data, LABELS, "here"), IDS)


@pytest.mark.parametrize("colour_type", [0, 3])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_samples_of_fewer_than_8_bits_are_read_as_stored(depth, colour_type):
    samples = np.arange(2**depth, dtype=np.uint8).reshape(1, -1)
    names, colours = tuple("abcdefghijklmnop"[: 2**depth]), ((0, 0, 0),) * 2**depth
    labels = LabelMap(names, colours, tuple(range(2**depth)))
    data = png(samples, depth, colour_type)
    if colour_type == 3:
        data = data[:33] + chunk(b"PLTE", bytes([9] * 3 * 2**depth)) + data[33:]
    np.testing.assert_array_equal(read_mask(data, labels, "here"), samples)


def test_one_bit_means_0_and_255_where_the_classes_have_these_values():
    labels = LabelMap(("membrane", "cell"), ((0, 0, 0), (255, 255, 255)), (0, 255))
    ids = np.array([[0, 1, 1]], np.uint8)
    np.testing.assert_array_equal(read_mask(encoded(Image.fromarray(ids > 0)), labels, "here"), ids)


def test_one_bit_means_0_and_255_where_ranges_of_values_leave_0_and_1_in_one_class():
    ranges = LabelMap.from_rows([(v, "cell" if v > 127 else "membrane", (v // 128 * 255,) * 3) for v in range(256)], [])
    ids = np.array([[0, 1, 1]], np.uint8)
    np.testing.assert_array_equal(read_mask(encoded(Image.fromarray(ids > 0)), ranges, "here"), ids)
    np.testing.assert_array_equal(read_mask(encoded(ids), ranges, "here"), 0 * ids)


def test_a_mask_is_rotated_by_its_exif_orientation():
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    np.testing.assert_array_equal(read_mask(encoded(VALUES, exif=exif), LABELS, "here"), IDS[::-1, ::-1])


def test_the_colour_of_void_is_read_unless_a_class_has_it_or_void_has_no_value():
    void = encoded(np.full((1, 1, 3), 9, np.uint8))
    assert read_mask(void, LABELS, "m").item() == 255
    without = LabelMap(LABELS.names, LABELS.colours, LABELS.values, None, LABELS.void_colour)
    with pytest.raises(PairError, match=r"must be those of the classes\. Received: \(9, 9, 9\) \(1 pixels\) \[m\]"):
        read_mask(void, without, "m")
    shared = LabelMap(LABELS.names, LABELS.colours, LABELS.values, 255, LABELS.colours[1])
    assert read_mask(encoded(np.array([[LABELS.colours[1]]], np.uint8)), shared, "m").item() == 1


def smoothed(mask) -> bytes:
    """The mask with anti-aliased edges."""
    return encoded(Image.fromarray(mask).filter(ImageFilter.GaussianBlur(2)))


BLOCK = np.zeros((24, 32), np.uint8)
BLOCK[6:18, 8:24] = 7


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (encoded(GREY, "JPEG"), "lossy_mask", r"A mask must be PNG\. Received: JPEG.*\[m\]\. Export the mask again"),
        (encoded(np.full((2, 3), 3, np.uint8)), "unknown_values", r"Received: 3 \(6 pixels\) \[m\]\. Add them to"),
        (smoothed(BLOCK * 30), "unknown_values", r"in all\) \[m\]\. So many come from anti-aliased or resized edges"),
        (png(np.full((2, 2), 1000), 16, 0), "values_above_255", r"must lie in 0\.\.255\. Received: 1000 \[m\]"),
        (
            encoded(COLOUR),
            "unknown_colours",
            r"Received: \(0, 112, 255\) \(2 pixels\), .*\(256 in all\) \[m\].*or this is not a mask",
        ),
        (smoothed(LABELS.colour(BLOCK // 7)), "unknown_colours", r"anti-aliased"),
        (encoded(np.dstack([LABELS.colour(IDS), OPAQUE - 1])), "mask_alpha", r"Received: alpha down to 254 \[m\]"),
        (encoded(np.dstack([VALUES, OPAQUE // 2])), "mask_alpha", r"Received: alpha down to 127 \[m\]"),
        (encoded(VALUES)[:-20], "damaged_file", r"must be whole.*\[m\]"),
    ],
    ids=["jpeg", "unknown", "smoothed", "above 255", "colours", "smoothed colours", "alpha", "grey+alpha", "cut off"],
)
def test_an_unusable_mask_is_refused_with_its_path(data, name, message):
    with pytest.raises(PairError, match=message) as raised:
        read_mask(data, LABELS, "m")
    assert raised.value.name == name


def test_rgb_masks_are_refused_where_two_classes_share_a_colour():
    labels = LabelMap(("a", "b"), ((1, 2, 3), (1, 2, 3)), (0, 1))
    with pytest.raises(PairError, match=re.escape("two classes of one colour in classes.csv [m]. Give each class")):
        read_mask(encoded(np.full((2, 2, 3), (1, 2, 3), np.uint8)), labels, "m")


TWO = LabelMap(("ground", "cat"), ((0, 0, 0), (255, 0, 0)), (0, 1))
RIVER = np.zeros((24, 32), np.uint8)
RIVER[6:18, 8:24] = 1


def enlarged(mask) -> bytes:
    """A mask that was halved and enlarged with interpolation, which leaves few strange values."""
    picture = Image.fromarray(mask)
    return encoded(picture.resize((16, 12)).resize((32, 24), Image.Resampling.BILINEAR))


@pytest.mark.parametrize(
    ("data", "cure"),
    [
        (
            encoded(RIVER * 255),
            r"if 255 means cat, write 255 instead of 1 in classes\.csv; if it means void, pass --ignore",
        ),
        (enlarged(RIVER * 6), r"\. 2, 4, 5 lie between their neighbours, as on anti-aliased or resized edges"),
        (
            enlarged(np.dstack([RIVER * 6, 0 * RIVER, RIVER * 6])),
            "lie between their neighbours, as on anti-aliased or resized edges",
        ),
        (encoded(np.where(RIVER == 0, 2, RIVER)), "Add them to classes.csv, pass the void value"),
        (encoded(np.dstack([RIVER, 0 * RIVER, 0 * RIVER])), "Only the red channel is used: if it holds class values"),
        (encoded(np.dstack([0 * RIVER, RIVER * 9, RIVER * 7])), "Add them to classes.csv, or write masks of values"),
    ],
    ids=["0 and 255", "few smoothed values", "few smoothed colours", "missing value", "one channel", "missing colour"],
)
def test_the_cure_is_that_of_the_fault(data, cure):
    with pytest.raises(PairError, match=cure):
        read_mask(data, TWO, "m")


@pytest.mark.parametrize(("values", "free"), [((1, 2), 255), ((1, 255), 254)])
def test_black_without_a_class_may_be_void_with_the_option_that_the_message_names(values, free):
    labels = {"names": ("blue", "red"), "colours": ((0, 0, 255), (255, 0, 0)), "values": values}
    data = encoded(np.array([[(0, 0, 0), (0, 0, 255), (255, 0, 0)]], np.uint8))
    with pytest.raises(
        PairError, match=f"If black means void, pixels without a label, pass --ignore-value {free}, which"
    ):
        read_mask(data, LabelMap(**labels), "m")
    assert read_mask(data, LabelMap(**labels, ignore_value=free), "m").tolist() == [[255, 0, 1]]


def test_16_bits_of_colour_or_with_alpha_are_read_if_8_bits_hold_them():
    colours = TWO.colour(RIVER).astype(int)
    np.testing.assert_array_equal(read_mask(png(colours * 257, 16, 2), TWO, "m"), RIVER)
    opaque = np.full_like(RIVER, 255).astype(int)
    np.testing.assert_array_equal(read_mask(png(np.dstack([colours, opaque]) * 257, 16, 6), TWO, "m"), RIVER)
    for samples, colour_type in ((np.dstack([RIVER] * 3), 2), (np.dstack([RIVER, opaque * 257]), 4)):
        with pytest.raises(
            PairError, match=r"Colours of a 16-bit mask must be those of 8 bits, times 257\. Received: 1 "
        ):
            read_mask(png(samples, 16, colour_type), TWO, "m")  # ids, of which Pillow would keep the upper 8 bits: 0


@pytest.mark.parametrize("mask", [RIVER, TWO.colour(RIVER)], ids=["grey", "RGB"])
def test_a_transparent_colour_must_not_hide_anything(mask):
    transparent = 0 if mask.ndim == 2 else (0, 0, 0)
    with pytest.raises(PairError, match="A mask must be opaque everywhere"):
        read_mask(encoded(Image.fromarray(mask), transparency=transparent), TWO, "m")
    unused = 7 if mask.ndim == 2 else (7, 7, 7)
    np.testing.assert_array_equal(read_mask(encoded(Image.fromarray(mask), transparency=unused), TWO, "m"), RIVER)


RANGES = LabelMap.from_rows(
    [(value, "cat" if value > 127 else "ground", (0, 0, 200 * (value > 127))) for value in range(256)]
)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_ranges_of_values_read_a_grey_jpeg(mode):
    data = encoded(Image.fromarray(RIVER * 255).convert(mode), "JPEG", quality=90)
    np.testing.assert_array_equal(read_mask(data, RANGES, "m"), RIVER)


def test_a_jpeg_of_colours_is_refused_by_ranges_and_any_jpeg_without_them():
    red = encoded(TWO.colour(RIVER), "JPEG")
    with pytest.raises(PairError, match=r"must be grey\. Received: colours at 28% of the pixels"):
        read_mask(red, RANGES, "m")
    with pytest.raises(PairError, match=r"with ranges: --classes 'background=0-127,object=128-255'") as raised:
        read_mask(encoded(RIVER * 255, "JPEG"), TWO, "m")
    assert raised.value.name == "lossy_mask"


def test_ranges_read_smoothed_png_too():
    np.testing.assert_array_equal(read_mask(enlarged(RIVER * 255), RANGES, "m"), RIVER)
