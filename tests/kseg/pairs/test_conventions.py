"""What a data set decides where one of its files can be read in two ways."""

import numpy as np
import pytest
from PIL import Image

from kseg.labels import LabelMap
from kseg.pairs.conventions import Conventions, find_conventions
from kseg.pairs.errors import PairError
from kseg.pairs.listing import Pair
from kseg.pairs.mask_files import read_mask
from kseg.pairs.other_formats import side_of
from kseg.pairs.sides import PlainFile
from tests.kseg.pairs.encoded import encoded, png

BLACK, RED, GREEN, WHITE = (0, 0, 0), (255, 0, 0), (0, 255, 0), (255, 255, 255)
LABELS = LabelMap(("ground", "cat", "dog"), (BLACK, RED, GREEN), (0, 1, 2))
IDS = np.arange(24, dtype=np.uint8).reshape(4, 6) % 3


def with_colours(ids, order, colours=(BLACK, RED, GREEN)) -> bytes:
    """A palette mask of these ids whose palette has the colours in this order, as tools leave them that sort a palette."""
    image = Image.fromarray(np.argsort(order)[ids].astype(np.uint8), "P")
    image.putpalette([part for class_id in order for part in colours[class_id]])
    return encoded(image)


@pytest.fixture
def write(tmp_path):
    """Writes masks; returns pairs."""

    def pairs(*masks):
        for number, data in enumerate(masks):
            (tmp_path / f"{number}.png").write_bytes(data)
        sides = [PlainFile(tmp_path / f"{number}.png") for number in range(len(masks))]
        return [Pair(side.path.stem, "train", side, side) for side in sides]

    return pairs


def read_all(pairs, labels=LABELS, **settings):
    """The conventions, and the label map of each mask read by them."""
    found = find_conventions(pairs, labels, **settings)
    return found, [read_mask(pair.mask.read(), labels, pair.key, reading=found.mask_reading) for pair in pairs]


@pytest.mark.parametrize(
    ("orders", "reordered"),
    [
        ([(0, 1, 2), (1, 2, 0), (2, 0, 1)], 2),
        ([(0, 1, 2), (0, 1, 2), (1, 2, 0)], 1),
        ([(1, 2, 0), (1, 2, 0), (2, 1, 0)], 3),
    ],
)
def test_palettes_of_different_order_are_read_by_colour_and_counted(write, orders, reordered):
    found, label_maps = read_all(write(*(with_colours(IDS, order) for order in orders)))
    assert found == Conventions("colours", reordered)
    for label_map in label_maps:
        np.testing.assert_array_equal(label_map, IDS)


def test_one_palette_that_contradicts_the_table_is_refused_with_both_readings(write):
    pairs = write(*[with_colours(IDS, (1, 2, 0))] * 3)
    with pytest.raises(PairError, match=r"Received: value 0 \(ground\) in the colour \(255, 0, 0\) \(cat\)") as raised:
        find_conventions(pairs, LABELS)
    assert raised.value.name == "contradictory_mask" and raised.value.where == str(pairs[0].mask.path)
    _, by_colour = read_all(pairs, mask_reading="colours")  # the cures of the message
    np.testing.assert_array_equal(by_colour[0], IDS)
    _, by_value = read_all(pairs, mask_reading="values")
    np.testing.assert_array_equal(by_value[0], np.argsort((1, 2, 0))[IDS])


def test_a_palette_of_other_colours_than_the_table_is_read_by_value(write):
    shown = with_colours(IDS, (0, 1, 2), colours=(RED, WHITE, (9, 9, 9)))  # red is cat's colour, white nobody's
    found, label_maps = read_all(write(shown, shown))
    np.testing.assert_array_equal(label_maps, [IDS, IDS])
    assert found.reordered_masks == 0


def test_an_incomplete_palette_is_read_by_value(write):
    image = Image.fromarray(IDS, "P")
    image.putpalette([*BLACK, *RED, *BLACK])  # nobody gave dog a colour
    found, label_maps = read_all(write(encoded(image)))
    np.testing.assert_array_equal(label_maps, [IDS])
    assert found == Conventions()


def test_a_table_of_other_values_makes_the_colours_the_only_reading(write):
    labels = LabelMap(("ground", "cat"), (BLACK, WHITE), (0, 255))  # indices are 0 and 1
    masks = [with_colours(IDS % 2, (0, 1), (BLACK, WHITE)), with_colours(IDS % 2, (0, 1), (BLACK, WHITE))]
    found, label_maps = read_all(write(*masks), labels)
    np.testing.assert_array_equal(label_maps, [IDS % 2] * 2)
    assert found == Conventions("colours", 2)


def test_an_rgb_mask_of_equal_channels_holds_values_if_its_colours_have_no_class(write):
    found, label_maps = read_all(write(encoded(np.dstack([IDS] * 3)), encoded(np.dstack([0 * IDS] * 3))))
    np.testing.assert_array_equal(label_maps, [IDS, 0 * IDS])
    assert found == Conventions()


def test_an_rgb_mask_of_equal_channels_whose_colours_mean_other_classes_is_refused(write):
    inverted = LabelMap(("white", "black"), (WHITE, BLACK), (0, 255))
    with pytest.raises(PairError, match=r"Received: value 0 \(white\) in the colour \(0, 0, 0\) \(black\)"):
        find_conventions(write(encoded(np.dstack([IDS % 2 * 255] * 3))), inverted)


def test_a_contradiction_that_nobody_looked_for_is_refused_when_the_mask_is_read():
    with pytest.raises(PairError, match="Values and colours of a mask must mean the same classes"):
        read_mask(with_colours(IDS, (1, 2, 0)), LABELS, "m")


def test_masks_that_cannot_be_read_are_left_to_their_reading(write):
    assert find_conventions(write(b"", b"GIF8", with_colours(IDS, (1, 2, 0))[:-20]), LABELS) == Conventions()


def test_plain_masks_are_not_decoded(write, monkeypatch):
    monkeypatch.setattr("kseg.pairs.conventions.decode_mask", None)
    pairs = write(encoded(IDS), with_colours(IDS, (0, 1, 2)), encoded(Image.fromarray(IDS > 0)))
    assert find_conventions(pairs, LABELS) == Conventions()


GREY_16 = np.arange(24, dtype=np.uint16).reshape(4, 6) * 100


def test_the_largest_sample_of_16_bit_images_is_their_range(write):
    pairs = write(encoded(IDS), png(GREY_16, 16, 0), png(np.dstack([GREY_16 + 7] * 3), 16, 2), b"", encoded(IDS)[:-20])
    assert find_conventions(pairs, LABELS).image_range == 2307
    assert find_conventions(pairs, LABELS, image_range=4095).image_range == 4095


@pytest.mark.parametrize(
    "image", [encoded(IDS), png(GREY_16 * 0, 16, 0), png(GREY_16 * 0 + 65535, 16, 0), b"", b"GIF8"]
)
def test_without_16_bits_or_with_all_of_them_there_is_no_range(write, image):
    assert find_conventions(write(image), LABELS).image_range is None


def test_images_that_are_converted_on_reading_have_a_range_too(tmp_path):
    Image.fromarray(GREY_16).save(tmp_path / "image.tif")
    side = side_of(tmp_path / "image.tif")
    assert find_conventions([Pair("image", "train", side, side)], LABELS).image_range == 2300
