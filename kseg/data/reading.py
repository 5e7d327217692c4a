"""Reads a prepared data set as `tf.data` of images and label maps.

A prepared data set is a folder that `tfds.builder_from_directory` reads, with the features `image` (uint8), `label_map` (uint8
class ids, 255 where void) and `key`, and the splits train, validation and test. Order and augmentation depend on the seed, never
on the number of threads, on `tf.random.set_seed` or on where a run begins. Refused: folders and splits that are not there.
TensorFlow only, because it reads, decodes and augments with `tf.data`.
"""

from __future__ import annotations

import pathlib

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

from kseg._extras import extra  # noqa: E402
from kseg.data.augment import Augment  # noqa: E402
from kseg.data.resizing import fit_image_in_graph  # noqa: E402
from kseg.labels import VOID  # noqa: E402

MEMORY = 2**30
"""Bytes of decoded pairs that training keeps: a split that fits is decoded once, a larger one is shuffled within this window."""

SAMPLE = 8  # pairs from which the size of a split is judged

as_written = tf.autograph.experimental.do_not_convert
"""No Python `if` or loop here depends on a tensor, so nothing is to be converted: data sets open in half the time."""


@as_written
def pairs(directory, split: str) -> tf.data.Dataset:
    """The pairs of one split, as they are stored and in the order in which they are stored.

    Args:
        directory: folder of a prepared data set.
        split: "train", "validation" or "test".

    Returns:
        Data set of (image (H, W, C), label_map (H, W)), both uint8; H and W differ from pair to pair.

    Raises:
        FileNotFoundError: there is no prepared data set in `directory`.
        ValueError: the data set has no such split, or lacks a feature.
    """
    with extra("data"):
        import tensorflow_datasets as tfds  # only who reads needs it

    builder = opened(directory)
    if split not in builder.info.splits:
        raise ValueError(
            f"`split` must be one of {', '.join(sorted(builder.info.splits))}. Received: split={split!r} [{directory}]."
        )
    # One file after another: interleaved files would come in an order that depends on how many there are.
    config = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)
    stored = builder.as_dataset(split=split, shuffle_files=False, read_config=config)
    return stored.map(lambda example: (example["image"], example["label_map"][..., 0]), tf.data.AUTOTUNE)


