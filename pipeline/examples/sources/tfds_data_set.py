"""A data set that TFDS has prepared. TFDS and TensorFlow are imported when one is opened."""

from __future__ import annotations

import collections
import functools
import pathlib

import apache_beam as beam
import numpy as np

from kseg.labels import VOID_NAMES, LabelMap, voc_colour
from kseg.pairs.class_table import scan_masks
from kseg.pairs.conventions import Conventions, largest_sample, smaller_range
from kseg.pairs.image_files import prepare_pair
from kseg.pairs.listing import split_of_key, split_thresholds
from kseg.pairs.split_names import KNOWN, splits_of_names
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
    channels = features[config.image_feature].shape[-1] or 3
    conventions = Conventions(image_range=config.image_range or _find_image_range(builder, sizes, config))
    return Source(
        labels=labels,
        channels=channels,
        counts=counts,
        elements=_TfdsElements(builder, tuple(sizes), names),
        reader=_ReadTfds(name, labels, channels, names, splits, thresholds, config.max_pixels, conventions),
        conventions=conventions,
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
    import tensorflow_datasets as tfds

    decoders = tfds.decode.PartialDecoding({feature}, {feature: tfds.decode.SkipDecoding()})
    for split in splits:
        for example in builder.as_dataset(split=split, decoders=decoders).as_numpy_iterator():
            yield bytes(example[feature])


class _TfdsElements(beam.PTransform):
    """(split, tfds_id, image_bytes, mask_bytes) of the given splits, encoded as they are stored."""

    def __init__(self, builder, splits, names):
        super().__init__()
        self._builder, self._splits, self._names = builder, splits, names

    def stream(self):
        """Yields the elements in stored order, without Beam."""
        for split in self._splits:
            unpack = _Unpack(split, self._names)
            for example in self._builder.as_dataset(split=split, **self._options()):
                yield from unpack.process(example)

    def _options(self) -> dict:
        import tensorflow_datasets as tfds

        features = set(self._names)
        decoders = tfds.decode.PartialDecoding(features, {name: tfds.decode.SkipDecoding() for name in features})
        return {"decoders": decoders, "read_config": tfds.ReadConfig(add_tfds_id=True), "shuffle_files": False}

    def expand(self, pipeline):
        import tensorflow_datasets as tfds

        options = self._options()
        return [
            pipeline
            | f"Read {split}" >> tfds.beam.ReadFromTFDS(self._builder, split, **options)
            | f"Unpack {split}" >> beam.ParDo(_Unpack(split, self._names))
            for split in self._splits
        ] | "Join" >> beam.Flatten()


class _Unpack(beam.DoFn):
    """A dictionary of tensors to (split, tfds_id, image_bytes, mask_bytes)."""

    def __init__(self, split, names):
        self._split, self._names = split, names

    def process(self, example):
        image_bytes, mask_bytes = (bytes(example[name].numpy()) for name in self._names)
        yield self._split, example["tfds_id"].numpy().decode(), image_bytes, mask_bytes


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
