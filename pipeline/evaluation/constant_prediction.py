"""What predicting one class everywhere scores, which a model must surpass. numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kseg import metrics


def constant_prediction(class_id: int, matrix: np.ndarray, names: Sequence[str]) -> dict:
    """Name of a class, and the mean IoU of predicting it everywhere.

    Args:
        class_id: id of the class.
        matrix: confusion matrix (K, K) of any predictions, true classes in rows.
        names: of the K classes.

    Example:
        >>> constant_prediction(0, np.array([[5, 1], [2, 0]]), ["road", "car"])
        {'name': 'road', 'mean_iou': 0.375}
    """
    scores = metrics.scores(constant_prediction_matrix(class_id, matrix))
    return {"name": names[class_id], "mean_iou": scores["mean_iou"]}


def constant_prediction_matrix(class_id: int, matrix: np.ndarray) -> np.ndarray:
    """The confusion matrix (K, K) of a label map that is one class everywhere, over the pixels that `matrix` counts.

    Example:
        >>> constant_prediction_matrix(1, np.array([[5, 1], [2, 3]])).tolist()
        [[0, 6], [0, 5]]
    """
    constant = np.zeros_like(matrix)
    constant[:, class_id] = matrix.sum(axis=1)
    return constant
