"""Which images the pictures of refinement show, their captions, and that photographs appear only with --show-data."""

import numpy as np
import pytest
from PIL import Image

import kseg
from benchmarks import refinement_pictures
from benchmarks.refinement_pictures import MENDED, SAME, SPOILT, WRONG, Example, caption, change_map, choose_examples
from kseg.labels import VOID, LabelMap
from tests.pipeline import conftest as drawn_pairs
from tests.prepared_pairs import write_prepared

LABELS = LabelMap(("left", "right"), ((220, 60, 50), (50, 90, 220)), (0, 1), void_colour=(5, 6, 7))
SOURCE = (77, 10, 200)
TRUTH = np.array([[0, 0, 1, 1], [0, VOID, 1, 1]], np.uint8)


def example(key, wrong_before, wrong_after):
    """A pair whose first pixels in reading order, except void, are wrong."""
    maps = []
    for wrong in (wrong_before, wrong_after):
        ids = np.where(TRUTH == VOID, 0, TRUTH).astype(np.uint8)
        places = np.argwhere(TRUTH != VOID)[:wrong]
        ids[tuple(places.T)] = 1 - ids[tuple(places.T)]
        maps.append(ids)
    return Example(key, np.full((2, 4, 3), SOURCE, np.uint8), TRUTH, *maps)


def test_the_most_mended_the_median_and_the_most_spoilt_are_chosen_by_accuracy():
    examples = [example(str(n), 3, after) for n, after in enumerate((3, 0, 5, 2, 4))]
    assert [(title, one.key) for title, one in choose_examples(examples)] == [
        ("most mended", "1"),
        ("typical", "0"),
        ("most spoilt", "2"),
    ]


@pytest.mark.parametrize(("number", "titles"), [(1, ["least mended"]), (2, ["typical", "least mended"])])
def test_no_image_is_shown_twice(number, titles):
    found = choose_examples([example(str(n), 1, n) for n in range(number)])
    assert len({one.key for _, one in found}) == len(found)
    assert [title for title, _ in found] == titles


def test_the_caption_counts_labelled_pixels_alone():
    one = example("a", 3, 1)
    assert one.accuracies == (4 / 7, 6 / 7)
    assert caption("typical", one) == "typical: 57.1 to 85.7 % of pixels correct; 2 mended, 0 spoilt"


def test_mended_is_green_spoilt_red_and_the_rest_grey():
    before, after = TRUTH.copy(), TRUTH.copy()
    before[0, 0] = 1  # mended
    after[0, 3] = 0  # spoilt
    before[1, 0] = after[1, 0] = 1  # wrong both times
    before[1, 1], after[1, 1] = 0, 1  # void
    seen = change_map(Example("a", np.zeros((2, 4, 3), np.uint8), TRUTH, before, after))
    expected = [[MENDED, SAME, SAME, SPOILT], [WRONG, SAME, SAME, SAME]]
    assert seen.tolist() == [[list(colour) for colour in row] for row in expected]
    assert len({MENDED, SAME, SPOILT, WRONG}) == 4


def test_images_and_true_masks_are_drawn_only_with_show_data():
    rows = [("typical", example("a", 3, 1))]
    colours = {
        show: {colour for _, colour in refinement_pictures.draw_sheet(rows, LABELS, "head", show).getcolors(1 << 20)}
        for show in (False, True)
    }
    data = {SOURCE, LABELS.void_colour}
    assert not data & colours[False] and data <= colours[True]
    assert {*LABELS.colours, MENDED} <= colours[False] & colours[True]


def test_the_command_draws_what_a_stored_model_gains(tmp_path, capsys):
    pairs = [drawn_pairs.pair(number) for number in range(3)]
    write_prepared(tmp_path / "data", {"test": pairs}, drawn_pairs.LABELS)
    size = drawn_pairs.IMAGE_SIZE
    kseg.export(drawn_pairs.nearest_colour(), tmp_path / "model", labels=drawn_pairs.LABELS, image_size=size)
    places = {"model": tmp_path / "model", "data": tmp_path / "data", "out": tmp_path / "refined.png"}
    arguments = [text for name, place in places.items() for text in (f"--{name}", str(place))]
    assert refinement_pictures.main([*arguments, "--crf", '{"iterations": 1}']) == 0
    out = capsys.readouterr().out
    assert "mean IoU" in out and "on 3 images of 'test'" in out and "most mended: " in out
    picture = Image.open(tmp_path / "refined.png")
    assert (picture.format, picture.mode, picture.width) == ("PNG", "P", refinement_pictures.WIDTH)
    assert refinement_pictures.main([*arguments, "--split", "night"]) == 2
    assert "with a split 'night'" in capsys.readouterr().err
