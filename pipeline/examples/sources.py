"""Where pairs come from: a folder or CSV file, a TFDS data set, or the generated streets.

Each source says which classes there are, how many channels and about how many pairs, and reads one element into one pair. What
is wrong with the source as a whole is raised here, before Beam starts; what is wrong with one pair is quarantined by its reader
and stops nothing. Beam and Pillow; TensorFlow and TFDS only where the source is a TFDS data set.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import pathlib

import apache_beam as beam

from kseg import streets
from kseg.labels import LabelMap
from kseg.pairs.image_files import encode_png, joined
from kseg.pairs.image_folder import channels_of, list_pairs, read_pair
from kseg.pairs.listing import SPLITS, Pair, cuts, split_of
from kseg.pairs.pictures import PairError, shown
from pipeline.engine import progress
from pipeline.examples.tfds_builder import tfds_builder
from pipeline.settings.example_gen import ExampleGen

TABLE = "value,name,red,green,blue\n0,road,128,64,128\n1,car,64,0,128\n255,void,0,0,0"


@dataclasses.dataclass(frozen=True)
class Source:
    """What `example_gen` needs to know of its data.

    Attributes:
        labels: the classes.
        channels: of every image, 1 or 3.
        counts: pairs of each split, before any is set aside; where a hash decides about splits, the expected number.
        elements: transform from nothing to what `reader` reads.
        reader: DoFn from one element to (split, key, image_bytes, label_map_bytes), with the further outputs "reencoded"
            (reason) and "quarantined" (a row as `set_aside` makes it).
        faults: rows of pairs that are set aside before anything is read.
        files: image and mask file of every pair, by split and `shown` key; empty where pairs are no files.
        unused_masks: mask files that belong to no image.
        foreign_files: files of the source that are neither image nor mask.
    """

    labels: LabelMap
    channels: int
    counts: dict[str, int]
    elements: beam.PTransform
    reader: beam.DoFn
    faults: tuple[dict, ...] = ()
    files: dict[tuple[str, str], tuple[pathlib.Path, pathlib.Path]] = dataclasses.field(default_factory=dict)
    unused_masks: tuple[str, ...] = ()
    foreign_files: tuple[str, ...] = ()


def set_aside(split: str, key: str, image: str, mask: str, error: PairError) -> dict[str, str]:
    """The record of a pair that cannot be used: whose it is, and name, what, where and cure of the error."""
    row = {"split": split, "key": shown(key), "image": image, "mask": mask}
    return row | {"name": error.name, "what": error.what, "where": error.where, "cure": error.cure}


def folder(root: pathlib.Path, config: ExampleGen, classes: pathlib.Path | None) -> Source:
    """Files: a folder of pairs, the VOC layout or a CSV file.

    Raises:
        ValueError: the files do not pair up, or there is no table of classes.
    """
    shares = {"validation_share": config.validation_share, "test_share": config.test_share}
    listing = list_pairs(root, **shares)
    beside = (root if root.is_dir() else root.parent) / "classes.csv"
    if classes is None and not beside.is_file():
        raise ValueError(
            f"The classes must be given. Received: no {beside} and no --classes. Write a table like this one, with the mask "
            f"values of your data:\n{TABLE}"
        )
    labels = LabelMap.from_csv(classes or beside, config.ignore_value)
    channels = channels_of(listing.pairs)
    every = [*(fault.pair for fault in listing.faults), *listing.pairs]
    return Source(
        labels=labels,
        channels=channels,
        counts=dict(collections.Counter(pair.split for pair in listing.pairs)),
        elements=_Elements(listing.pairs),
        reader=_ReadFiles(labels, channels, config.max_pixels),
        faults=tuple(_row(fault.pair, fault.error) for fault in listing.faults),
        files={(pair.split, shown(pair.key)): (pair.image, pair.mask) for pair in every},
        unused_masks=tuple(map(shown, listing.unused_masks)),
        foreign_files=tuple(map(shown, listing.foreign_files)),
    )


def _row(pair: Pair, error: PairError) -> dict[str, str]:
    return set_aside(pair.split, pair.key, shown(pair.image), shown(pair.mask), error)


def generated_streets(config: ExampleGen, classes: pathlib.Path | None) -> Source:
    """The generated streets, drawn by the workers.

    Raises:
        ValueError: classes or a void value are given, though the streets have their own.
    """
    if classes is not None or config.ignore_value is not None:
        raise ValueError(
            "The generated streets have their own classes and void. Received: "
            f"--classes {classes}, ignore_value={config.ignore_value}. Leave both out, or give --data."
        )
    counts = {split: getattr(config, f"streets_{split}") for split in streets.SPLITS}
    numbers = [(split, index) for split, count in counts.items() for index in range(count)]
    return Source(
        labels=streets.LABELS,
        channels=3,
        counts={split: count for split, count in counts.items() if count},
        elements=_Elements(numbers),
        reader=_DrawStreet(config.streets_size, config.streets_seed),
    )


def prepared_tfds(name: str, config: ExampleGen, classes: pathlib.Path | None) -> Source:
    """A data set that TFDS has prepared, below $TFDS_DATA_DIR or TFDS's own default; nothing is downloaded here.

    Args:
        name: "<name>", "<name>:<configuration>", or TFDS's own "<name>/<configuration>:<version>".
        config: the names of the features with image and mask; a data set with one split is split by a hash.
        classes: the table of classes; else the class names of the mask's feature count.

    Raises:
        ValueError: TFDS has no such data set prepared, or it lacks a feature, a training split or names of classes.
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
    labels = LabelMap.from_csv(classes, config.ignore_value) if classes else _named_classes(features, config, name)
    sizes = {split: info.num_examples for split, info in builder.info.splits.items() if split in SPLITS}
    if not sizes:
        raise ValueError(
            f"A data set must have splits among {', '.join(SPLITS)}. "
            f"Received: {', '.join(builder.info.splits) or 'none'} [tfds:{name}]."
        )
    counts, at = {SPLITS[split]: count for split, count in sizes.items()}, None
    if len(sizes) == 1:
        keys = _tfds_ids(builder, *sizes)
        at = cuts(keys, config.validation_share, config.test_share)
        counts = dict(collections.Counter(split_of(key, at) for key in keys))
    channels = features[config.image_feature].shape[-1] or 3
    return Source(
        labels=labels,
        channels=channels,
        counts=counts,
        elements=_TfdsElements(builder, tuple(sizes), names),
        reader=_ReadTfds(name, labels, channels, names, at, config.max_pixels),
    )


