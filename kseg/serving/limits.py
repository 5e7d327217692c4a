"""How large a request may be, and what is answered above that. TensorFlow only, because the exported graph checks it."""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

from kseg.serving import statuses  # noqa: E402


class Limits:
    """Pixels that the signatures of an export take.

    Args:
        image_size: (height, width) that images are fitted into; an image counts as at least as many pixels. None: images keep
            their own sizes, and tiles of wide ones need no more memory than those of narrow ones.
        num_classes: K.
        crf: whether DenseCRF refines the probabilities at the image's own size.
        max_pixels: of a request.
        score_memory: GiB that class scores may take, see `statuses.score_pixels`.
        accepted: what an encoded image must be, as in `statuses.messages`.
    """

    def __init__(
        self,
        image_size,
        num_classes: int,
        crf: bool,
        max_pixels: int,
        score_memory: float,
        accepted: str = statuses.ACCEPTED,
    ):
        self._accepted = accepted
        self._seen = image_size[0] * image_size[1] if image_size else 1
        self._max_pixels = max_pixels
        self._of_request = f"`max_pixels` of the export: {max_pixels:,}"
        self._tile_height = image_size and image_size[0]
        self._score_pixels = {
            name: statuses.score_pixels(name, num_classes, score_memory) for name in statuses.SCORE_BYTES
        }
        self._network_pixels = max(self._seen, min(statuses.NETWORK_PIXELS, self._score_pixels["probabilities"]))
        self._of_scores = f"of {num_classes} classes; `score_memory` of the export: {score_memory:g} GiB"
        self.image_pixels = statuses.image_pixels(num_classes, crf, max_pixels, score_memory)
        refined = self.image_pixels < max_pixels
        self._of_image = f"DenseCRF {self._of_scores}" if refined else self._of_request

    def checked(self, image, signature: str):
        """Images (B, H, W, C), unless they are more than a signature takes.

        Raises:
            tf.errors.InvalidArgumentError: they are; in a graph when it runs.
        """
        shape = tf.cast(tf.shape(image), tf.int64)
        number, height, width = shape[0], shape[1], shape[2]
        received = ["Received: image of shape", tf.shape(image)]
        checks = [
            (
                (number == 0) | ((height > 0) & (width > 0)),
                "`image` must have a pixel.",
            ),
            (
                (height * width <= self.image_pixels) & (tf.maximum(height, width) <= statuses.MAX_SIDE),
                statuses.messages(self.image_pixels, self._of_image)[statuses.TOO_MANY_PIXELS],
            ),
            (
                number * tf.maximum(height * width, self._seen) <= self._max_pixels,
                f"A batch must have at most {self._max_pixels:,} pixels ({self._of_request}); an image counts as at least "
                f"{self._seen:,}. Send smaller batches.",
            ),
        ]
        if image.dtype.is_floating:
            checks.append(
                (tf.reduce_all(tf.math.is_finite(image)), "`image` must be finite, without NaN and infinity.")
            )
        if signature == "probabilities":
            most = self._score_pixels["probabilities"]
            checks.append(
                (
                    number * height * width <= most,
                    f"`probabilities` must be asked for at most {most:,} pixels ({self._of_scores}). "
                    "Ask for the label map, with serving_default, or scale the image down.",
                )
            )
        if signature == "network":
            most = self._network_pixels
            checks.append((number > 0, "`network` must be asked for an image. Send a batch of at least one."))
            checks.append(
                (
                    number * height * width <= most,
                    f"`network` must be asked for at most {most:,} pixels together. Send smaller batches, or "
                    "ask serving_default.",
                )
            )
        if signature == "tiles" and self._tile_height:
            most = self._score_pixels["tiles"] // self._tile_height
            checks.append(
                (
                    width <= most,
                    f"`tiles` must be asked for a width of at most {most:,} ({self._of_scores}). Cut the image.",
                ),
            )
        for condition, message in checks:  # one after the other, so that the message is always the same
            check = tf.debugging.Assert(condition, [message, *received])
            with tf.control_dependencies([] if check is None else [check]):  # None: called eagerly
                received = [tf.identity(value) for value in received]
                image = tf.identity(image)
        return image

    def refused(self, status, height, width):
        """The status of encoded images, with those that are too large, alone or together with the others.

        The smallest images of a batch are answered, so that a large one does not crowd out the others.

        Args:
            status: (B,), int32, as their headers show.
            height: (B,), int64, pixels.
            width: (B,), int64, pixels.
        """
        pixels = height * width
        too_large = (pixels > self.image_pixels) | (tf.maximum(height, width) > statuses.MAX_SIDE)
        status = tf.where((status == statuses.GOOD) & too_large, statuses.TOO_MANY_PIXELS, status)
        cost = tf.maximum(pixels, self._seen) * tf.cast(status == statuses.GOOD, tf.int64)
        order = tf.argsort(cost, stable=True)
        fits = tf.cumsum(tf.gather(cost, order)) <= self._max_pixels
        fits = tf.scatter_nd(order[:, tf.newaxis], tf.cast(fits, tf.int32), tf.shape(status)) > 0
        return tf.where((status == statuses.GOOD) & ~fits, statuses.BATCH_TOO_LARGE, status)

    def message(self, status, max_side: int = statuses.MAX_SIDE):
        """What must hold, (B,), by status (B,), and where images are longer than `max_side`, that; empty where it does."""
        messages = list(statuses.messages(self.image_pixels, self._of_image, self._accepted, max_side))
        of_batch = statuses.messages(self._max_pixels, self._of_request)
        messages[statuses.BATCH_TOO_LARGE] = of_batch[statuses.BATCH_TOO_LARGE]
        return tf.gather(tf.constant(messages), status)
