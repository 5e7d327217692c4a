"""Augmentation of training pairs: geometric changes of image and label map together, photometric ones of the image alone.

Every change depends on (seed, step) alone, so runs are repeatable with any number of threads. Keras's preprocessing layers use a
generator that counts its calls: in a parallel `tf.data` map, which thread comes first decides, and they take no seed per call.
Hence `tf.random.stateless_uniform` and `tf.image`, with antialiasing as in `kseg.pairs.resizing`. Brightness and contrast change
all channels alike, whatever they are; saturation and hue, which are of colours, only RGB of 8 bits. Refused: label maps that are
not uint8. TensorFlow only, because it runs inside `tf.data`.
"""

from __future__ import annotations

import math
from numbers import Real

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

from kseg._checks import check_boolean, check_size  # noqa: E402
from kseg.array_checks import check_image_range  # noqa: E402
from kseg.data.resizing_in_graph import (  # noqa: E402
    nearest_region_in_graph,
    resize_in_graph,
    resize_region_in_graph,
    working_size_in_graph,
)
from kseg.labels import VOID  # noqa: E402
from kseg.pairs.resizing import working_size  # noqa: E402

BRIGHTNESS = 26.0
"""Largest shift of all grey levels, in both directions."""
CONTRAST = SATURATION = (0.75, 1.25)
"""Range of the factors on the distance of each channel from its mean, and of each pixel from its grey."""
HUE = 0.03
"""Largest rotation of the hue, in both directions, as a fraction of the colour circle."""


