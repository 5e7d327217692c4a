"""Random changes of training pairs: one geometric draw for image and label map together, photometric ones for the image alone.

Every draw is a function of (seed, step) and of nothing else, so a run can be repeated whatever the number of threads. Keras's
preprocessing layers draw from a generator that counts its calls: in a parallel `tf.data` map their draws depend on which
thread came first, and they take no key from outside. Hence the draws come from `tf.random.stateless_uniform`, and the work is
done by `tf.image`, with antialiasing as in `kseg.pairs.resizing`. Refused: images that have neither 1 nor 3 channels. TensorFlow
only, because it runs inside `tf.data`.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

from kseg.data.resizing import fitted_size_in_graph, resize_in_graph  # noqa: E402
from kseg.labels import VOID  # noqa: E402

BRIGHTNESS = 26.0
"""Largest shift of all grey levels, either way."""
CONTRAST = SATURATION = (0.75, 1.25)
"""Factors on the distance of each channel from its mean, and of each pixel from its grey."""
HUE = 0.03
"""Largest turn of the hue, either way, in turns."""


class Augment:
    """Scales, crops and flips a pair, then changes the light of its image.

    The pair is fitted into `size`, scaled by a factor drawn uniformly from `scale`, cropped or padded to `size` at a random
    place, and flipped left to right in half of the draws. Padding is 0 in the image and void in the label map. Label maps
    take the nearest pixel, so that no id appears that was not there.

    Args:
        size: (height, width) of the result, in pixels.
        scale: smallest and largest factor, relative to the size at which the image just fits into `size`.
        flip: whether to flip left to right.
        photometric: whether to change brightness and contrast, and of RGB images saturation and hue.

    Raises:
        ValueError: `size` or `scale` is out of range.

    Example:
        >>> augment = Augment((96, 128))
        >>> image, label_map = augment(image, label_map, seed=(0, step))
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        scale: tuple[float, float] = (0.5, 2.0),
        flip: bool = True,
        photometric: bool = True,
    ):
        if min(size) < 1:
            raise ValueError(f"`size` must be (height, width), each at least 1. Received: size={tuple(size)}.")
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"`scale` must be (smallest, largest), both above 0. Received: scale={tuple(scale)}.")
        self.size = tuple(size)
        self.scale = tuple(scale)
        self.flip = flip
        self.photometric = photometric

    def __call__(self, image, label_map, seed):
        """Changes one pair.

        Args:
            image: (H, W, C), numbers in [0, 255], C = 1 or 3.
            label_map: (H, W), uint8 class ids, 255 where void.
            seed: two integers (seed, step); equal pairs give equal draws.

        Returns:
            image (height, width, C), float32 in [0, 255], and label_map (height, width), uint8, of `size`.

        Raises:
            ValueError: the image has neither 1 nor 3 channels.
        """
        if image.shape[-1] not in (1, 3):
            raise ValueError(f"`image` must have 1 or 3 channels. Received: image.shape={tuple(image.shape)}.")
        # Always eight draws in one order, so that switching one change off leaves the others as they were.
        scale, top, left, flip, *light = tf.unstack(tf.random.stateless_uniform((8,), seed))
        image, label_map = self._scaled(image, label_map, between(scale, *self.scale))
        shape = tf.shape(label_map)
        rows, columns = place(shape[0], self.size[0], top), place(shape[1], self.size[1], left)
        image, label_map = cropped(image, rows, columns, self.size), cropped(label_map, rows, columns, self.size)
        if self.photometric:
            image = relit(image, light)
        image, label_map = padded(image, rows, columns, self.size, 0), padded(label_map, rows, columns, self.size, VOID)
        if self.flip:
            image, label_map = (tf.where(flip < 0.5, values[:, ::-1], values) for values in (image, label_map))
        return image, label_map

    def _scaled(self, image, label_map, factor):
        """The pair at `factor` times the size at which it fits into `self.size`."""
        shape = tf.shape(label_map)
        fitted = tf.cast(fitted_size_in_graph(shape[0], shape[1], self.size), tf.float32)
        size = tf.maximum(tf.cast(tf.round(factor * fitted), tf.int32), 1)
        label_map = tf.image.resize(label_map[..., None], size, method="nearest")[..., 0]
        return resize_in_graph(image, size), label_map


def between(draw, low: float, high: float):
    """A draw from [0, 1) as one from [low, high)."""
    return low + draw * (high - low)


def place(length, target: int, draw):
    """Where an axis of `length` pixels begins to be cropped, and how far from the edge of `target` it then lies.

    One of the two is 0. Each place that keeps as much as can be kept is equally likely.
    """
    room = length - target
    offset = tf.cast(draw * tf.cast(tf.abs(room) + 1, tf.float32), tf.int32)
    return tf.where(room > 0, offset, 0), tf.where(room < 0, offset, 0)


def cropped(values, rows, columns, size: tuple[int, int]):
    """`values` (H, W, ...) from the starts of `rows` and `columns` on, at most `size`."""
    return values[rows[0] : rows[0] + size[0], columns[0] : columns[0] + size[1]]


def padded(values, rows, columns, size: tuple[int, int], fill: int):
    """`values` (H, W, ...) with `fill` around them, of `size`; `rows` and `columns` say how much lies before."""
    shape = tf.shape(values)
    after = size[0] - shape[0] - rows[1], size[1] - shape[1] - columns[1]
    paddings = [[rows[1], after[0]], [columns[1], after[1]], *[[0, 0]] * (values.shape.rank - 2)]
    values = tf.pad(values, paddings, constant_values=tf.cast(fill, values.dtype))
    return tf.ensure_shape(values, [*size, *values.shape[2:]])


def relit(image, draws):
    """Changes brightness and contrast, and of RGB images saturation and hue.

    Args:
        image: (H, W, C), float32 in [0, 255], C = 1 or 3.
        draws: four scalars in [0, 1).

    Returns:
        (H, W, C), float32 in [0, 255].
    """
    brightness, contrast, saturation, hue = draws
    image = tf.image.adjust_contrast(image, between(contrast, *CONTRAST))
    image = tf.clip_by_value(image + between(brightness, -BRIGHTNESS, BRIGHTNESS), 0.0, 255.0)
    if image.shape[-1] == 3:
        image = tf.image.adjust_hue(image / 255.0, between(hue, -HUE, HUE))
        image = tf.image.adjust_saturation(image, between(saturation, *SATURATION)) * 255.0
    return tf.clip_by_value(image, 0.0, 255.0)
