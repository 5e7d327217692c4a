"""Scores of label maps, all from counts that add up: of pixels by class, of boundaries that were met, of confidences.

Counts of parts add up to the counts of the whole, so batches, replicas and Beam shards agree exactly; ratios come last.
`confusion_matrix` and `scores`, `boundary_counts` and `boundary_scores`, `calibration_counts` and `expected_calibration_error`
are numpy and SciPy for evaluation; `ConfusionMatrix` is the first pair for `compile`. Ids that are no class are refused there
and make the score NaN here, where a graph cannot raise: a wrong label map must not score well. Void pixels of the truth do not
count. `keras`, `keras.ops`, numpy and SciPy only.
"""

from kseg.metrics.bootstrap import paired_difference
from kseg.metrics.boundary import boundary_counts, boundary_scores
from kseg.metrics.calibration import calibration_counts, expected_calibration_error
from kseg.metrics.confusion import SCORES, ConfusionMatrix, class_counts, confusion_matrix, scores, scores_of_counts

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
    "scores",
    "scores_of_counts",
]
