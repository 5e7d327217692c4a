"""A data set that TFDS has prepared. TFDS and TensorFlow are imported when one is opened."""

from __future__ import annotations

import collections
import functools
import itertools
import pathlib

import apache_beam as beam
import numpy as np

from kseg._extras import extra
from kseg.labels import VOID_NAMES, LabelMap, voc_colour
from kseg.pairs.class_table import scan_masks
from kseg.pairs.conventions import Conventions, largest_sample, smaller_range
from kseg.pairs.image_files import prepare_pair
from kseg.pairs.listing import split_of_key, split_thresholds
from kseg.pairs.split_names import KNOWN, splits_of_names
from pipeline.examples import prepared
from pipeline.examples.sources.classes import (
    missing_table_error,
    read_classes,
    run_command,
    undeclared_void_message,
)
from pipeline.examples.sources.source import Source, quarantine_row, read_outputs
from pipeline.examples.sources.tfds_builder import tfds_builder
from pipeline.settings.example_gen import ExampleGen


def open_tfds(name: str, config: ExampleGen, classes: pathlib.Path | None) -> Source:
    """The source of a prepared data set below $TFDS_DATA_DIR or TFDS's default; nothing is downloaded.

    Args:
        name: "<name>", "<name>:<configuration>", or TFDS's own "<name>/<configuration>:<version>".
        config: names of the image and mask features; a data set with one split is split by a hash.
        classes: table of classes; None: the class names of the mask feature.

    Raises:
        ValueError: TFDS has not prepared such a data set, or it lacks a feature, a training split or class names.
    """
    builder = tfds_builder(name)
    features, names = builder.info.features, (config.image_feature, config.mask_feature)
    for setting, feature in zip(("image_feature", "mask_feature"), names, strict=True):
        if feature not in features or not hasattr(features[feature], "encoding_format"):
            images = sorted(key for key, value in features.items() if hasattr(value, "encoding_format"))
            raise ValueError(
                f"`{setting}` must name a feature with images. Received: example_gen.{setting}={feature} [tfds:{name}]. "
                f"There are: {', '.join(images) or 'none'}."
            )
    splits = _known_splits(builder, name)
    sizes = {split: builder.info.splits[split].num_examples for split in splits}
    classes = classes or config.classes
    if classes:
        labels = read_classes(classes, config, run_command(f"tfds:{name}", classes))
    else:
        labels = _named_classes(builder, sizes, config, name)
    counts, thresholds = {splits[split]: count for split, count in sizes.items()}, None
    if len(sizes) == 1:
        keys = _tfds_ids(builder, *sizes)
        thresholds = split_thresholds(keys, config.validation_share, config.test_share)
        counts = dict(collections.Counter(split_of_key(key, thresholds) for key in keys))
    stored_bytes = sum(builder.info.splits[split].num_bytes for split in sizes)
    channels = features[config.image_feature].shape[-1] or 3
    conventions = Conventions(image_range=config.image_range or _find_image_range(builder, sizes, config))
    return Source(
        labels=labels,
        channels=channels,
        counts=counts,
        sizes={split: stored_bytes * count // sum(counts.values()) for split, count in counts.items()},
        elements=_TfdsElements(builder, {splits[split]: split for split in sizes}, names, thresholds),
        reader=_ReadTfds(name, labels, channels, names, splits, thresholds, config.max_pixels, conventions),
        conventions=conventions,
        reads=(pathlib.Path(builder.data_dir),),
        unused_splits=tuple(f"tfds:{name} {split}" for split in builder.info.splits if split not in splits),
    )


def _known_splits(builder, name) -> dict[str, str]:
    """The splits as stored by those of the data set; there is at least one."""
    try:
        splits = splits_of_names(builder.info.splits)
    except ValueError as error:
        raise ValueError(f"{error} [tfds:{name}]. Prepare the data set with one of them.") from error
    if not splits:
        raise ValueError(
            f"A data set must have splits of known names: {KNOWN}. Received: {', '.join(builder.info.splits) or 'none'} "
            f"[tfds:{name}]. Prepare it with such names, or export it as a folder of pairs."
        )
    return splits


def _tfds_ids(builder, split) -> list[str]:
    """The `tfds_id` of every example of a split: file name and position."""
    info = builder.info.splits[split]
    numbered = zip(sorted(info.filenames), info.shard_lengths, strict=True)
    return [f"{name}__{number}" for name, count in numbered for number in range(count)]


def _named_classes(builder, splits, config, name) -> LabelMap:
    """Classes with the names of the mask feature, in the colours of PASCAL VOC."""
    feature, source = builder.info.features[config.mask_feature], f"tfds:{name}"
    if not getattr(feature, "num_classes", None):
        received = f"{source}, whose {config.mask_feature} names no classes, and no --classes"
        scan, table = _scan_masks(builder, splits, config), pathlib.Path("classes.csv")
        command = run_command(source, table)
        raise missing_table_error(received, scan, str(table), command, config.ignore_value)
    classes = [(value, text) for value, text in enumerate(feature.names) if value != config.ignore_value]
    for value, text in classes:
        if text.lower() in VOID_NAMES and not config.void_is_class:
            raise ValueError(undeclared_void_message(value, text, source, run_command(source)))
    return LabelMap(
        names=tuple(text for _, text in classes),
        colours=tuple(voc_colour(value) for value, _ in classes),
        values=tuple(value for value, _ in classes),
        ignore_value=config.ignore_value,
    )


def _find_image_range(builder, splits, config) -> int | None:
    """The range of images that TFDS declares to have 16 bits."""
    if np.dtype(builder.info.features[config.image_feature].np_dtype) != np.uint16:
        return None
    stored = _stored(builder, splits, config.image_feature)
    return smaller_range(largest_sample(data, f"tfds:{builder.name}", config.max_pixels) for data in stored)


def _scan_masks(builder, splits, config):
    """Scans the masks in stored order."""
    where = f"tfds:{builder.name} {config.mask_feature}"
    stored = _stored(builder, splits, config.mask_feature)
    return scan_masks(stored, lambda data: (data, where), sum(splits.values()), max_pixels=config.max_pixels)


def _stored(builder, splits, feature):
    """Yields the encoded images of one feature in stored order."""
    with extra("data"):
        import tensorflow_datasets as tfds

    decoders = tfds.decode.PartialDecoding({feature}, {feature: tfds.decode.SkipDecoding()})
    for split in splits:
        for example in builder.as_dataset(split=split, decoders=decoders).as_numpy_iterator():
            yield bytes(example[feature])


class _TfdsElements:
    """(split, tfds_id, image_bytes, mask_bytes) of the given splits, encoded as they are stored; see `Elements`.

    Args:
        builder: of TFDS.
        splits: as stored by those of the data set.
        names: of the two features.
        thresholds: where a hash of the id assigns the split; otherwise None.
    """

    def __init__(self, builder, splits: dict[str, str], names: tuple[str, str], thresholds):
        self._builder, self._splits, self._names, self._thresholds = builder, splits, names, thresholds
        self.unpack = _ReadRanges(builder, names, thresholds)

    def stream(self):
        """Yields the elements in stored order, without Beam."""
        for split in self._splits.values():
            yield from _read_stored(self._builder, split, split, self._names)

    def deal(self, shards: dict[str, int]):
        """Yields (split, number of the shard, its part): ranges of files, of which the shard takes what is in its split."""
        for split, number in shards.items():
            sources = self._splits.values() if self._thresholds else [self._splits[split]]
            ranges = itertools.chain.from_iterable(self._ranges(source, number) for source in sources)
            named = ((f"{source}/{start:012}", (source, start, end)) for source, start, end in ranges)
            for shard, dealt in enumerate(prepared.deal(named, number)):
                yield split, shard, [(split, *place) for place in dealt]

    def _ranges(self, split: str, number: int):
        """Yields (split, start, end) within single files, at least `number` unless there are fewer examples."""
        lengths, start = self._builder.info.splits[split].shard_lengths, 0
        size = max(1, sum(lengths) // number)
        for length in lengths:
            parts = -(-length // size)
            for part in range(parts):
                first, last = part * length // parts, (part + 1) * length // parts
                yield split, start + first, start + last
            start += length


class _ReadRanges:
    """Yields the elements of ranges."""

    def __init__(self, builder, names, thresholds):
        self._builder, self._names, self._thresholds = builder, names, thresholds

    def __call__(self, ranges):
        for split, source, start, end in ranges:
            for element in _read_stored(self._builder, source, f"{source}[{start}:{end}]", self._names):
                if not self._thresholds or split_of_key(element[1], self._thresholds) == split:
                    yield element


def _read_stored(builder, split: str, instruction: str, names):
    """Yields (split, tfds_id, image_bytes, mask_bytes) in stored order."""
    with extra("data"):
        import tensorflow_datasets as tfds

    decoders = tfds.decode.PartialDecoding(set(names), {name: tfds.decode.SkipDecoding() for name in names})
    config = tfds.ReadConfig(add_tfds_id=True)
    for example in builder.as_dataset(
        split=instruction, decoders=decoders, read_config=config, shuffle_files=False
    ).as_numpy_iterator():
        yield split, example["tfds_id"].decode(), *(bytes(example[name]) for name in names)


class _ReadTfds(beam.DoFn):
    """Reads (split, tfds_id, image_bytes, mask_bytes); `thresholds` are given where a hash of the id assigns the split."""

    def __init__(self, name, labels, channels, names, splits, thresholds, max_pixels, conventions):
        self._name, self._labels, self._channels = name, labels, channels
        self._names, self._splits, self._thresholds = names, splits, thresholds
        self._max_pixels, self._conventions = max_pixels, conventions

    def process(self, element):
        split, key, *encoded = element
        split = split_of_key(key, self._thresholds) if self._thresholds else self._splits[split]
        places = [f"tfds:{self._name} {key} {feature}" for feature in self._names]
        row = functools.partial(quarantine_row, split, key, *places)
        yield from read_outputs(functools.partial(self._read, split, key, encoded, places), row)

    def _read(self, split, key, encoded, places):
        labels, channels, conventions = self._labels, self._channels, self._conventions
        return split, key, *prepare_pair(*encoded, labels, channels, *places, self._max_pixels, conventions)