@as_written
def training_set(
    directory,
    *,
    size: tuple[int, int],
    batch_size: int,
    seed: int = 0,
    split: str = "train",
    augment: bool = True,
    scale: tuple[float, float] = (0.5, 2.0),
    photometric: bool = True,
    first: int = 0,
) -> tf.data.Dataset:
    """Endless batches of shuffled pairs; `fit` needs `steps_per_epoch`.

    The order of the n-th pass over the split is drawn from (seed, n), and the n-th pair of a run is changed by the draws of
    (seed, n), so two runs with one seed see the same batches, and a run that begins at `first` sees what an earlier one with
    that seed saw from there on.

    Args:
        directory: folder of a prepared data set.
        size: (height, width) of the batches, in pixels.
        batch_size: B.
        seed: of order and augmentation.
        split: which split.
        augment: whether to change the pairs as `kseg.augment.Augment` does; without, they are fitted and padded to `size`.
        scale: smallest and largest factor of the augmentation.
        photometric: whether the augmentation changes the light too.
        first: number of batches that an earlier run has seen. Passes that lie before are not read.

    Returns:
        Data set of (image (B, H, W, C), float32 in [0, 255], label_map (B, H, W), uint8).

    Raises:
        FileNotFoundError: there is no prepared data set in `directory`.
        ValueError: the split is missing or empty, or an argument is out of range.

    Example:
        >>> batches = training_set("prepared", size=(96, 128), batch_size=8)
        >>> model.fit(batches, steps_per_epoch=64, epochs=20)
    """
    stored = pairs(directory, split)
    count = stored.cardinality().numpy()
    if not count:
        raise ValueError(f"A split to train on must not be empty. Received: split={split!r} [{directory}].")
    at_once = min(count, pairs_in_memory(stored))
    if at_once == count:
        stored = stored.cache()
    start = first * batch_size
    shuffled = _passes(stored, at_once, seed, start // count).skip(start % count)
    change = Augment(size, scale=scale, photometric=photometric) if augment else None

    def prepared(step, pair):
        return change(*pair, seed=(seed, step)) if augment else fitted(*pair, size)

    changed = shuffled.enumerate(start).map(prepared, tf.data.AUTOTUNE)
    return _parted_by_batches(changed.batch(batch_size, drop_remainder=True))


def _passes(stored, window: int, seed: int, first: int) -> tf.data.Dataset:
    """The pairs again and again, each pass in an order of its own, from pass `first` on.

    Shuffling with a seed that `repeat` moves on would depend on how often the data set was opened before.
    """

    def one_pass(number):
        # Of this function's graph alone: the caller's shall not matter, and TensorFlow fails on a 0.
        tf.random.set_seed(1)
        order = tf.random.stateless_uniform((), (seed, number), maxval=2**31 - 1, dtype=tf.int64)
        return stored.shuffle(window, seed=order, reshuffle_each_iteration=False)

    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return tf.data.Dataset.counter(first).flat_map(one_pass).apply(endless)


@as_written
def evaluation_set(directory, *, size: tuple[int, int], batch_size: int, split: str = "validation") -> tf.data.Dataset:
    """Every pair of a split once, in stored order, fitted into `size` and padded at the bottom and on the right.

    Args:
        directory: folder of a prepared data set.
        size: (height, width) of the batches, in pixels.
        batch_size: B; the last batch may be smaller.
        split: which split.

    Returns:
        Data set of (image (B, H, W, C), float32 in [0, 255], label_map (B, H, W), uint8), padded with 0 and void.

    Raises:
        FileNotFoundError: there is no prepared data set in `directory`.
        ValueError: the data set has no such split.
    """
    fit = pairs(directory, split).map(lambda image, label_map: fitted(image, label_map, size), tf.data.AUTOTUNE)
    return _parted_by_batches(fit.batch(batch_size))


def _parted_by_batches(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Several machines each take their part of every batch; TensorFlow would part the files, and so change what a batch is."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


def fitted(image, label_map, size: tuple[int, int]):
    """Fits one pair into `size` and pads it at the bottom and on the right, the image with 0, the label map with void.

    Args:
        image: (H, W, C), uint8.
        label_map: (H, W), uint8.
        size: (height, width) of the result, in pixels.

    Returns:
        image (height, width, C), float32 in [0, 255], and label_map (height, width), uint8.
    """
    image = fit_image_in_graph(image, size)
    inside = tf.shape(image)[:2]
    label_map = tf.image.resize(label_map[..., None], inside, method="nearest")[..., 0]
    below = [[0, size[0] - inside[0]], [0, size[1] - inside[1]]]
    image = tf.pad(tf.cast(image, tf.float32), [*below, [0, 0]])
    label_map = tf.pad(label_map, below, constant_values=tf.cast(VOID, label_map.dtype))
    return tf.ensure_shape(image, (*size, image.shape[-1])), tf.ensure_shape(label_map, size)


def opened(directory):
    """The TFDS builder of a prepared data set, after a look at whether it is one."""
    if not (pathlib.Path(directory) / "dataset_info.json").is_file():
        raise FileNotFoundError(
            f"A prepared data set must hold a file dataset_info.json. Received: directory={str(directory)!r}. "
            "Prepare one with `python -m pipeline.run`: its artifacts `examples` and `transform` are such folders."
        )
    with extra("data"):
        import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(directory)
    missing = [feature for feature in ("image", "label_map") if feature not in builder.info.features]
    if missing:
        raise ValueError(
            f"A prepared data set must have the features image and label_map. Received: {directory} without "
            f"{', '.join(missing)}."
        )
    return builder


def pairs_in_memory(stored: tf.data.Dataset) -> int:
    """How many pairs fit into `MEMORY`, judged by the first few; at least 1."""
    sizes = [image.nbytes + label_map.nbytes for image, label_map in stored.take(SAMPLE).as_numpy_iterator()]
    return max(1, MEMORY * len(sizes) // sum(sizes))
