"""Class names are text, whatever they contain, and pictures stay small for any number of classes."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kseg import plots
from kseg.labels import LabelMap, display_name, voc_colour
from kseg.plots.charts import largest_mistakes
from kseg.plots.overlays import MARGIN, TEXT_SIZE

ODD = (
    *("$_$", r"a$\frac$", "$x", "<b>", "&amp;", "a\nb", "\t", "%s {0}", "_hidden", "\\", '"', "n" * 200, "$" * 200),
    *(
        "\N{HEBREW LETTER ALEF}\N{HEBREW LETTER BET}",
        "\N{RIGHT-TO-LEFT OVERRIDE}abc",
        "\N{PILE OF POO}",
        "a\N{COMBINING ACUTE ACCENT}",
    ),
    *("\N{CJK UNIFIED IDEOGRAPH-8ECA}", "\0", "\N{ZERO WIDTH JOINER}", "\N{LINE SEPARATOR}"),
)


def labels_of(*names):
    return LabelMap(names, tuple(voc_colour(index) for index in range(len(names))), tuple(range(len(names))))


def draw_everything(name):
    labels, label_map = labels_of(name, "car"), np.array([[0, 1], [1, 255]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures = [
            plots.confusion_matrix(np.array([[3, 1], [0, 2]]), labels),
            plots.overlay_sheet([np.zeros((2, 2, 3), np.uint8)], [label_map], [label_map % 2], labels, errors=True),
            plots.legend([(name, (1, 2, 3))], width=300),
        ]
    assert all(max(picture.size) < 2000 for picture in pictures)


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_drawn_as_text(name):
    draw_everything(name)


@settings(max_examples=15, deadline=None, database=None, derandomize=True)
@given(st.text(min_size=1, max_size=200))
def test_any_name_is_drawn_as_text(name):
    draw_everything(name)


@given(st.text(st.characters(codec=None), min_size=1), st.integers(4, 60))
@settings(database=None, derandomize=True)
def test_a_shown_name_is_one_short_line_that_can_be_encoded(name, length):
    shown = display_name(name, length)
    assert 0 < len(shown) <= max(length, len(name.encode("unicode_escape")) if not shown.isprintable() else length)
    assert len(shown.splitlines()) == 1 and shown.encode()


def test_the_names_of_two_classes_that_end_differently_stay_different():
    assert display_name("a" * 100 + "1", 20) != display_name("a" * 100 + "2", 20)


def matrix_of(classes):
    return np.random.default_rng(0).integers(0, 9, (classes, classes)) + 500 * np.eye(classes, dtype=int)


def test_a_matrix_of_255_classes_is_as_large_as_one_of_41():
    sizes = []
    for classes in (41, 255):
        labels = labels_of(*(f"class {index}" for index in range(classes)))
        sizes.append(plots.confusion_matrix(matrix_of(classes), labels).size)
    assert sizes[0] == sizes[1] and max(sizes[0]) <= 1600


def test_the_largest_mistakes_are_those_of_the_largest_share_of_their_true_class():
    shares = np.array([[0.5, 0.2, 0.3], [np.nan] * 3, [0.0, 0.6, 0.4]])
    assert largest_mistakes(shares, 2) == [(2, 1), (0, 2)]
    assert largest_mistakes(shares, 9) == [(2, 1), (0, 2), (0, 1)]


def test_the_legend_of_255_classes_names_those_that_are_shown():
    labels = labels_of(*(f"class {index}" for index in range(255)))
    image = np.zeros((10, 30, 3), np.uint8)
    few, many = np.zeros((10, 30), np.uint8), (np.arange(300) % 255).astype(np.uint8).reshape(10, 30)
    line = TEXT_SIZE + MARGIN
    one, all_of_them = (plots.overlay_sheet([image], [truth], [truth], labels) for truth in (few, many))
    assert 1 <= (all_of_them.height - one.height) / line <= 8  # 40 names instead of 1


def test_grey_images_of_one_pixel_are_drawn():
    labels = labels_of("a", "b")
    one = np.zeros((1, 1), np.uint8)
    assert isinstance(plots.overlay_sheet([one[..., None]], [one], [one], labels, errors=True), Image.Image)
