"""Which classes are taken for which."""

from __future__ import annotations

import numpy as np
from PIL import Image

from kseg.labels import display_name
from kseg.plots.charts import MAX_CLASSES, largest_mistakes
from pipeline.report import charts
from pipeline.report.pictures import data_uri
from pipeline.report.run_files import Run

MAX_ROWS = 10  # of the table of mistakes; twice as many where the chart has no names
NAME_LENGTH = 24  # characters of a class's name in the chart
PICTURE_WIDTH = 510  # pixels, about
PAPER, INK = (255, 255, 255), (8, 48, 107)  # of the picture, for a share of 0 and of 1


def contents(run: Run) -> dict:
    """The variables of `confusion.html.j2`."""
    matrix = np.array(run.scores["original_size"]["matrix"])
    names, colours = run.labels.names, run.labels.colours
    classes = [{"name": name, "colour": colour} for name, colour in zip(names, colours, strict=True)]
    shares, many = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True)), len(names) > MAX_CLASSES
    return {
        "alt": charts.describe_matrix(matrix, run.labels),
        "chart": None if many else charts.matrix_cells(matrix),
        "picture": _picture(shares) if many else None,
        "classes": classes,
        "longest": max(len(display_name(name, NAME_LENGTH)) for name in names),
        "name_length": NAME_LENGTH,
        "mistakes": [
            {"truth": classes[row], "predicted": classes[column], "share": float(shares[row, column])}
            for row, column in largest_mistakes(shares, MAX_ROWS * (1 + many))
        ],
        "scores": run.scores,
    }


def _picture(shares: np.ndarray) -> str:
    """The shares (K, K) as the URI of a picture, white for 0 to blue for 1, with a few pixels for each cell."""
    colours = np.array(PAPER) + shares[..., np.newaxis] ** 0.5 * (
        np.array(INK) - np.array(PAPER)
    )  # small ones show, too
    times = max(1, PICTURE_WIDTH // len(shares))
    return data_uri(Image.fromarray(colours.round().astype(np.uint8).repeat(times, axis=0).repeat(times, axis=1)))
