"""Batches of a prepared data set, for training and for evaluation. TensorFlow only, because they are `tf.data` data sets.

Order and augmentation depend on the seed alone: not on the number of threads, on `tf.random.set_seed`, or on the step at which a
run starts. Refused: empty splits, and arguments out of range.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

from kseg.data.augment import Augment  # noqa: E402
from kseg.data.levels import check_normalization, to_levels  # noqa: E402
from kseg.data.reading import no_autograph, read_pairs  # noqa: E402
from kseg.data.resizing_in_graph import fit_image_in_graph, pad_to_multiple  # noqa: E402
from kseg.labels import VOID  # noqa: E402

CACHE_BYTES = 2**30
"""Memory for decoded training pairs: a split that fits is decoded once, a larger one is shuffled within a buffer of this size."""

PIECE = 1024
"""Pixels of a side of the pieces into which large pairs are cut for evaluation."""

UNCHANGED = {"scale": (1.0, 1.0), "flip": False, "photometric": False}
"""Arguments of an `Augment` that only crops."""

SAMPLE = 8  # pairs from which the size of a split is estimated


@no_autograph
def training_set(
    directory,
    *,
    size: tuple[int, int],
    batch_size: int,
    seed: int = 0,
    split: str = "train",
    augment: bool = True,
    working_scale: tuple[int, int] | float | None = None,
    scale: tuple[float, float] = (0.5, 2.0),
    photometric: bool = True,
    initial_step: int = 0,
    normalization: dict | None = None,
) -> tf.data.Dataset:
    """Endless batches of shuffled and augmented pairs; `fit` needs `steps_per_epoch`.

    Pass n over the split is shuffled by (seed, n), and pair n of a run is augmented by (seed, n). So two runs with one seed see
    the same batches, and a run that starts at `initial_step` sees what an uninterrupted one sees from there on.

    Args:
        directory: folder of a prepared data set.
        size: (height, width) of the batches, in pixels: of the crops where pairs are larger.
        batch_size: B.
        seed: of order and augmentation.
        split: one of "train", "validation", "test".
        augment: whether to change the pairs by `kseg.data.augment.Augment`; otherwise they are fitted and padded to `size`, or,
            with a `working_scale`, only cropped at random.
        working_scale: size of the pairs from which crops of `size` are taken, as in `kseg.data.augment.Augment`: (height, width)
            that they are fitted into, in pixels, or a number by which their own sides are multiplied; None: `size`.
        scale: smallest and largest factor of the augmentation, on the working size.
        photometric: whether the augmentation changes brightness, contrast, saturation and hue too.
        initial_step: batches to skip, because an earlier run has trained on them.
        normalization: of images that are not uint8, as in `kseg.data.levels`.

    Returns:
        Data set of (image (B, H, W, C), float32 in [0, 255], or levels around 128 where they are normalised, label_map (B, H, W),
        uint8).

    Raises:
        FileNotFoundError: `directory` does not hold a prepared data set.
        ValueError: the split is missing or empty, or an argument is out of range.

    Example:
        >>> batches = training_set("prepared", size=(48, 64), batch_size=2)
        >>> [(images.shape, label_maps.shape) for images, label_maps in batches.take(1)]
        [(TensorShape([2, 48, 64, 3]), TensorShape([2, 48, 64]))]
        >>> crops = training_set("prepared", size=(48, 64), batch_size=2, working_scale=(180, 240))
    """
    _check(size, batch_size)
    if initial_step < 0:
        raise ValueError(f"`initial_step` must not be negative. Received: initial_step={initial_step}.")
    stored = read_pairs(directory, split)
    count = stored.cardinality().numpy()
    if not count:
        raise ValueError(f"A split to train on must not be empty. Received: split={split!r} [{directory}].")
    buffer = min(count, estimate_cacheable_pairs(stored))
    if buffer == count:
        stored = stored.cache()
    start = initial_step * batch_size
    shuffled = _shuffled_passes(stored, buffer, seed, start // count).skip(start % count)
    check_normalization(normalization, stored.element_spec[0].shape[-1], stored.element_spec[0].dtype.name)
    bounded = normalization is None
    changes = {"scale": scale, "photometric": photometric} if augment else UNCHANGED
    change = Augment(size, working_scale=working_scale, bounded=bounded, **changes)

    def prepare(step, pair):
        image, label_map = pair
        if working_scale is None and not augment:
            return fit_pair(image, label_map, size, normalization)
        return change(image if bounded else to_levels(image, normalization), label_map, seed=(seed, step))

    prepared = shuffled.enumerate(start).map(prepare, tf.data.AUTOTUNE)
    return _prefetch(prepared.batch(batch_size, drop_remainder=True))


@no_autograph
def side_by_side(labelled: tf.data.Dataset, unlabelled: tf.data.Dataset) -> tf.data.Dataset:
    """Batches of pairs and of images without masks as one, the former first.

    A `kseg.Teacher` and a `kseg.DomainGame` learn from such batches.

    Args:
        labelled: endless batches of `training_set`, (image (B, H, W, C), label_map (B, H, W)).
        unlabelled: the same of images whose label maps are void everywhere, (B', H, W, C) and (B', H, W).

    Returns:
        Data set of (image (B + B', H, W, C), label_map (B + B', H, W)).
    """
    both = tf.data.Dataset.zip((labelled, unlabelled))
    return _prefetch(
        both.map(lambda *two: tuple(tf.concat(part, axis=0) for part in zip(*two, strict=True)), tf.data.AUTOTUNE)
    )


@no_autograph
def evaluation_set(
    directory,
    *,
    size: tuple[int, int] | None,
    batch_size: int,
    split: str = "validation",
    pairs: int | None = None,
    normalization: dict | None = None,
) -> tf.data.Dataset:
    """Batches with every pair of a split once, in stored order, fitted into `size` and padded at the bottom and on the right.

    Args:
        directory: folder of a prepared data set.
        size: (height, width) of the batches, in pixels. None: pairs keep their own sizes, padded to multiples of 32 pixels and to
            the largest of their batch; those of more than 2^20 pixels come in pieces of at most 1024 x 1024.
        batch_size: B; the last batch may be smaller.
        split: one of "train", "validation", "test".
        pairs: number of pairs from the start of the split; None: all.
        normalization: of images that are not uint8, as in `kseg.data.levels`.

    Returns:
        Data set of (image (B, H, W, C), float32 in [0, 255], or levels around 128 where they are normalised, label_map (B, H, W),
        uint8), padded with 0 and void.

    Raises:
        FileNotFoundError: `directory` does not hold a prepared data set.
        ValueError: the split is missing, or an argument is out of range.
    """
    _check(size or (1, 1), batch_size)
    stored = read_pairs(directory, split)
    check_normalization(normalization, stored.element_spec[0].shape[-1], stored.element_spec[0].dtype.name)
    stored = stored if pairs is None else stored.take(pairs)
    if size is None:
        pieces = stored.flat_map(cut_pair).map(lambda *pair: _pad_pair(*pair, normalization), tf.data.AUTOTUNE)
        batched = pieces.padded_batch(batch_size, padding_values=(0.0, tf.constant(VOID, tf.uint8)))
        number = stored.map(lambda image, label_map: _pieces(label_map)[1], tf.data.AUTOTUNE)
        number = number.reduce(tf.constant(0), tf.add).numpy()  # which tf.data does not know, and Keras wants to
        return _prefetch(batched.apply(tf.data.experimental.assert_cardinality(-(-number // batch_size))))
    fitted = stored.map(lambda image, label_map: fit_pair(image, label_map, size, normalization), tf.data.AUTOTUNE)
    return _prefetch(fitted.batch(batch_size))


def cut_pair(image, label_map) -> tf.data.Dataset:
    """The pieces of a pair of more than `PIECE` x `PIECE` pixels, row by row; a smaller one is one piece.

    Args:
        image: (H, W, C).
        label_map: (H, W), uint8.
    """
    side, number, columns = _pieces(label_map)

    def piece(number):
        row, column = number // columns * side, number % columns * side
        return tuple(values[row : row + side, column : column + side] for values in (image, label_map))

    return tf.data.Dataset.range(tf.cast(number, tf.int64), output_type=tf.int32).map(piece)


def _pieces(label_map):
    """The side of the pieces of a pair, their number, and the number in a row."""
    shape = tf.shape(label_map)
    side = tf.where(tf.reduce_prod(tf.cast(shape, tf.int64)) > PIECE**2, PIECE, tf.reduce_max(shape))
    rows, columns = ((length + side - 1) // side for length in (shape[0], shape[1]))
    return side, rows * columns, columns


def _pad_pair(image, label_map, normalization):
    return pad_to_multiple(to_levels(image, normalization)), pad_to_multiple(label_map, VOID)


def fit_pair(image, label_map, size: tuple[int, int], normalization: dict | None = None):
    """Fits one pair into `size` and pads it at the bottom and on the right, the image with 0, the label map with void.

    Args:
        image: (H, W, C), uint8, uint16 or float32.
        label_map: (H, W), uint8.
        size: (height, width) of the result, in pixels.
        normalization: of images that are not uint8, as in `kseg.data.levels`.

    Returns:
        image (height, width, C), levels in float32, and label_map (height, width), uint8.
    """
    image = fit_image_in_graph(image, size)
    fitted = tf.shape(image)[:2]
    label_map = tf.image.resize(label_map[..., None], fitted, method="nearest")[..., 0]
    paddings = [[0, size[0] - fitted[0]], [0, size[1] - fitted[1]]]
    image = tf.pad(to_levels(image, normalization), [*paddings, [0, 0]])
    label_map = tf.pad(label_map, paddings, constant_values=tf.cast(VOID, label_map.dtype))
    return tf.ensure_shape(image, (*size, image.shape[-1])), tf.ensure_shape(label_map, size)


def estimate_cacheable_pairs(stored: tf.data.Dataset) -> int:
    """The number of pairs that fit into `CACHE_BYTES`, estimated from the first few; at least 1."""
    sizes = [image.nbytes + label_map.nbytes for image, label_map in stored.take(SAMPLE).as_numpy_iterator()]
    return max(1, CACHE_BYTES * len(sizes) // sum(sizes))


def _check(size, batch_size) -> None:
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"`size` must be (height, width), each at least 1. Received: size={tuple(size)}.")
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}.")


def _shuffled_passes(stored, buffer: int, seed: int, first: int) -> tf.data.Dataset:
    """Endless passes over the pairs from pass `first` on, each shuffled by (seed, its number).

    `shuffle` and `repeat` alone would make the order depend on how often the data set was iterated before.
    """

    def shuffled_pass(number):
        # Sets the seed of this function's graph alone: the caller's must not matter, and TensorFlow fails on 0.
        tf.random.set_seed(1)
        order = tf.random.stateless_uniform((), (seed, number), maxval=2**31 - 1, dtype=tf.int64)
        return stored.shuffle(buffer, seed=order, reshuffle_each_iteration=False)

    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return tf.data.Dataset.counter(first).flat_map(shuffled_pass).apply(endless)


def _prefetch(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Prefetches, and shards batches instead of files among machines; sharding by file would change what a batch is."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)
