"""The confusion matrix, (K, K) counts of pixels, rows truth, columns prediction: counted in numpy and in a graph, and scored."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from kseg.labels import VOID

SCORES = ("mean_iou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou")
BASE = 2**16  # of the two words of a count


def confusion_matrix(truth_ids, predicted_ids, num_classes: int, ignore_class: int | None = VOID) -> np.ndarray:
    """Counts pixels by their true and their predicted class.

    Args:
        truth_ids: integer ids of any shape; pixels of `ignore_class` are left out.
        predicted_ids: integer ids of the same shape.
        num_classes: K.
        ignore_class: id of void in the truth, or None.

    Returns:
        int64 (K, K): rows truth, columns prediction.

    Raises:
        ValueError: the shapes differ, or an id is neither a class nor void; the message counts its pixels.

    Example:
        >>> confusion_matrix(np.array([0, 1, 1, 255]), np.array([0, 1, 0, 1]), 2).tolist()
        [[1, 0], [1, 1]]
    """
    truth, predicted = checked_ids(truth_ids, predicted_ids, num_classes, ignore_class)
    if ignore_class is not None:
        counted = truth != ignore_class
        truth, predicted = truth[counted], predicted[counted]
    cells = truth.astype(np.int64).ravel() * num_classes + predicted.astype(np.int64).ravel()
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes).astype(np.int64)


def checked_ids(truth_ids, predicted_ids, num_classes: int, ignore_class: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays.

    Raises:
        ValueError: the shapes differ, or at a pixel that is not void an id is no class; the message counts such pixels.
    """
    truth, predicted = np.asarray(truth_ids), np.asarray(predicted_ids)
    if truth.shape != predicted.shape:
        raise ValueError(
            "`truth_ids` and `predicted_ids` must have one shape. "
            f"Received: truth_ids.shape={truth.shape}, predicted_ids.shape={predicted.shape}."
        )
    counted = True if ignore_class is None else truth != ignore_class
    for name, ids in (("truth_ids", truth), ("predicted_ids", predicted)):
        outside = ids[((ids < 0) | (ids >= num_classes)) & counted]
        if outside.size:
            void = "" if ignore_class is None or name != "truth_ids" else f" or be {ignore_class}"
            raise ValueError(
                f"`{name}` must lie in 0..{num_classes - 1}{void}. "
                f"Received: ids {np.unique(outside)[:8].tolist()} at {outside.size} pixels."
            )
    return truth, predicted


def scores(matrix) -> dict[str, float | list[float | None]]:
    """The four scores of Long et al., and of each class IoU, Dice, precision and recall.

    With n_ij pixels of class i predicted as j, t_i = sum_j n_ij of the class, p_i = sum_j n_ji predicted as it, and the union
    u_i = t_i + p_i - n_ii: pixel_accuracy = sum n_ii / sum t_i; mean_accuracy = mean of n_ii / t_i; mean_iou = mean of
    n_ii / u_i; frequency_weighted_iou = sum t_i n_ii / u_i / sum t_i. A class enters a mean where its denominator is not 0.
    iou_i = n_ii / u_i, dice_i = 2 n_ii / (t_i + p_i), precision_i = n_ii / p_i, recall_i = n_ii / t_i.

    Args:
        matrix: (K, K) counts: rows truth, columns prediction.

    Returns:
        `mean_iou`, `pixel_accuracy`, `mean_accuracy`, `frequency_weighted_iou` in [0, 1] (NaN where nothing was counted), and
        `iou`, `dice`, `precision`, `recall`: K numbers each, None where the denominator is 0.

    Raises:
        ValueError: the matrix is not square.

    Example:
        >>> result = scores([[3, 1], [0, 4]])
        >>> result["mean_iou"], result["dice"]  # 3/4 and 4/5; 6/7 and 8/9
        (0.775, [0.8571428571428571, 0.8888888888888888])

    Source: Long et al. 2015, arXiv:1411.4038, section 5.
    """
    return scores_of_counts(class_counts(matrix))


