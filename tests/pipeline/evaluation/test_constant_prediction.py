"""Predicting one class everywhere: its matrix, by hand."""

import numpy as np

from pipeline.evaluation.constant_prediction import constant_prediction_matrix


def test_the_matrix_of_a_constant_prediction_keeps_the_truth():
    matrix = np.array([[5, 1, 0], [2, 3, 0], [0, 4, 9]])
    assert constant_prediction_matrix(1, matrix).tolist() == [[0, 6, 0], [0, 5, 0], [0, 13, 0]]
