"""Geometry of the page's charts; the templates draw them as SVG in the colours of the page, light or dark. numpy only."""

from __future__ import annotations

import math

import numpy as np

from kseg.labels import LabelMap, display_name

PANELS = {  # title: curves, as far as the history has them
    "loss": ("loss", "val_loss"),
    "mean IoU": ("mean_iou", "val_mean_iou"),
    "adversarial losses": ("discriminator_loss", "adversarial_loss"),
    "discriminator accuracy": ("discriminator_accuracy",),
}
UNIT_INTERVAL = ("mean IoU", "discriminator accuracy")  # panels whose axis runs from 0 to 1
PLOT = {"left": 46, "top": 12, "width": 384, "height": 180}  # the area within the axes, in units of the SVG
MAX_TICKS = 6
NAMED_CLASSES = 20  # in the text about a confusion matrix
MIN_SHARE = 0.005  # smaller cells of the confusion matrix carry no number


def curve_panels(history: dict[str, list[float]]) -> list[dict]:
    """The curves of a training, one panel for each kind of value in the history.

    Args:
        history: values by epoch, as in Keras's `History.history`.

    Returns:
        Of each panel "title", "alt" (what it shows, as a sentence), "x_ticks" and "y_ticks" [(position, label)], and "series"
        [{"label", "points" (of a polyline), "end" (x, y)}].
    """
    panels = {title: [name for name in names if name in history] for title, names in PANELS.items()}
    return [_panel(title, {name: history[name] for name in names}) for title, names in panels.items() if names]


def _panel(title: str, curves: dict[str, list[float]]) -> dict:
    epochs = max(len(values) for values in curves.values())
    finite = [value for values in curves.values() for value in values if math.isfinite(value)] or [0.0]
    low, high = (0.0, 1.0) if title in UNIT_INTERVAL else (min(0.0, *finite), max(*finite, 1e-9))
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])

    def x(epoch):
        return PLOT["left"] + PLOT["width"] * (epoch - 1) / max(1, epochs - 1)

    def y(value):
        return PLOT["top"] + PLOT["height"] * (high - value) / (high - low)

    series = []
    for name, values in curves.items():
        points = [(x(epoch), y(value)) for epoch, value in enumerate(values, start=1) if math.isfinite(value)]
        label = _label(name, curves)
        series.append({"label": label, "points": " ".join(f"{a:.1f},{b:.1f}" for a, b in points), "end": points[-1:]})
    return {
        "title": title,
        "alt": f"Chart of {title} over {epochs} epochs: {_trend(curves)}.",
        "x_ticks": [(x(epoch), f"{epoch:g}") for epoch in _epoch_ticks(epochs)],
        "y_ticks": [(y(value), f"{value:g}") for value in ticks],
        "series": series,
    }


def _label(name: str, curves) -> str:
    if name.startswith("val_"):
        return "validation"
    return "training" if f"val_{name}" in curves else name.replace("_", " ")


def _trend(curves) -> str:
    """From where to where each curve goes."""
    return "; ".join(
        f"{_label(name, curves)} from {values[0]:.3g} to {values[-1]:.3g}" for name, values in curves.items()
    )


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high` or just beyond."""
    raw = (high - low) / (MAX_TICKS - 1)
    magnitude = 10 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _epoch_ticks(epochs: int) -> list[int]:
    step = max(1, math.ceil(epochs / MAX_TICKS))
    return list(range(step, epochs + 1, step)) if step > 1 else list(range(1, epochs + 1))


def matrix_cells(matrix: np.ndarray) -> dict:
    """The confusion matrix, each row as shares of its true class, so that rare classes are visible.

    Args:
        matrix: (K, K) counts of pixels: rows truth, columns prediction.

    Returns:
        "size" K, "cells" [{"row", "column", "share", "text", "dark"}] of the classes that occur, and "absent" (rows without
        pixels).
    """
    totals = matrix.sum(axis=1)
    cells = []
    for row, column in np.ndindex(matrix.shape):
        share = matrix[row, column] / totals[row] if totals[row] else 0.0
        if share > 0:
            label = f"{100 * share:.0f}" if share >= MIN_SHARE else ""
            cells.append({"row": row, "column": column, "share": share, "text": label, "dark": share > 0.55})
    absent = [index for index, total in enumerate(totals) if not total]
    return {"size": len(matrix), "cells": cells, "absent": absent}


def describe_matrix(matrix: np.ndarray, labels: LabelMap) -> str:
    """What a confusion matrix shows, as a sentence; of many classes it names those that are found least often.

    Args:
        matrix: (K, K) counts of pixels: rows truth, columns prediction.
        labels: K names.
    """
    totals = matrix.sum(axis=1)
    found = {index: matrix[index, index] / totals[index] for index in range(len(matrix)) if totals[index]}
    worst = sorted(found, key=found.get)[:NAMED_CLASSES]
    correct = [f"{display_name(labels.names[index])} {100 * found[index]:.0f} %" for index in sorted(worst)]
    others = f", and {len(found) - len(worst)} classes more often" if len(found) > len(worst) else ""
    return f"Confusion matrix, in per cent of each true class. Predicted correctly: {', '.join(correct)}{others}."
