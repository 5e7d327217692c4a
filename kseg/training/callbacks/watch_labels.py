"""Reports ids in label maps that are neither a class nor void, while `fit` runs. TensorFlow, for `tf.distribute`.

Refused: models without a `ConfusionMatrix`, which counts the ids.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import keras

from kseg.metrics.confusion import BYTE, ConfusionMatrix, unpack_invalid_ids
from kseg.training.distribution import local_value

CURE = "Map these values to classes or to void, or set `ignore_class` to the value that means void."


class WatchLabels(keras.callbacks.Callback):
    """Stops training, or warns, if label maps hold ids that are neither a class nor void.

    Losses and metrics of a graph treat such pixels as void: the weights stay finite, but a wrong mask is not learned either.
    The compiled `kseg.metrics.ConfusionMatrix` counts them at no cost; its counts are read after the first batch and at the
    end of each epoch, of training and of validation. On several machines each reads its own.

    Args:
        on_invalid: one of "stop", "warn". A warning comes once for training and once for validation.
        warn: receives the text of a warning.

    Raises:
        ValueError: `on_invalid` is neither, no `ConfusionMatrix` was compiled, or an id is invalid.

    Example:
        >>> model = kseg.UNet(2, filters=(4, 8))
        >>> model.compile("adam", kseg.losses.CrossEntropy(), metrics=[kseg.metrics.ConfusionMatrix(2)])
        >>> images, label_maps = np.zeros((2, 8, 8, 3), np.float32), np.full((2, 8, 8), 7)
        >>> watch = kseg.callbacks.WatchLabels("warn", warn=print)
        >>> history = model.fit(images, label_maps, verbose=0, callbacks=[watch])  # doctest: +NORMALIZE_WHITESPACE
        Label maps must hold class ids in 0..1 or be 255 (void). Received: 7 at 128 pixels [training]; they count as void. Map
        these values to classes or to void, or set `ignore_class` to the value that means void.
    """

    def __init__(self, on_invalid: str = "stop", warn: Callable[[str], None] = warnings.warn):
        super().__init__()
        if on_invalid not in ("stop", "warn"):
            raise ValueError(f'`on_invalid` must be "stop" or "warn". Received: on_invalid={on_invalid!r}.')
        self.on_invalid, self.warn = on_invalid, warn
        self._warned = set()
        self._training, self._first_batch = False, True

    def on_train_begin(self, logs=None):
        """Resets the counts."""
        self._warned, self._first_batch = set(), True

    def on_epoch_begin(self, epoch, logs=None):
        """The metrics count training from here on."""
        self._training = True

    def on_train_batch_end(self, batch, logs=None):
        """Checks the first batch."""
        if self._first_batch:
            self._first_batch = False
            self._check("training")

    def on_test_begin(self, logs=None):
        """Checks training before validation resets its counts."""
        if self._training:
            self._check("training")
            self._training = False

    def on_test_end(self, logs=None):
        """Checks validation."""
        self._check("validation")

    def on_epoch_end(self, epoch, logs=None):
        """Checks training, if there was no validation."""
        if self._training:
            self._check("training")
            self._training = False

    def _check(self, split: str):
        metric = _find_confusion_matrix(self.model)
        found = unpack_invalid_ids(local_value(self.model.distribute_strategy, metric.invalid_words))
        if not found or split in self._warned:
            return
        text = _describe(found, metric, split)
        if self.on_invalid == "stop":
            raise ValueError(f"{text} {CURE}")
        self._warned.add(split)
        self.warn(f"{text.removesuffix('.')}; they count as void. {CURE}")


def _find_confusion_matrix(model) -> ConfusionMatrix:
    """The first one among the model's metrics."""
    metrics = list(model.metrics)
    for metric in metrics:
        if isinstance(metric, ConfusionMatrix):
            return metric
        metrics += getattr(metric, "metrics", [])  # Keras wraps those of `compile`
    raise ValueError(
        f"WatchLabels needs a metric that counts ids. Received: metrics {', '.join(metric.name for metric in metrics)}. "
        "Add kseg.metrics.ConfusionMatrix(num_classes) to `metrics` of `compile`."
    )


def _describe(found: dict[int, int], metric: ConfusionMatrix, split: str) -> str:
    void = "" if metric.ignore_class is None else f" or be {metric.ignore_class} (void)"
    names = {-1: "below 0", BYTE: f"above {BYTE - 1}"}
    listed = ", ".join(f"{names.get(value, value)} at {pixels} pixels" for value, pixels in list(found.items())[:8])
    more = ", ..." if len(found) > 8 else ""
    return f"Label maps must hold class ids in 0..{metric.num_classes - 1}{void}. Received: {listed}{more} [{split}]."
