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
