"""Proposed tables of classes, for every kind of mask; shares counted by hand."""

import csv
import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from kseg.labels import LabelMap
from kseg.pairs.class_table import MAX_COLOURS, format_table, propose_classes, scan_masks
from kseg.pairs.errors import PairError
from kseg.pairs.mask_files import read_mask
from tests.kseg.pairs.encoded import COLOUR, encoded, png

VALUES = np.array([[0, 1, 7, 7], [0, 0, 7, 7], [0, 0, 255, 1], [0, 0, 0, 0]], np.uint8)
RED, BLUE, VOC_VOID = (200, 0, 0), (0, 0, 200), (224, 224, 192)


def scan(*files, **options):
    return scan_masks(files, lambda data: (data, "mask"), len(files), **options)


def propose(*files, ignore_value=None):
    """(value, name, colour, pixels of 16) by row."""
    rows = propose_classes(scan(*files), ignore_value)
    return [(row.value, row.name, row.colour, row.share * 16) for row in rows]


def with_colours(values, colours) -> bytes:
    """A palette mask whose first colours are given."""
    image = Image.fromarray(values, "P")
    image.putpalette([channel for colour in colours for channel in colour])
    return encoded(image)


def painted(values, colours) -> np.ndarray:
    """An RGB mask (H, W, 3) with a colour for each value."""
    table = np.zeros((256, 3), np.uint8)
    for value, colour in colours.items():
        table[value] = colour
    return table[values]


def test_grey_masks_give_their_values_and_the_colours_of_voc():
    assert propose(encoded(VALUES)) == [
        (0, "class_0", (0, 0, 0), 9),
        (1, "class_1", (128, 0, 0), 2),
        (7, "class_2", (0, 128, 0), 4),
        (255, "void", (224, 224, 192), 1),
    ]


def test_palette_masks_give_their_palette():
    colours = [(9, 9, 9), RED, *[(0, 0, 0)] * 5, BLUE, *[(0, 0, 0)] * 247, VOC_VOID]
    rows = propose(with_colours(VALUES, colours))
    assert [row[:3] for row in rows] == [
        (0, "class_0", (9, 9, 9)),
        (1, "class_1", RED),
        (7, "class_2", BLUE),
        (255, "void", VOC_VOID),
    ]


def test_a_grey_ramp_as_palette_is_replaced_by_colours_that_can_be_told_apart():
    ramp = with_colours(VALUES, [(level, level, level) for level in range(256)])
    assert [row[2] for row in propose(ramp)] == [(0, 0, 0), (128, 0, 0), (0, 128, 0), (224, 224, 192)]


def test_rgb_masks_give_their_colours_the_most_common_first():
    colours = {0: RED, 1: (7, 7, 7), 7: BLUE, 255: VOC_VOID}
    assert propose(encoded(painted(VALUES, colours))) == [
        (0, "class_0", RED, 9),
        (1, "class_1", BLUE, 4),
        (2, "class_2", (7, 7, 7), 2),
        (255, "void", VOC_VOID, 1),
    ]


def test_rgb_masks_of_grey_colours_keep_their_levels_as_values():
    assert propose(encoded(np.dstack([VALUES] * 3))) == [
        (0, "class_0", (0, 0, 0), 9),
        (1, "class_1", (1, 1, 1), 2),
        (7, "class_2", (7, 7, 7), 4),
        (255, "void", (255, 255, 255), 1),
    ]


def test_masks_of_both_kinds_share_their_classes_by_colour():
    colours = [(9, 9, 9), RED, *[(0, 0, 0)] * 5, BLUE, *[(0, 0, 0)] * 247, VOC_VOID]
    other = np.full((4, 4, 3), BLUE, np.uint8)
    other[0] = (1, 99, 1)
    rows = propose(with_colours(VALUES, colours), encoded(other))
    assert [(value, colour, pixels * 2) for value, _, colour, pixels in rows] == [
        (0, (9, 9, 9), 9),
        (1, RED, 2),
        (2, (1, 99, 1), 4),
        (7, BLUE, 4 + 12),
        (255, VOC_VOID, 1),
    ]


@pytest.mark.parametrize(
    ("values", "void"),
    [
        ([0, 255], None),  # two levels
        ([0, 127, 255], None),  # three
        ([0, 85, 170, 255], None),
        ([0, 1, 255], 255),
        ([0, 15, 255], 255),
        ([0, 1, 2], None),
        ([255], None),
    ],
)
def test_255_is_called_void_only_where_it_stands_apart(values, void):
    rows = propose_classes(scan(encoded(np.array([values], np.uint8))))
    assert [row.value for row in rows if row.name == "void"] == ([] if void is None else [void])


