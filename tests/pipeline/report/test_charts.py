"""Geometry of the page's charts, checked against numbers worked out by hand."""

import math

import numpy as np
import pytest

from kseg.labels import LabelMap
from pipeline.report import charts

LABELS = LabelMap(("road", "car", "sky"), ((120, 60, 120), (70, 0, 130), (20, 130, 250)), (0, 1, 2))
LEFT, TOP, WIDTH, HEIGHT = (charts.PLOT[name] for name in ("left", "top", "width", "height"))


def points(series):
    return [tuple(map(float, point.split(","))) for point in series["points"].split()]


def test_a_curve_runs_from_the_first_to_the_last_epoch_on_round_ticks():
    (panel,) = charts.curve_panels({"loss": [2.0, 1.0, 0.5], "val_loss": [1.5, 1.0, 1.0]})
    training, validation = panel["series"]
    assert [training["label"], validation["label"]] == ["training", "validation"]
    assert points(training) == [(LEFT, TOP), (LEFT + WIDTH / 2, TOP + HEIGHT / 2), (LEFT + WIDTH, TOP + 0.75 * HEIGHT)]
    assert [label for _, label in panel["y_ticks"]] == ["0", "0.5", "1", "1.5", "2"]
    assert [label for _, label in panel["x_ticks"]] == ["1", "2", "3"]
    assert panel["alt"] == "Chart of loss over 3 epochs: training from 2 to 0.5; validation from 1.5 to 1."


def test_scores_are_drawn_from_0_to_1_whatever_they_are():
    (panel,) = charts.curve_panels({"val_mean_iou": [0.5]})
    assert points(panel["series"][0]) == [(LEFT, TOP + HEIGHT / 2)]
    assert panel["y_ticks"][0] == (TOP + HEIGHT, "0") and panel["y_ticks"][-1] == (TOP, "1")


def test_panels_follow_from_the_history_and_many_epochs_have_few_ticks():
    history = {"loss": [1.0] * 80, "discriminator_loss": [1.0], "adversarial_loss": [2.0], "gradient_norm": [3.0]}
    panels = charts.curve_panels(history)
    assert [panel["title"] for panel in panels] == ["loss", "adversarial losses"]
    assert [series["label"] for series in panels[1]["series"]] == ["discriminator loss", "adversarial loss"]
    assert [label for _, label in panels[0]["x_ticks"]] == ["14", "28", "42", "56", "70"]


@pytest.mark.parametrize("values", [[math.nan, 1.0, 0.5], [math.nan] * 3, [0.0, 0.0], [-3.0, 2.0], [1e-9, 2e-9]])
def test_values_that_are_not_finite_are_left_out_and_every_range_has_ticks(values):
    (panel,) = charts.curve_panels({"loss": values})
    drawn = points(panel["series"][0])
    assert len(drawn) == sum(map(math.isfinite, values))
    assert all(TOP - 0.1 <= y <= TOP + HEIGHT + 0.1 for _, y in drawn)
    assert 2 <= len(panel["y_ticks"]) <= charts.MAX_TICKS + 1


def test_the_matrix_shows_shares_of_the_true_class_and_marks_absent_classes():
    matrix = np.array([[3, 1, 0], [0, 0, 0], [0, 1, 999]])
    chart = charts.matrix_cells(matrix)
    cells = {(cell["row"], cell["column"]): cell for cell in chart["cells"]}
    assert cells.keys() == {(0, 0), (0, 1), (2, 1), (2, 2)} and chart["absent"] == [1]
    assert (cells[0, 0]["text"], cells[0, 1]["text"], cells[2, 1]["text"]) == ("75", "25", "")
    assert cells[2, 1]["share"] == pytest.approx(0.001)
    assert charts.describe_matrix(matrix, LABELS).endswith("Predicted correctly: road 75 %, sky 100 %.")
