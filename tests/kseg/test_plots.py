"""Pictures: what is drawn where, for grey and RGB images, few classes and many."""

import numpy as np
import pytest

from kseg import plots
from kseg.labels import VOID, LabelMap

LABELS = LabelMap(("ground", "a class with quite a long name"), ((0, 200, 0), (200, 0, 0)), (0, 1))


def example(channels=3, height=40, width=320):
    """A grey image, left half class 0 and right half class 1, with a void stripe in the truth and one error."""
    images = np.full((1, height, width, channels), 100, np.uint8)
    truths = np.zeros((1, height, width), np.uint8)
    truths[:, :, width // 2 :] = 1
    predictions = truths.copy()
    predictions[:, : height // 2] = 1
    truths[:, -1] = VOID
    return images, truths, predictions


def panels(sheet, height=40, width=320):
    """The three panels of the first row."""
    top = plots.TEXT + 2 * plots.MARGIN
    lefts = [plots.MARGIN + column * (width + plots.MARGIN) for column in range(3)]
    return [np.asarray(sheet)[top : top + height, left : left + width] for left in lefts]


def named(count):
    return LabelMap(
        tuple(f"class number {index}" for index in range(count)),
        tuple((index, 255 - index, 128) for index in range(count)),
        tuple(range(count)),
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_shows_image_truth_and_prediction(channels):
    image, truth, prediction = panels(plots.overlay_sheet(*example(channels), LABELS))
    assert (image == 100).all()
    green, red = [int(0.65 * 0 + 35), int(0.65 * 200 + 35), 35], [int(0.65 * 200 + 35), 35, 35]
    assert truth[5, 10].tolist() == green and truth[5, 310].tolist() == red
    assert prediction[5, 10].tolist() == red and prediction[35, 10].tolist() == green
    assert truth[-1, 10].tolist() == [50, 50, 50]  # void: the image, darkened


def test_the_legend_names_every_class_and_grows_with_them():
    few = plots.overlay_sheet(*example(), LABELS)
    labels = named(21)
    many = plots.overlay_sheet(*example(), labels)
    assert many.width == few.width and many.height > few.height
    legend = np.asarray(many)[plots.TEXT + 2 * plots.MARGIN + 40 + plots.MARGIN :].reshape(-1, 3)
    assert set(labels.colours) <= set(map(tuple, legend.tolist()))


def test_void_stands_in_the_legend_only_where_there_is_some():
    images, truths, predictions = example()
    without = plots.overlay_sheet(images, predictions, predictions, LABELS)
    assert (np.asarray(without) != np.asarray(plots.overlay_sheet(images, truths, predictions, LABELS)))[-20:].any()


@pytest.mark.parametrize(("width", "shown"), [(31, 310), (128, 256), (320, 320), (639, 639), (1280, 640)])
def test_small_images_are_enlarged_and_large_ones_reduced(width, shown):
    sheet = plots.overlay_sheet(*example(height=8, width=width), LABELS)
    assert sheet.width == 3 * shown + 4 * plots.MARGIN


def test_arrays_that_do_not_belong_together_are_refused():
    images, truths, predictions = example()
    with pytest.raises(ValueError, match=r"must agree.*Received: \(1, 40, 320, 3\), \(1, 39, 320\), \(1, 40, 320\)"):
        plots.overlay_sheet(images, truths[:, 1:], predictions, LABELS)
    with pytest.raises(ValueError, match=r"N at least 1. Received: \(0, 40, 320, 3\)"):
        plots.overlay_sheet(images[:0], truths[:0], predictions[:0], LABELS)


def test_the_confusion_matrix_is_darkest_where_the_share_is_largest():
    right = np.asarray(plots.confusion_matrix(np.diag([9, 10**6]), LABELS), float)
    wrong = np.asarray(plots.confusion_matrix(np.array([[0, 9], [10**6, 0]]), LABELS), float)
    dark = right.sum(-1) < wrong.sum(-1) - 100
    rows, columns = np.nonzero(dark)
    upper = columns[rows < np.median(rows)].mean()
    assert upper < columns[rows > np.median(rows)].mean()  # the darker cells run from upper left to lower right


def test_a_class_that_does_not_occur_has_a_grey_row():
    absent = np.asarray(plots.confusion_matrix(np.array([[5, 1], [0, 0]]), LABELS))
    present = np.asarray(plots.confusion_matrix(np.array([[5, 1], [0, 1]]), LABELS))
    grey, letters = ((picture == 217).all(-1).mean() for picture in (absent, present))  # letters have grey edges
    assert grey > 0.1 and letters < 0.001


def test_the_matrix_must_have_a_row_for_each_class():
    with pytest.raises(ValueError, match=r"\(K, K\) with K = 2 classes. Received: matrix.shape=\(3, 3\)"):
        plots.confusion_matrix(np.zeros((3, 3)), LABELS)


def test_curves_have_a_panel_for_each_kind_of_value_that_is_there():
    plain = plots.curves({"loss": [2.0, 1.0], "val_loss": [2.1, 1.2]})
    both = plots.curves({"loss": [2.0, 1.0], "mean_iou": [0.1, 0.2]})
    played = plots.curves(
        {"loss": [2.0], "mean_iou": [0.1], "discriminator_loss": [1.4], "discriminator_accuracy": [0.5]}
    )
    assert both.width == 2 * plain.width and both.height == plain.height
    assert played.size == (both.width, 2 * both.height)


def test_a_history_without_known_curves_is_refused():
    with pytest.raises(ValueError, match=r"at least one of loss, val_loss, .* Received: \['accuracy'\]"):
        plots.curves({"accuracy": [0.5]})