def test_the_value_that_the_user_declared_is_called_void_and_no_other():
    names = {value: name for value, name, _, _ in propose(encoded(VALUES), ignore_value=7)}
    assert names == {0: "class_0", 1: "class_1", 7: "void", 255: "class_2"}


def test_no_colour_of_rgb_masks_gets_the_declared_void_value_by_chance():
    rows = propose(encoded(painted(VALUES, {0: RED, 1: (7, 7, 7), 7: BLUE, 255: (1, 2, 3)})), ignore_value=1)
    assert [row[:3] for row in rows] == [
        (0, "class_0", RED),
        (2, "class_1", BLUE),
        (3, "class_2", (7, 7, 7)),
        (4, "class_3", (1, 2, 3)),
    ]


@pytest.mark.parametrize(
    "data",
    [
        encoded(VALUES),
        with_colours(VALUES, [(9, 9, 9), RED, *[(0, 0, 0)] * 5, BLUE, *[(0, 0, 0)] * 247, VOC_VOID]),
        encoded(painted(VALUES, {0: RED, 1: (7, 7, 7), 7: BLUE, 255: VOC_VOID})),
        encoded(np.dstack([VALUES] * 3)),
        png(VALUES % 2, 1, 0),
        png(VALUES.astype(np.uint16), 16, 0),
    ],
    ids=["grey", "palette", "rgb", "grey rgb", "1 bit", "16 bit"],
)
def test_a_proposed_table_reads_the_masks_that_it_was_made_from(data, tmp_path):
    rows = propose_classes(scan(data))
    (tmp_path / "classes.csv").write_text(format_table(rows))
    void = next((row.value for row in rows if row.name == "void"), None)
    label_map = read_mask(data, LabelMap.from_csv(tmp_path / "classes.csv", void), "mask")
    counts = np.bincount(label_map.ravel(), minlength=256)
    expected = [row.share * 16 for row in rows if row.value != void]
    assert counts[: len(expected)].tolist() == expected
    assert counts[255] == (0 if void is None else 1)


def test_the_table_shows_shares_in_percent():
    table = list(csv.DictReader(io.StringIO(format_table(propose_classes(scan(encoded(VALUES)))))))
    assert [row["share"] for row in table] == ["56.2%", "12.5%", "25%", "6.25%"]


def test_masks_that_cannot_be_read_are_left_out_and_counted():
    found = scan(encoded(VALUES), encoded(VALUES, "JPEG"), b"")
    assert (found.scanned, found.total, [error.name for error in found.errors]) == (1, 3, ["lossy_mask", "empty_file"])
    with pytest.raises(PairError, match=r"A mask must be PNG\. Received: JPEG"):
        propose_classes(scan(encoded(VALUES, "JPEG")))


@pytest.mark.parametrize("count", [300, MAX_COLOURS + 1])
def test_more_colours_than_there_can_be_classes_are_refused(count):
    colours = np.arange(count, dtype=np.uint32)[None]
    pixels = np.dstack([colours >> 8, colours & 255, colours * 0]).astype(np.uint8)
    received = "300 values and colours" if count == 300 else f"more than {MAX_COLOURS} colours in one"
    with pytest.raises(ValueError, match=rf"at most 255 classes\. Received: {received}, 1 of 1 masks.*anti-aliased"):
        propose_classes(scan(encoded(pixels)))


def test_photographs_and_smoothed_masks_end_the_scan_early():
    noise = np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)
    found = scan(*[encoded(noise)] * 5)
    assert (found.scanned, found.too_many_colours) == (1, True)
    soft = encoded(Image.fromarray(COLOUR).filter(ImageFilter.GaussianBlur(2)))
    with pytest.raises(ValueError, match="draw the mask without smoothing"):
        propose_classes(scan(soft, encoded(255 - COLOUR)))


def test_the_scan_ends_when_its_time_is_up():
    found = scan(*[encoded(VALUES)] * 5, seconds=0)
    assert (found.scanned, found.total) == (1, 5)


def test_palettes_of_different_order_are_counted_by_colour():
    ids = np.repeat(np.arange(3, dtype=np.uint8), (1, 2, 3))[None]
    colours = [(9, 9, 9), (255, 0, 0), (0, 255, 0)]
    masks = []
    for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        image = Image.fromarray(np.argsort(order)[ids].astype(np.uint8), "P")
        image.putpalette([part for number in order for part in colours[number]])
        masks.append(encoded(image))
    rows = propose_classes(scan_masks(masks, lambda data: (data, "m"), 3))
    assert {row.colour: row.share for row in rows} == {colour: (n + 1) / 6 for n, colour in enumerate(colours)}
