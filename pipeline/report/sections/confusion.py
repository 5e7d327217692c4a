"""Which classes are taken for which."""

from __future__ import annotations

import numpy as np

from pipeline.report import charts
from pipeline.report.run_files import Run

MAX_ROWS = 10  # of the table of mistakes


def contents(run: Run) -> dict:
    """The variables of `confusion.html.j2`."""
    matrix = np.array(run.scores["original_size"]["matrix"])
    names, colours = run.labels.names, run.labels.colours
    classes = [{"name": name, "colour": colour} for name, colour in zip(names, colours, strict=True)]
    return {
        "chart": charts.matrix_cells(matrix, run.labels),
        "classes": classes,
        "longest": max(map(len, names)),
        "mistakes": _mistakes(classes, matrix),
        "scores": run.scores,
    }


def _mistakes(classes: list[dict], matrix: np.ndarray) -> list[dict]:
    """The most frequent confusions, by their share of the true class's pixels."""
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind="stable")[:MAX_ROWS]
    cells = [divmod(int(index), len(classes)) for index in order]
    return [
        {"truth": classes[row], "predicted": classes[column], "share": float(shares[row, column])}
        for row, column in cells
        if shares[row, column] > 0
    ]
