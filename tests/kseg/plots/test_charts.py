"""The confusion matrix and training curves."""

import numpy as np
import pytest

from kseg import plots
from kseg.labels import LabelMap

LABELS = LabelMap(("ground", "a class with quite a long name"), ((0, 200, 0), (200, 0, 0)), (0, 1))


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


def test_the_matrix_must_have_a_row_per_class():
    with pytest.raises(ValueError, match=r"\(K, K\) with K = 2 classes. Received: matrix.shape=\(3, 3\)"):
        plots.confusion_matrix(np.zeros((3, 3)), LABELS)


def test_curves_have_a_panel_per_kind_of_value_in_the_history():
    plain = plots.curves({"loss": [2.0, 1.0], "val_loss": [2.1, 1.2]})
    both = plots.curves({"loss": [2.0, 1.0], "mean_iou": [0.1, 0.2]})
    game = plots.curves(
        {"loss": [2.0], "mean_iou": [0.1], "discriminator_loss": [1.4], "discriminator_accuracy": [0.5]}
    )
    assert both.width == 2 * plain.width and both.height == plain.height
    assert game.size == (both.width, 2 * both.height)


def test_a_history_without_known_curves_is_refused():
    with pytest.raises(ValueError, match=r"at least one of loss, val_loss, .* Received: \['accuracy'\]"):
        plots.curves({"accuracy": [0.5]})
