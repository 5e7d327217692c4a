"""Overlays, error maps and the legend: what is drawn where, for grey and RGB images, few classes and many."""

import numpy as np
import pytest

from kseg import plots
from kseg.labels import VOID, LabelMap
from kseg.plots import overlays

LABELS = LabelMap(("ground", "a class with quite a long name"), ((0, 200, 0), (200, 0, 0)), (0, 1))


def example(channels=3, height=40, width=320):
    """A grey image, left half class 0 and right half class 1; the last row is void, the upper half is predicted as 1."""
    images = np.full((1, height, width, channels), 100, np.uint8)
    truths = np.zeros((1, height, width), np.uint8)
    truths[:, :, width // 2 :] = 1
    predictions = truths.copy()
    predictions[:, : height // 2] = 1
    truths[:, -1] = VOID
    return images, truths, predictions


def panels(sheet, columns=3, height=40, width=320):
    """The panels of the first row."""
    top = overlays.TEXT_SIZE + 2 * overlays.MARGIN
    lefts = [overlays.MARGIN + column * (width + overlays.MARGIN) for column in range(columns)]
    return [np.asarray(sheet)[top : top + height, left : left + width] for left in lefts]


def many_labels(count):
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
    assert truth[-1, -1].tolist() == [50, 50, 50]  # void: the darkened image


def test_an_error_map_highlights_wrong_pixels_greys_void_and_fades_correct_ones():
    (image,), (truth,), (prediction,) = example()
    drawn = np.asarray(plots.error_map(image, truth, prediction, LABELS))
    assert drawn[5, 10].tolist() == [int(0.8 * 214 + 20), int(0.8 * 39 + 20), int(0.8 * 40 + 20)]  # predicted 1, is 0
    assert drawn[5, 200].tolist() == drawn[35, 10].tolist() == [int(0.75 * 255 + 25)] * 3
    assert (drawn[-1] == 150).all()  # void is neither right nor wrong


def test_a_sheet_with_errors_has_a_fourth_column_with_the_error_map():
    images, truths, predictions = example()
    *_, errors = panels(plots.overlay_sheet(images, truths, predictions, LABELS, errors=True), columns=4)
    np.testing.assert_array_equal(errors, plots.error_map(images[0], truths[0], predictions[0], LABELS))


def test_images_of_different_sizes_share_a_sheet():
    wide, narrow = (example(height=40, width=width) for width in (320, 300))
    (images, truths, predictions) = ([one[0], other[0]] for one, other in zip(wide, narrow, strict=True))
    sheet = plots.overlay_sheet(images, truths, predictions, LABELS)
    assert sheet.width == 3 * 320 + 4 * overlays.MARGIN
    second = np.asarray(sheet)[overlays.TEXT_SIZE + 3 * overlays.MARGIN + 40 + 5, overlays.MARGIN :][:320, 0]
    assert (second[:10] == 255).all() and (second[10:310] == 100).all() and (second[310:] == 255).all()  # centred


def test_the_legend_names_every_class_and_grows_with_them():
    few = plots.overlay_sheet(*example(), LABELS)
    labels = many_labels(21)
    many = plots.overlay_sheet(*example(), labels)
    assert many.width == few.width and many.height > few.height
    legend = np.asarray(many)[overlays.TEXT_SIZE + 2 * overlays.MARGIN + 40 + overlays.MARGIN :].reshape(-1, 3)
    assert set(labels.colours) <= set(map(tuple, legend.tolist()))


def test_void_is_in_the_legend_only_where_it_occurs():
    images, truths, predictions = example()
    without = plots.overlay_sheet(images, predictions, predictions, LABELS)
    assert (np.asarray(without) != np.asarray(plots.overlay_sheet(images, truths, predictions, LABELS)))[-20:].any()


@pytest.mark.parametrize(("width", "shown"), [(31, 310), (128, 256), (320, 320), (639, 639), (1280, 640)])
def test_small_images_are_enlarged_and_large_ones_reduced(width, shown):
    sheet = plots.overlay_sheet(*example(height=8, width=width), LABELS)
    assert sheet.width == 3 * shown + 4 * overlays.MARGIN


def test_float_images_are_drawn_like_their_rounded_values():
    (image,), (truth,), _ = example()
    expected = np.asarray(plots.overlay(image, truth, LABELS))
    np.testing.assert_array_equal(
        plots.overlay(image.astype(np.float32) + 0.2, truth.astype(np.int64), LABELS), expected
    )


def test_an_image_in_0_to_1_is_warned_of():
    (image,), (truth,), _ = example()
    with pytest.warns(UserWarning, match=r"in \[0, 255\]\. .*Multiply by 255"):
        plots.overlay(image / 255, truth, LABELS)


@pytest.mark.parametrize(
    ("image", "label_map", "message"),
    [
        (np.zeros((4, 6, 3)), np.zeros((6, 4), int), r"`label_map` .*\.shape=\(6, 4\) and image\.shape=\(4, 6, 3\)\.$"),
        (
            np.zeros((4, 6, 3)),
            np.zeros((4, 6, 2)),
            r"`label_map` .*\(4, 6, 2\).*Take `argmax\(axis=-1\)` of logits first",
        ),
        (np.zeros((4, 6)), np.zeros((4, 6), int), r"`image` must be \(H, W, C\)\. Received: image\.shape=\(4, 6\)"),
        (
            np.zeros((1, 2, 3)),
            np.array([[0, 2]]),
            r"`label_map` must hold class ids in 0\.\.1 or be 255.*ids \[2\] at 1 pixels",
        ),
        (np.zeros((1, 2, 3)), np.array([[0, -1]]), r"ids \[-1\] at 1 pixels"),
        (np.zeros((1, 2, 3)), np.array([[0.0, 0.5]]), r"class ids as integers\. Received: label_map\.dtype=float64"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(image, label_map, message):
    with pytest.raises(ValueError, match=message):
        plots.overlay(image, label_map, LABELS)


def test_a_prediction_or_truth_of_another_size_is_refused_by_name():
    images, truths, predictions = example()
    with pytest.raises(ValueError, match=r"`truth` must be class ids .*truth\.shape=\(39, 320\)"):
        plots.overlay_sheet(images, truths[:, 1:], predictions, LABELS)
    with pytest.raises(ValueError, match=r"`prediction` must be class ids .*prediction\.shape=\(40, 319\)"):
        plots.error_map(images[0], truths[0], predictions[0, :, 1:], LABELS)
    with pytest.raises(ValueError, match=r"`prediction` must hold class ids in 0\.\.1.*ids \[7\]"):
        plots.error_map(images[0], truths[0], np.full_like(truths[0], 7), LABELS)


def test_a_sheet_needs_as_many_truths_and_predictions_as_images():
    images, truths, predictions = example()
    with pytest.raises(ValueError, match=r"same number of examples, at least 1\. Received: 0, 0 and 0"):
        plots.overlay_sheet(images[:0], truths[:0], predictions[:0], LABELS)
    with pytest.raises(ValueError, match=r"Received: 1, 0 and 1"):
        plots.overlay_sheet(images, truths[:0], predictions, LABELS)