def class_counts(matrix) -> np.ndarray:
    """What of a confusion matrix every score follows from: K x 3 numbers instead of K x K, so that each image can keep its own.

    Args:
        matrix: (K, K) counts: rows truth, columns prediction.

    Returns:
        (K, 3), of the matrix's dtype: of each class the pixels that are right, that are of it, that are predicted as it.

    Raises:
        ValueError: the matrix is not square.

    Example:
        >>> class_counts([[3, 1], [0, 4]]).tolist()
        [[3, 4, 3], [4, 4, 5]]
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"`matrix` must be (K, K). Received: matrix.shape={matrix.shape}.")
    return np.stack([np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)], axis=1)


def scores_of_counts(counts) -> dict[str, float | list[float | None]]:
    """What `scores` says of a matrix, from its `class_counts` or a sum of such.

    Args:
        counts: (K, 3).

    Returns:
        The dictionary that `scores` returns.
    """
    hits, occurring, predicted = np.asarray(counts, np.float64).T
    union = occurring + predicted - hits
    total = occurring.sum()
    return {
        "mean_iou": _mean_of_defined(hits, union),
        "pixel_accuracy": float(hits.sum() / total) if total else np.nan,
        "mean_accuracy": _mean_of_defined(hits, occurring),
        "frequency_weighted_iou": float((occurring * hits / np.maximum(union, 1)).sum() / total) if total else np.nan,
        "iou": _ratios(hits, union),
        "dice": _ratios(2 * hits, occurring + predicted),
        "precision": _ratios(hits, predicted),
        "recall": _ratios(hits, occurring),
    }


def _ratios(parts: np.ndarray, wholes: np.ndarray) -> list[float | None]:
    """parts / wholes, None where the whole is 0."""
    return [float(part / whole) if whole else None for part, whole in zip(parts, wholes, strict=True)]


def _mean_of_defined(parts: np.ndarray, wholes: np.ndarray) -> float:
    """Mean of parts / wholes over the entries whose whole is not 0; NaN where there is none."""
    defined = wholes > 0
    return float((parts[defined] / wholes[defined]).mean()) if defined.any() else np.nan


@keras.saving.register_keras_serializable(package="kseg")
class ConfusionMatrix(keras.metrics.Metric):
    """A score of the confusion matrix counted since the last reset.

    A float32 count stands still at 2^24 pixels, which one class of a small data set passes. Each count is therefore kept as
    two whole float32 numbers, low + 2^16 high, exact up to 2^40; float32, because every accelerator adds and reduces it, and
    because sums of both words over up to 256 replicas are exact again.

    Args:
        num_classes: K.
        ignore_class: id of void in the truth, or None.
        score: what `result` gives: "mean_iou", "pixel_accuracy", "mean_accuracy" or "frequency_weighted_iou".
        name: of the metric; None: the score's.

    Raises:
        ValueError: there is no such score.

    Example:
        >>> metric = ConfusionMatrix(3)
        >>> metric.update_state(np.array([[[0, 1, 255]]]), np.array([[[0, 2, 1]]]))
        >>> float(metric.result())  # classes 0, 1 and 2 have IoU 1, 0 and 0
        0.3333333432674408
        >>> metric.matrix().tolist()
        [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    """

    def __init__(self, num_classes, ignore_class=VOID, score="mean_iou", name=None):
        super().__init__(name=name or score, dtype="float32")
        if score not in SCORES:
            raise ValueError(f"`score` must be one of {', '.join(SCORES)}. Received: score={score!r}.")
        self.num_classes, self.ignore_class, self.score = num_classes, ignore_class, score
        # The last column counts pixels whose id is neither a class nor void.
        self.words = self.add_variable((2, num_classes**2 + 1), "zeros", dtype="float32", name="words")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Counts a batch.

        Args:
            y_true: ids (B, H, W) or (B, H, W, 1), of any dtype.
            y_pred: floating logits or probabilities (B, H, W, K), or integer ids (B, H, W).
            sample_weight: None; Keras passes it by name.

        Raises:
            ValueError: the logits are not of K classes, or there are weights.
        """
        if sample_weight is not None:
            raise ValueError(
                f"Every pixel counts as one: `sample_weight` must be None. Received: a weight for {self.name!r}. "
                "Name the metric in `metrics` of `compile`, not in `weighted_metrics`."
            )
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if "int" not in keras.backend.standardize_dtype(y_pred.dtype):
            if y_pred.shape[-1] != self.num_classes:
                raise ValueError(
                    f"`y_pred` must be logits (B, H, W, K) with K = {self.num_classes}, or integer ids. "
                    f"Received: y_pred.shape={tuple(y_pred.shape)}, y_pred.dtype={y_pred.dtype}."
                )
            y_pred = ops.argmax(y_pred, axis=-1)
        truth = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        predicted = ops.cast(ops.reshape(y_pred, (-1,)), "int32")
        low, high = ops.unstack(ops.cast(self.words, "int32"), axis=0)
        low = low + self._counts(truth, predicted)
        words = ops.stack([low % BASE, high + low // BASE])
        self.words.assign(ops.cast(words, "float32"))

    def _counts(self, truth, predicted):
        """Counts of one batch, int32 (K * K + 1,): the matrix row by row, then the pixels without a class."""
        classes = self.num_classes
        known = (truth >= 0) & (truth < classes) & (predicted >= 0) & (predicted < classes)
        cells = ops.where(known, truth * classes + predicted, classes**2)
        if self.ignore_class is not None:
            cells = ops.where(ops.equal(truth, self.ignore_class), classes**2 + 1, cells)
        return ops.segment_sum(ops.ones_like(cells), cells, num_segments=classes**2 + 2)[:-1]

    def result(self):
        """The score, a float32 scalar; NaN where nothing was counted, or an id was neither a class nor void."""
        counts = self.words[0] + BASE * self.words[1]
        matrix = ops.reshape(counts[:-1], (self.num_classes, self.num_classes))
        hits, occurring = ops.diagonal(matrix), ops.sum(matrix, axis=1)
        union = occurring + ops.sum(matrix, axis=0) - hits
        total = ops.sum(occurring)
        iou, accuracy = hits / ops.maximum(union, 1.0), hits / ops.maximum(occurring, 1.0)
        parts, wholes = {
            "mean_iou": (iou, union > 0),
            "pixel_accuracy": (hits, occurring),
            "mean_accuracy": (accuracy, occurring > 0),
            "frequency_weighted_iou": (occurring * iou, occurring),
        }[self.score]
        score = ops.sum(parts) / ops.maximum(ops.sum(ops.cast(wholes, "float32")), 1.0)
        return ops.where(ops.logical_and(total > 0, counts[-1] == 0), score, np.nan)

    def matrix(self) -> np.ndarray:
        """The exact counts so far, int64 (K, K): rows truth, columns prediction.

        Raises:
            ValueError: an id was neither a class nor void.
        """
        low, high = ops.convert_to_numpy(self.words).astype(np.int64)
        counts = low + BASE * high
        if counts[-1]:
            raise ValueError(
                f"Ids must lie in 0..{self.num_classes - 1}, or in the truth be {self.ignore_class}. "
                f"Received: other ids at {counts[-1]} pixels."
            )
        return counts[:-1].reshape(self.num_classes, self.num_classes)

    def get_config(self):
        return {
            "num_classes": self.num_classes,
            "ignore_class": self.ignore_class,
            "score": self.score,
            "name": self.name,
        }
