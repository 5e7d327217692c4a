"""Scores of label maps, all from counts that add up: pixels by class, matched boundaries, confidences, objects.

Counts of parts add up to the counts of the whole, so batches, replicas and Beam shards agree exactly; ratios come last.
`confusion_matrix` and `scores`, `boundary_counts` and `boundary_scores`, `calibration_counts` and `expected_calibration_error`,
`rand_counts` and `rand_scores` are numpy and SciPy for evaluation; `ConfusionMatrix` is the first pair for `compile`. Void pixels
of the truth do not count.

Refused: ids that are neither a class nor void. A graph cannot raise: there `ConfusionMatrix` counts such true ids apart and
in no score, and such predictions make the score NaN. `keras`, `keras.ops`, numpy and SciPy only.
"""

from kseg.metrics.bootstrap import paired_difference, score_interval
from kseg.metrics.boundary import boundary_counts, boundary_scores
from kseg.metrics.calibration import calibration_counts, expected_calibration_error
from kseg.metrics.confusion import SCORES, ConfusionMatrix, class_counts, confusion_matrix, scores, scores_of_counts
from kseg.metrics.rand import rand_counts, rand_scores

__all__ = [
    "SCORES",
    "ConfusionMatrix",
    "boundary_counts",
    "boundary_scores",
    "calibration_counts",
    "class_counts",
    "confusion_matrix",
    "expected_calibration_error",
    "paired_difference",
    "rand_counts",
    "rand_scores",
    "score_interval",
    "scores",
    "scores_of_counts",
]