class Augment:
    """Scales, crops and flips a pair, then changes brightness, contrast, saturation and hue of its image.

    The pair is brought to its working size, scaled by a factor drawn uniformly from `scale`, cropped or padded to `size` at a
    random position, and flipped left to right with probability 1/2. Padding is 0 in the image and void in the label map. Label
    maps are resized by nearest neighbour. With a `working_scale` only the part of the image that the crop shows is resized.

    Args:
        size: (height, width) of the result, in pixels.
        working_scale: what the factor 1 means: (height, width) that the pair is fitted into, in pixels, or a number by which its
            own sides are multiplied, 1.0 where it is stored at its working size; None: `size`, the pair just fits into it.
        scale: smallest and largest factor on the working size.
        flip: whether to flip left to right.
        photometric: whether to change brightness and contrast, and for RGB images saturation and hue.
        bounded: whether images lie in [0, 255], where the light is kept; otherwise they hold normalised levels, of which nothing
            is cut off, and three channels need not be colours.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> augment = Augment((96, 128))
        >>> image, label_map = augment(np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.uint8), seed=(0, 7))
        >>> image.shape, label_map.shape
        (TensorShape([96, 128, 3]), TensorShape([96, 128]))
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        working_scale: tuple[int, int] | float | None = None,
        scale: tuple[float, float] = (0.5, 2.0),
        flip: bool = True,
        photometric: bool = True,
        bounded: bool = True,
    ):
        self.size = check_size("size", size)
        numbers = isinstance(scale, tuple | list) and len(scale) == 2 and all(isinstance(one, Real) for one in scale)
        if not numbers or not 0 < scale[0] <= scale[1] < math.inf:
            raise ValueError(f"`scale` must be (smallest, largest), both above 0. Received: scale={scale!r}.")
        if working_scale is not None:
            if isinstance(working_scale, tuple | list):
                check_size("working_scale", working_scale)
            elif isinstance(working_scale, bool) or not isinstance(working_scale, Real):
                raise ValueError(
                    f"`working_scale` must be (height, width) or a factor. Received: working_scale={working_scale!r}."
                )
            working_size(1, 1, working_scale)  # refuses what is none
        for name, value in (("flip", flip), ("photometric", photometric), ("bounded", bounded)):
            check_boolean(name, value)
        self.working_scale = working_scale
        self.scale = tuple(scale)
        self.flip = flip
        self.photometric = photometric
        self.bounded = bounded

    def __call__(self, image, label_map, seed):
        """Augments one pair.

        Args:
            image: (H, W, C), numbers in [0, 255] if `bounded`.
            label_map: (H, W), uint8 class ids, 255 where void.
            seed: two integers (seed, step); equal ones give equal changes.

        Returns:
            image (height, width, C), float32, in [0, 255] if `bounded`, and label_map (height, width), uint8, of `size`.

        Raises:
            ValueError: the image is not (H, W, C), the label map is not uint8 of its height and width, or `seed` is not two
                integers.
        """
        seed = tf.convert_to_tensor(seed)
        if not seed.shape.is_compatible_with((2,)) or not seed.dtype.is_integer:
            raise ValueError(
                "`seed` must be two integers (seed, step). "
                f"Received: seed of shape {tuple(seed.shape)}, {seed.dtype.name}."
            )
        _check_pair(image, label_map, self.bounded)
        # Always eight numbers in one order: switching off one change does not affect the others.
        scale, top, left, flip, *light = tf.unstack(tf.random.stateless_uniform((8,), seed))
        size = self._scaled_size(tf.shape(label_map), interpolate(scale, *self.scale))
        rows, columns = place_axis(size[0], self.size[0], top), place_axis(size[1], self.size[1], left)
        if self.working_scale is None:  # whole, as ever: the bits of earlier trainings stay
            image = crop(resize_in_graph(image, size), rows, columns, self.size)
            label_map = tf.image.resize(label_map[..., None], size, method="nearest")[..., 0]
            label_map = crop(label_map, rows, columns, self.size)
        else:
            region = size, tf.stack([rows[0], columns[0]]), tf.minimum(size, self.size)
            image, label_map = resize_region_in_graph(image, *region), nearest_region_in_graph(label_map, *region)
        if self.photometric:
            image = change_light(image, light, self.bounded)
        image, label_map = pad(image, rows, columns, self.size, 0), pad(label_map, rows, columns, self.size, VOID)
        if self.flip:
            image, label_map = (tf.where(flip < 0.5, values[:, ::-1], values) for values in (image, label_map))
        return image, label_map

    def _scaled_size(self, shape, factor):
        """Height and width, (2,), int32, of a pair of `shape` at `factor` times its working size."""
        working = working_size_in_graph(shape[0], shape[1], self.working_scale or self.size)
        return tf.maximum(tf.cast(tf.round(factor * tf.cast(working, tf.float32)), tf.int32), 1)


def interpolate(draw, low: float, high: float):
    """Maps a uniform `draw` from [0, 1) to [low, high)."""
    return low + draw * (high - low)


def place_axis(length, target: int, draw):
    """Where to crop an axis of `length` pixels to `target`, or where to put it into the longer `target`.

    Returns:
        The first pixel kept, and the padding before it; one of the two is 0. All positions are equally likely.
    """
    room = length - target
    offset = tf.cast(draw * tf.cast(tf.abs(room) + 1, tf.float32), tf.int32)
    return tf.where(room > 0, offset, 0), tf.where(room < 0, offset, 0)


def crop(values, rows, columns, size: tuple[int, int]):
    """Crops `values` (H, W, ...) to at most `size`; `rows` and `columns` are those of `place_axis`."""
    return values[rows[0] : rows[0] + size[0], columns[0] : columns[0] + size[1]]


def pad(values, rows, columns, size: tuple[int, int], fill: int):
    """Pads `values` (H, W, ...) with `fill` to `size`; `rows` and `columns` are those of `place_axis`."""
    shape = tf.shape(values)
    after = size[0] - shape[0] - rows[1], size[1] - shape[1] - columns[1]
    paddings = [[rows[1], after[0]], [columns[1], after[1]], *[[0, 0]] * (values.shape.rank - 2)]
    values = tf.pad(values, paddings, constant_values=tf.cast(fill, values.dtype))
    return tf.ensure_shape(values, [*size, *values.shape[2:]])


def change_light(image, draws, bounded: bool = True):
    """Changes brightness and contrast, and for RGB images saturation and hue.

    Args:
        image: (H, W, C), float32, in [0, 255] if `bounded`.
        draws: four scalars in [0, 1).
        bounded: as in `Augment`.

    Returns:
        (H, W, C), float32, in [0, 255] if `bounded`.
    """
    brightness, contrast, saturation, hue = draws
    image = tf.image.adjust_contrast(image, interpolate(contrast, *CONTRAST))
    image += interpolate(brightness, -BRIGHTNESS, BRIGHTNESS)
    if not bounded:
        return image
    image = tf.clip_by_value(image, 0.0, 255.0)
    if image.shape[-1] == 3:
        image = tf.image.adjust_hue(image / 255.0, interpolate(hue, -HUE, HUE))
        image = tf.image.adjust_saturation(image, interpolate(saturation, *SATURATION)) * 255.0
    return tf.clip_by_value(image, 0.0, 255.0)


def _check_pair(image, label_map, bounded: bool) -> None:
    """Refuses a pair of wrong rank, dtype or size, and warns of a concrete image outside [0, 255] if `bounded`."""
    shape, map_shape = tuple(image.shape), tuple(label_map.shape)
    if len(shape) != 3 or not shape[-1]:
        raise ValueError(f"`image` must be (H, W, C) with a known number of channels. Received: image.shape={shape}.")
    same_size = len(map_shape) == 2 and all(
        None in sides or sides[0] == sides[1] for sides in zip(map_shape, shape, strict=False)
    )
    if tf.as_dtype(label_map.dtype) != tf.uint8 or not same_size:
        raise ValueError(
            "`label_map` must be uint8 (H, W) with the height and width of the image. "
            f"Received: label_map={tf.as_dtype(label_map.dtype).name} {map_shape}, image.shape={shape}."
        )
    if bounded and not tf.is_symbolic_tensor(image):
        check_image_range(image, "Augment")