def _tfds_ids(builder, split) -> list[str]:
    """What TFDS calls the examples of a split: file name and position."""
    info = builder.info.splits[split]
    numbered = zip(sorted(info.filenames), info.shard_lengths, strict=True)
    return [f"{name}__{number}" for name, count in numbered for number in range(count)]


def _named_classes(features, config, name) -> LabelMap:
    """Classes by the names that the mask's feature carries, in the colours of PASCAL VOC."""
    feature = features[config.mask_feature]
    if not getattr(feature, "num_classes", None):
        raise ValueError(
            f"The classes must be given. Received: tfds:{name}, whose {config.mask_feature} names none, and no --classes. "
            f"Write a table like this one:\n{TABLE}"
        )
    classes = [(value, text) for value, text in enumerate(feature.names) if value != config.ignore_value]
    return LabelMap(
        names=tuple(text for _, text in classes),
        colours=tuple(_voc_colour(value) for value, _ in classes),
        values=tuple(value for value, _ in classes),
        ignore_value=config.ignore_value,
    )


def _voc_colour(value: int) -> tuple[int, int, int]:
    """Bits 0, 3, 6 of the value become the highest bits of red, bits 1, 4, 7 of green, bits 2 and 5 of blue."""
    return tuple(sum((value >> (3 * place + channel) & 1) << (7 - place) for place in range(3)) for channel in range(3))


class _Elements(beam.PTransform):
    """A list as a collection that is spread over the workers."""

    def __init__(self, elements):
        super().__init__()
        self._elements = elements

    def expand(self, pipeline):
        return pipeline | "Name pairs" >> beam.Create(self._elements) | "Spread" >> beam.Reshuffle()


class _TfdsElements(beam.PTransform):
    """(split, tfds_id, image_bytes, mask_bytes) of the given splits, encoded as they are stored."""

    def __init__(self, builder, splits, names):
        super().__init__()
        self._builder, self._splits, self._names = builder, splits, names

    def expand(self, pipeline):
        import tensorflow_datasets as tfds

        features = set(self._names)
        decoders = tfds.decode.PartialDecoding(features, {name: tfds.decode.SkipDecoding() for name in features})
        options = {"decoders": decoders, "read_config": tfds.ReadConfig(add_tfds_id=True), "shuffle_files": False}
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


def _outputs(read, row):
    """What a reader yields: the pair that `read()` returns with its reason for a PNG, or the `row(error)` of a bad one."""
    progress.advance()
    try:
        *pair, reason = read()
    except PairError as error:
        yield beam.pvalue.TaggedOutput("quarantined", row(error))
    else:
        yield tuple(pair)
        if reason:
            yield beam.pvalue.TaggedOutput("reencoded", reason)


class _ReadFiles(beam.DoFn):
    """A `Pair` of files."""

    def __init__(self, labels, channels, max_pixels):
        self._labels, self._channels, self._max_pixels = labels, channels, max_pixels

    def process(self, pair):
        yield from _outputs(functools.partial(self._read, pair), functools.partial(_row, pair))

    def _read(self, pair):
        return pair.split, pair.key, *read_pair(pair, self._labels, self._channels, self._max_pixels)


class _DrawStreet(beam.DoFn):
    """(split, index) of a generated street, which is always in order."""

    def __init__(self, size, seed):
        self._size, self._seed = size, seed

    def process(self, element):
        split, index = element
        image, label_map = streets.draw(index, split=split, size=self._size, seed=self._seed)
        progress.advance()
        yield split, f"{split}_{index:06d}", encode_png(image), encode_png(label_map)


class _ReadTfds(beam.DoFn):
    """(split, tfds_id, image_bytes, mask_bytes) of a TFDS data set; `at` are the `cuts` where a hash of the id decides."""

    def __init__(self, name, labels, channels, names, at, max_pixels):
        self._name, self._labels, self._channels = name, labels, channels
        self._names, self._at, self._max_pixels = names, at, max_pixels

    def process(self, element):
        split, key, *encoded = element
        split = split_of(key, self._at) if self._at else SPLITS[split]
        places = [f"tfds:{self._name} {key} {feature}" for feature in self._names]
        row = functools.partial(set_aside, split, key, *places)
        yield from _outputs(functools.partial(self._read, split, key, encoded, places), row)

    def _read(self, split, key, encoded, places):
        return split, key, *joined(*encoded, self._labels, self._channels, *places, self._max_pixels)
