"""Batches of a prepared data set, for training and for evaluation. TensorFlow only, because they are `tf.data` data sets.

Order and augmentation depend on the seed alone: not on the number of threads or machines, on `tf.random.set_seed`, or on the step
at which a run starts. Refused: empty splits, and arguments out of range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

from kseg._checks import check_integer, check_size  # noqa: E402
from kseg.data.augment import Augment  # noqa: E402
from kseg.data.colours import take_colours  # noqa: E402
from kseg.data.levels import check_normalization, to_levels  # noqa: E402
from kseg.data.reading import no_autograph, read_encoded_pairs  # noqa: E402
from kseg.data.resizing_in_graph import fit_image_in_graph, pad_to_multiple  # noqa: E402
from kseg.labels import VOID  # noqa: E402

CACHE_BYTES = 2**30
"""Memory for decoded training pairs: a split that fits is decoded once, a larger one in every pass, and shuffled, encoded,
within a buffer of as many pairs as would fit."""

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
    split: str | Sequence[str] = "train",
    augment: bool = True,
    working_scale: tuple[int, int] | float | None = None,
    scale: tuple[float, float] = (0.5, 2.0),
    photometric: bool = True,
    initial_step: int = 0,
    normalization: dict | None = None,
    input_context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Endless batches of shuffled and augmented pairs; `fit` needs `steps_per_epoch`.

    Pass n over the split is shuffled by (seed, n), and pair n of a run is augmented by (seed, n). So two runs with one seed see
    the same batches, and a run that starts at `initial_step` sees what an uninterrupted one sees from there on.

    With an `input_context` the batches are those of one of several machines, for each of its devices in turn: those of all
    devices, one machine after another, are the batches that a single machine sees. A machine reads the bytes of all pairs, since
    the order mixes them, and decodes and augments its own; a split that fits into memory it decodes once as a whole.

    Args:
        directory: folder of a prepared data set.
        size: (height, width) of the batches, in pixels: of the crops where pairs are larger.
        batch_size: B.
        seed: of order and augmentation.
        split: one of "train", "validation", "test", or several of them.
        augment: whether to change the pairs by `kseg.data.augment.Augment`; otherwise they are fitted and padded to `size`, or,
            with a `working_scale`, only cropped at random.
        working_scale: size of the pairs from which crops of `size` are taken, as in `kseg.data.augment.Augment`: (height, width)
            that they are fitted into, in pixels, or a number by which their own sides are multiplied; None: `size`.
        scale: smallest and largest factor of the augmentation, on the working size.
        photometric: whether the augmentation changes brightness, contrast, saturation and hue too.
        initial_step: batches to skip, because an earlier run has trained on them.
        normalization: of images that are not uint8, as in `kseg.data.levels`.
        input_context: which of several machines this is, as `tf.distribute` says it; None: there is one.

    Returns:
        Data set of (image (B, H, W, C), float32 in [0, 255], or levels around 128 where they are normalised, label_map (B, H, W),
        uint8); with an `input_context` B is that of one device.

    Raises:
        FileNotFoundError: `directory` does not hold a prepared data set.
        ValueError: the split is missing or empty, an argument is out of range, or `batch_size` is no multiple of the devices.

    Example:
        >>> batches = training_set("prepared", size=(48, 64), batch_size=2)
        >>> [(images.shape, label_maps.shape) for images, label_maps in batches.take(1)]
        [(TensorShape([2, 48, 64, 3]), TensorShape([2, 48, 64]))]
        >>> crops = training_set("prepared", size=(48, 64), batch_size=2, working_scale=(180, 240))
        >>> second = tf.distribute.InputContext(num_input_pipelines=2, input_pipeline_id=1, num_replicas_in_sync=2)
        >>> half = training_set("prepared", size=(48, 64), batch_size=2, input_context=second)
        >>> [(images.shape, label_maps.shape) for images, label_maps in half.take(1)]
        [(TensorShape([1, 48, 64, 3]), TensorShape([1, 48, 64]))]
    """
    _check(size, batch_size)
    replicas = input_context.num_replicas_in_sync if input_context else 1
    if batch_size % replicas:
        raise ValueError(
            "`batch_size` must be a multiple of the number of devices, so that each gets the same number of images. "
            f"Received: batch_size={batch_size} on {replicas} devices."
        )
    if initial_step < 0:
        raise ValueError(f"`initial_step` must not be negative. Received: initial_step={initial_step}.")
    encoded, decode = _read_splits(directory, (split,) if isinstance(split, str) else split)
    count = encoded.cardinality().numpy()
    if not count:
        raise ValueError(f"A split to train on must not be empty. Received: split={split!r} [{directory}].")
    decoded = encoded.map(decode, tf.data.AUTOTUNE)
    check_normalization(normalization, decoded.element_spec[0].shape[-1], decoded.element_spec[0].dtype.name)
    buffer = min(count, estimate_cacheable_pairs(decoded))
    fits = buffer == count
    start = initial_step * batch_size
    passes = _shuffled_passes(decoded.cache() if fits else encoded, buffer, seed, start // count)
    shuffled = passes.skip(start % count).enumerate(start)
    if input_context:
        sharing = _sharing(input_context, batch_size)
        shuffled = shuffled.filter(lambda position, _: sharing.is_here(sharing.part(position)))
    bounded = normalization is None
    changes = {"scale": scale, "photometric": photometric} if augment else UNCHANGED
    change = Augment(size, working_scale=working_scale, bounded=bounded, **changes)

    def prepare(step, pair):
        image, label_map = pair if fits else decode(*pair)
        if working_scale is None and not augment:
            return fit_pair(image, label_map, size, normalization)
        return change(image if bounded else to_levels(image, normalization), label_map, seed=(seed, step))

    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    prepared = shuffled.apply(endless).map(prepare, tf.data.AUTOTUNE)
    return _prefetch(prepared.batch(batch_size // replicas, drop_remainder=True))


def _read_splits(directory, splits: Sequence[str]):
    """As `read_encoded_pairs`, the pairs of several splits, one after another."""
    (encoded, decode), *others = (read_encoded_pairs(directory, split) for split in splits)
    for more, _ in others:
        encoded = encoded.concatenate(more)
    return encoded, decode


@no_autograph
def side_by_side(
    labelled: tf.data.Dataset, unlabelled: tf.data.Dataset, *, parts: int = 1, colours: bool = False
) -> tf.data.Dataset:
    """Batches of pairs and of images without masks as one, the former first.

    A `kseg.Teacher` and a `kseg.DomainGame` learn from such batches.

    Args:
        labelled: endless batches, such as those of `training_set`, (image (B, H, W, C), label_map (B, H, W)).
        unlabelled: the same of images whose label maps are void everywhere, (B', H, W, C) and (B', H, W).
        parts: number of equal parts into which `tf.distribute` splits a batch, one for each device of this machine. Each part
            holds images of both kinds, pairs first; B and B' must be multiples of it.
        colours: whether images of pairs take mean and deviation of the channels of an image without a mask, as in
            `kseg.data.take_colours`: for images of another domain. All images are float32 then.

    Returns:
        Data set of (image (B + B', H, W, C), label_map (B + B', H, W)).

    Raises:
        ValueError: `parts` is no integer above 0, or the two are no pairs, or unlike in dtype or size.
    """
    check_integer("parts", parts)
    specs = {name: _check_pairs(name, one) for name, one in (("labelled", labelled), ("unlabelled", unlabelled))}
    for is_label, (ours, theirs) in enumerate(zip(*specs.values(), strict=True)):
        same_type = ours.dtype == theirs.dtype or (colours and not is_label)
        if not same_type or not ours.shape[1:].is_compatible_with(theirs.shape[1:]):
            raise ValueError(
                "`labelled` and `unlabelled` must be of one dtype, height, width and number of channels. "
                f"Received: {_described(ours)} and {_described(theirs)}."
            )

    def join(*kinds):
        pieces = zip(*(tf.split(kind, parts) for kind in kinds), strict=True)
        return tf.concat([one for piece in pieces for one in piece], axis=0)

    def put(pairs, others):
        if colours:
            pairs, others = _recolour(pairs, others), (tf.cast(others[0], tf.float32), others[1])
        return tuple(join(*kinds) for kinds in zip(pairs, others, strict=True))

    return _prefetch(tf.data.Dataset.zip((labelled, unlabelled)).map(put))


def in_colours_of(others: tf.data.Dataset, pairs: tf.data.Dataset) -> tf.data.Dataset:
    """Batches of pairs whose images take the colours of other images: see `kseg.data.take_colours`.

    Args:
        others: endless batches, (image (B', H', W', C), label_map), of which only the images count.
        pairs: endless batches, (image (B, H, W, C), label_map (B, H, W)).

    Returns:
        Data set of (image (B, H, W, C), label_map (B, H, W)).
    """
    return _prefetch(tf.data.Dataset.zip((pairs, others)).map(_recolour))


def _check_pairs(name: str, dataset) -> tuple:
    """What the elements of a data set of batches of pairs are.

    Raises:
        ValueError: they are no such batches.
    """
    specs = getattr(dataset, "element_spec", ())
    ranks = (
        [one.shape.rank if isinstance(one, tf.TensorSpec) else 0 for one in specs] if isinstance(specs, tuple) else []
    )
    if len(ranks) != 2 or ranks[0] not in (4, None) or ranks[1] not in (3, 4, None):
        received = ", ".join(map(_described, specs)) if isinstance(specs, tuple) else _described(specs)
        raise ValueError(
            f"`{name}` must be a data set of batches (image (B, H, W, C), label_map (B, H, W)). "
            f"Received: {received or type(dataset).__name__}."
        )
    return specs


def _described(spec) -> str:
    return f"{spec.dtype.name} {spec.shape}" if isinstance(spec, tf.TensorSpec) else str(spec)


def _recolour(pairs, others):
    """A batch of pairs, of which the images take the colours of another batch's."""
    return take_colours(pairs[0], others[0]), pairs[1]


@no_autograph
def evaluation_set(
    directory,
    *,
    size: tuple[int, int] | None,
    batch_size: int,
    split: str = "validation",
    pairs: int | None = None,
    normalization: dict | None = None,
    input_context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Batches with every pair of a split once, in stored order, fitted into `size` and padded at the bottom and on the right.

    With an `input_context` the batches are those of one of several machines, for each of its devices in turn. The devices share
    each batch, the smaller last one too, so that the numbers of their images differ by one at most. A machine decodes its own
    pairs; where pairs keep their own sizes it decodes all, since they must be cut to be counted, and pads its own pieces.

    Args:
        directory: folder of a prepared data set.
        size: (height, width) of the batches, in pixels. None: pairs keep their own sizes, padded to multiples of 32 pixels and to
            the largest of their batch; those of more than 2^20 pixels come in pieces of at most 1024 x 1024.
        batch_size: B; the last batch may be smaller.
        split: one of "train", "validation", "test".
        pairs: number of pairs from the start of the split; None: all.
        normalization: of images that are not uint8, as in `kseg.data.levels`.
        input_context: which of several machines this is, as `tf.distribute` says it; None: there is one.

    Returns:
        Data set of (image (B, H, W, C), float32 in [0, 255], or levels around 128 where they are normalised, label_map (B, H, W),
        uint8), padded with 0 and void; with an `input_context` B is that of one device.

    Raises:
        FileNotFoundError: `directory` does not hold a prepared data set.
        ValueError: the split is missing, an argument is out of range, or there are more devices than images in a batch.
    """
    _check(size or (1, 1), batch_size)
    if input_context and batch_size < input_context.num_replicas_in_sync:
        raise ValueError(
            "`batch_size` must be at least the number of devices, so that each gets an image. "
            f"Received: batch_size={batch_size} on {input_context.num_replicas_in_sync} devices."
        )
    encoded, decode = read_encoded_pairs(directory, split)
    encoded = encoded if pairs is None else encoded.take(pairs)
    spec = encoded.map(decode).element_spec[0]
    check_normalization(normalization, spec.shape[-1], spec.dtype.name)
    if size is None:
        decoded = encoded.map(decode, tf.data.AUTOTUNE)
        # Which tf.data does not know, and Keras wants to.
        number = decoded.map(lambda image, label_map: _pieces(label_map)[1], tf.data.AUTOTUNE)
        number = int(number.reduce(tf.constant(0), tf.add).numpy())
        elements, prepare = decoded.flat_map(cut_pair), lambda *pair: _pad_pair(*pair, normalization)

        def batch(prepared, size):
            return prepared.padded_batch(size, padding_values=(0.0, tf.constant(VOID, tf.uint8)))
    else:
        number, elements, batch = int(encoded.cardinality().numpy()), encoded, tf.data.Dataset.batch

        def prepare(*pair):
            return fit_pair(*decode(*pair), size, normalization)

    if input_context:
        sharing = _sharing(input_context, batch_size, number)
        of_parts = elements.enumerate().map(lambda position, element: (sharing.part(position), element))
        here = of_parts.filter(lambda part, _: sharing.is_here(part))
        prepared = here.map(lambda part, element: (part, prepare(*element)), tf.data.AUTOTUNE)
        batches = prepared.group_by_window(
            key_func=lambda part, _: part,
            reduce_func=lambda _, window: batch(window.map(lambda _, element: element), batch_size),
            window_size_func=sharing.elements_of,
        )
        return _prefetch(batches)
    known = tf.data.experimental.assert_cardinality(-(-number // batch_size))
    return _prefetch(batch(elements.map(prepare, tf.data.AUTOTUNE), batch_size).apply(known))


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
    check_size("size", size)
    check_integer("batch_size", batch_size)


class _Sharing(NamedTuple):
    """How the devices of all machines share the batches: in order, and so evenly that their parts differ by one element at most.

    A part is what one device takes of one batch. Parts are numbered through, those of the first batch first.
    """

    devices: int  # of all machines
    here: int  # first of this machine
    end: int  # behind the last of this machine
    batch_size: int  # of all devices
    elements: int  # in all batches, of which the last may be smaller

    def part(self, position):
        """The part that the element at a position, int64, of all batches belongs to."""
        batch, slot = position // self.batch_size, position % self.batch_size
        return batch * self.devices + ((slot + 1) * self.devices - 1) // self._size(batch)

    def is_here(self, part):
        """Whether a device of this machine takes a part."""
        device = part % self.devices
        return tf.logical_and(self.here <= device, device < self.end)

    def elements_of(self, part):
        """The number of elements of a part."""
        batch, device = part // self.devices, part % self.devices
        size = self._size(batch)
        return (device + 1) * size // self.devices - device * size // self.devices

    def _size(self, batch):
        return tf.minimum(tf.cast(self.batch_size, tf.int64), self.elements - batch * self.batch_size)


def _sharing(context, batch_size: int, elements: int = tf.int64.max) -> _Sharing:
    devices = context.num_replicas_in_sync
    of_each = devices // context.num_input_pipelines
    here = context.input_pipeline_id * of_each
    return _Sharing(devices, here, here + of_each, batch_size, elements)


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
