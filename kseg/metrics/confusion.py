"""The confusion matrix, (K, K) counts of pixels, rows truth, columns prediction: in numpy, in a graph, and the scores of it.

Refused: ids that are neither a class nor void, where values are known; a graph, which cannot raise, counts them apart. `keras`,
`keras.ops` and numpy only.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from kseg._backend import known_values
from kseg._checks import check_arguments
from kseg.array_checks import check_ids, check_label_size
from kseg.labels import VOID

SCORES = ("mean_iou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou")
BASE = 2**16
"""Of the two words of a count."""

BYTE = 256
"""Invalid ids in 0..255 are counted one by one, others together."""


def confusion_matrix(truth_ids, predicted_ids, num_classes: int, ignore_class: int | None = VOID) -> np.ndarray:
    """Counts pixels by their true and their predicted class.

    Args:
        truth_ids: integer ids of any shape; pixels of `ignore_class` do not count.
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
    truth, predicted = as_checked_ids(truth_ids, predicted_ids, num_classes, ignore_class)
    if ignore_class is not None:
        counted = truth != ignore_class
        truth, predicted = truth[counted], predicted[counted]
    cells = truth.astype(np.int64).ravel() * num_classes + predicted.astype(np.int64).ravel()
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes).astype(np.int64)


def as_checked_ids(
    truth_ids, predicted_ids, num_classes: int, ignore_class: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays.

    Raises:
        ValueError: the shapes differ, or an id is not a class at a pixel that is not void; the message counts such pixels.
    """
    check_arguments(num_classes=num_classes, ignore_class=ignore_class)
    truth, predicted = np.asarray(truth_ids), np.asarray(predicted_ids)
    if truth.shape != predicted.shape:
        raise ValueError(
            "`truth_ids` and `predicted_ids` must have the same shape. "
            f"Received: truth_ids.shape={truth.shape}, predicted_ids.shape={predicted.shape}."
        )
    check_ids(truth, num_classes, ignore_class, "truth_ids")
    counted = predicted if ignore_class is None else predicted[truth != ignore_class]
    check_ids(counted, num_classes, None, "predicted_ids", cure="Compare label maps of the same classes.")
    return truth, predicted


def scores(matrix) -> dict[str, float | list[float | None]]:
    """The four scores of Long et al., and IoU, Dice, precision and recall of each class.

    With n_ij pixels of class i predicted as j, t_i = sum_j n_ij of the class, p_i = sum_j n_ji predicted as it, and the union
    u_i = t_i + p_i - n_ii: pixel_accuracy = sum n_ii / sum t_i; mean_accuracy = mean of n_ii / t_i; mean_iou = mean of
    n_ii / u_i; frequency_weighted_iou = sum t_i n_ii / u_i / sum t_i. A class enters a mean where its denominator is not 0.
    iou_i = n_ii / u_i, dice_i = 2 n_ii / (t_i + p_i), precision_i = n_ii / p_i, recall_i = n_ii / t_i.

    Args:
        matrix: (K, K) counts: rows truth, columns prediction.

    Returns:
        `mean_iou`, `pixel_accuracy`, `mean_accuracy`, `frequency_weighted_iou` in [0, 1] (NaN if nothing was counted), and
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
    """The part of a confusion matrix that every score depends on: K x 3 numbers instead of K x K, small enough to keep per image.

    Args:
        matrix: (K, K) counts: rows truth, columns prediction.

    Returns:
        (K, 3), of the matrix's dtype: per class the correct, the true and the predicted pixels.

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
    """The scores of a matrix, from its `class_counts` or a sum of several.

    Args:
        counts: (K, 3).

    Returns:
        As `scores`.
    """
    hits, actual, predicted = np.asarray(counts, np.float64).T
    union = actual + predicted - hits
    total = actual.sum()
    return {
        "mean_iou": _mean_of_defined(hits, union),
        "pixel_accuracy": float(hits.sum() / total) if total else np.nan,
        "mean_accuracy": _mean_of_defined(hits, actual),
        "frequency_weighted_iou": float((actual * hits / np.maximum(union, 1)).sum() / total) if total else np.nan,
        "iou": _ratios(hits, union),
        "dice": _ratios(2 * hits, actual + predicted),
        "precision": _ratios(hits, predicted),
        "recall": _ratios(hits, actual),
    }


def _ratios(parts: np.ndarray, wholes: np.ndarray) -> list[float | None]:
    """parts / wholes, None where the whole is 0."""
    return [float(part / whole) if whole else None for part, whole in zip(parts, wholes, strict=True)]


def _mean_of_defined(parts: np.ndarray, wholes: np.ndarray) -> float:
    """Mean of parts / wholes over the entries whose whole is not 0; NaN if there are none."""
    defined = wholes > 0
    return float((parts[defined] / wholes[defined]).mean()) if defined.any() else np.nan


@keras.saving.register_keras_serializable(package="kseg")
class ConfusionMatrix(keras.metrics.Metric):
    """A score of the confusion matrix counted since the last reset.

    A float32 counter stops at 2^24 pixels, fewer than one class of a small data set has. So each count is stored as two
    integers in float32, low + 2^16 high, exact up to 2^40; float32 because every accelerator adds and reduces it, and because
    sums of both words over up to 256 replicas stay exact.

    A true id that is neither a class nor void is refused where values are known. In a graph, which cannot raise, its pixel
    counts as void, hence in no score, and is counted by id: see `invalid_ids` and `kseg.callbacks.WatchLabels`. An invalid
    predicted id makes the score NaN.

    Args:
        num_classes: K.
        ignore_class: id of void in the truth, or None.
        score: of `result`, one of "mean_iou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou".
        name: of the metric; None: the score's.

    Raises:
        ValueError: an argument is out of range, or `score` is none of these.

    Example:
        >>> metric = ConfusionMatrix(3)
        >>> metric.update_state(np.array([[[0, 1, 255]]]), np.array([[[0, 2, 1]]]))
        >>> float(metric.result())  # classes 0, 1 and 2 have IoU 1, 0 and 0
        0.3333333432674408
        >>> metric.matrix().tolist()
        [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    """

    def __init__(self, num_classes, ignore_class=VOID, score="mean_iou", name=None):
        check_arguments(num_classes=num_classes, ignore_class=ignore_class)
        super().__init__(name=name or score, dtype="float32")
        if score not in SCORES:
            raise ValueError(f"`score` must be one of {', '.join(SCORES)}. Received: score={score!r}.")
        self.num_classes, self.ignore_class, self.score = num_classes, ignore_class, score
        # The matrix row by row, then the pixels with an invalid prediction.
        self.words = self.add_variable((2, num_classes**2 + 1), "zeros", dtype="float32", name="words")
        # Pixels with an invalid true id: below 0, 0 to 255 one by one, above 255.
        self.invalid_words = self.add_variable((2, BYTE + 2), "zeros", dtype="float32", name="invalid_words")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Counts a batch.

        Args:
            y_true: ids (B, H, W) or (B, H, W, 1), of any dtype.
            y_pred: floating logits or probabilities (B, H, W, K), or integer ids (B, H, W).
            sample_weight: None; Keras passes it by name.

        Raises:
            ValueError: the logits do not have K classes, ranks or sizes differ, a known id is neither a class nor void, or
                there are weights.
        """
        if sample_weight is not None:
            raise ValueError(
                f"`sample_weight` must be None: all pixels count equally. Received: a weight for {self.name!r}. "
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
        check_label_size(y_true.shape, (*y_pred.shape, self.num_classes))
        known = known_values(y_true)
        if known is not None:
            check_ids(known, self.num_classes, self.ignore_class, "y_true")
        truth = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        predicted = ops.cast(ops.reshape(y_pred, (-1,)), "int32")
        counts = self._count(truth, predicted)
        matrix_cells = self.num_classes**2 + 1
        _add(self.words, counts[:matrix_cells])
        _add(self.invalid_words, counts[matrix_cells:])

    def _count(self, truth, predicted):
        """Counts of one batch, int32 (K * K + 1 + 258,): what `words` and `invalid_words` hold."""
        classes = self.num_classes
        invalid_prediction = classes**2
        below_0, dropped = invalid_prediction + 1, invalid_prediction + 1 + BYTE + 2
        true_class = (truth >= 0) & (truth < classes)
        predicted_class = (predicted >= 0) & (predicted < classes)
        cells = ops.where(predicted_class, truth * classes + predicted, invalid_prediction)
        cells = ops.where(true_class, cells, below_0 + 1 + ops.clip(truth, -1, BYTE))
        if self.ignore_class is not None:
            cells = ops.where(ops.equal(truth, self.ignore_class), dropped, cells)
        return ops.segment_sum(ops.ones_like(cells), cells, num_segments=dropped + 1)[:-1]

    def result(self):
        """The score, a float32 scalar; NaN if nothing was counted, or a predicted id was invalid."""
        counts = self.words[0] + BASE * self.words[1]
        matrix = ops.reshape(counts[:-1], (self.num_classes, self.num_classes))
        hits, actual = ops.diagonal(matrix), ops.sum(matrix, axis=1)
        union = actual + ops.sum(matrix, axis=0) - hits
        total = ops.sum(actual)
        iou, accuracy = hits / ops.maximum(union, 1.0), hits / ops.maximum(actual, 1.0)
        parts, wholes = {
            "mean_iou": (iou, union > 0),
            "pixel_accuracy": (hits, actual),
            "mean_accuracy": (accuracy, actual > 0),
            "frequency_weighted_iou": (actual * iou, actual),
        }[self.score]
        score = ops.sum(parts) / ops.maximum(ops.sum(ops.cast(wholes, "float32")), 1.0)
        return ops.where(ops.logical_and(total > 0, counts[-1] == 0), score, np.nan)

    def matrix(self) -> np.ndarray:
        """The exact counts so far, int64 (K, K): rows truth, columns prediction.

        Raises:
            ValueError: a predicted id was invalid.
        """
        counts = _unpack(ops.convert_to_numpy(self.words))
        if counts[-1]:
            raise ValueError(
                f"Predicted ids must lie in 0..{self.num_classes - 1}. Received: other ids at {counts[-1]} pixels."
            )
        return counts[:-1].reshape(self.num_classes, self.num_classes)

    def invalid_ids(self) -> dict[int, int]:
        """True ids so far that were neither a class nor void, and their pixels, which counted as void.

        Returns:
            Pixels by id; -1 stands for all negative ids, 256 for all above 255.
        """
        return unpack_invalid_ids(ops.convert_to_numpy(self.invalid_words))

    def get_config(self):
        return {
            "num_classes": self.num_classes,
            "ignore_class": self.ignore_class,
            "score": self.score,
            "name": self.name,
        }


def _add(words, counts):
    """Adds int32 `counts` (N,) to the two words of each count."""
    low, high = ops.unstack(ops.cast(words, "int32"), axis=0)
    low = low + counts
    words.assign(ops.cast(ops.stack([low % BASE, high + low // BASE]), "float32"))


def _unpack(words: np.ndarray) -> np.ndarray:
    """The counts (N,), int64, of two words each."""
    low, high = words.astype(np.int64)
    return low + BASE * high


def unpack_invalid_ids(words: np.ndarray) -> dict[int, int]:
    """What `ConfusionMatrix.invalid_ids` returns, from the value of its `invalid_words`."""
    counts = _unpack(words)
    return {int(index) - 1: int(counts[index]) for index in np.flatnonzero(counts)}
