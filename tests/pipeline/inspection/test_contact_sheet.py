"""The contact sheet: outlines lie where the mask changes, void is checked, and every split is shown."""

import numpy as np

from kseg.labels import LabelMap
from kseg.plots.contact_sheets import FRAME
from pipeline.inspection.contact_sheet import VOID_SHADES, Shown, choose, draw_panels, draw_sheet

LABELS = LabelMap(("ground", "car", "sky"), ((0, 0, 0), (100, 50, 0), (0, 0, 200)), (0, 1, 2))


def pair(height=125, width=100):
    """An image of one grey value; the mask is a car below row 50 of 125, void right of column 60 of 100."""
    label_map = np.zeros((height, width), np.uint8)
    label_map[2 * height // 5 :] = 1
    label_map[:, 3 * width // 5 :] = 255
    return Shown("train/a", np.full((height, width, 3), 90, np.uint8), label_map)


def test_outlines_lie_on_both_sides_of_each_change_in_the_brightened_colour_of_the_class():
    image, mask = (np.asarray(panel) for panel in draw_panels(pair(), LABELS))  # twice as large
    assert image.shape == mask.shape == (250, 200, 3)
    assert image[100, 10].tolist() == [255, 127, 0] and image[99, 10].tolist() == [0, 0, 0]
    assert image[101, 10].tolist() == image[98, 10].tolist() == [90, 90, 90]
    changed = (image != 90).any(axis=-1)
    assert changed.sum() == 2 * 120 + 2 * 250 - 2  # a line of 120 and one of 250 pixels, two pixels wide, that meet


def test_the_mask_has_the_colours_of_its_classes_and_checks_where_it_is_void():
    _, mask = (np.asarray(panel) for panel in draw_panels(pair(), LABELS))
    assert mask[0, 0].tolist() == [0, 0, 0] and mask[-1, 0].tolist() == [100, 50, 0]
    assert set(np.unique(mask[:, 120:])) == set(VOID_SHADES)


def test_panels_keep_their_proportions_within_the_box():
    panorama, _ = draw_panels(pair(50, 400), LABELS)
    portrait, _ = draw_panels(pair(400, 50), LABELS)
    assert panorama.size == (333, 42) and portrait.size == (31, 250)


def test_the_legend_names_the_classes_that_are_shown_and_counts_the_others():
    texts = []
    one = draw_sheet([pair()], LABELS, "title")
    assert one.mode == "RGB" and (np.asarray(one) == FRAME).all(axis=-1).sum() >= 2 * (250 + 200)
    every = pair()._replace(label_map=np.arange(3, dtype=np.uint8).repeat(42)[:125, None].repeat(100, axis=1))
    texts = [np.asarray(draw_sheet([shown], LABELS, "title"))[30:60] for shown in (pair(), every)]
    blue = [(text == (0, 0, 200)).all(axis=-1).any() for text in texts]
    assert blue == [False, True]


def test_sheets_of_many_pairs_have_several_rows():
    one, many = draw_sheet([pair()], LABELS, "title"), draw_sheet([pair()] * 12, LABELS, "title")
    assert many.height > 3 * 250 and many.width <= 1400 and one.height < 400


def test_every_split_is_shown_and_the_choice_follows_from_the_seed():
    positions, splits = list(range(100)), ["train"] * 98 + ["test"] * 2
    chosen = choose(positions, splits, 6, seed=0)
    assert len(chosen) == 6 and chosen == sorted(chosen) and {98, 99} <= set(chosen)
    assert chosen == choose(positions, splits, 6, seed=0) != choose(positions, splits, 6, seed=1)
    assert choose([3, 5], ["train", "test"], 12, seed=0) == [3, 5]
