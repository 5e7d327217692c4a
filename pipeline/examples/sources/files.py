"""Pairs of files: a folder of images and masks, the VOC layout, or a CSV file. `kseg.pairs` knows the layouts."""

from __future__ import annotations

import collections
import functools
import pathlib

import apache_beam as beam

from kseg.labels import LabelMap
from kseg.pairs.decoding import PairError, printable
from kseg.pairs.image_folder import count_channels, list_pairs, read_pair
from kseg.pairs.listing import Pair
from pipeline.examples.sources.source import CLASSES_EXAMPLE, Elements, Source, quarantine_row, read_outputs
from pipeline.settings.example_gen import ExampleGen


def open_files(root: pathlib.Path, config: ExampleGen, classes: pathlib.Path | None) -> Source:
    """The source of a folder or CSV file.

    Args:
        root: the folder or CSV file.
        config: void value and shares of the splits.
        classes: table of classes; None: classes.csv in the folder, or next to the CSV file.

    Raises:
        ValueError: the files do not pair up, or there is no table of classes.
    """
    shares = {"validation_share": config.validation_share, "test_share": config.test_share}
    listing = list_pairs(root, **shares)
    default = (root if root.is_dir() else root.parent) / "classes.csv"
    if classes is None and not default.is_file():
        raise ValueError(
            f"The classes must be given. Received: no {default} and no --classes. Write a table like this one, with the mask "
            f"values of your data:\n{CLASSES_EXAMPLE}"
        )
    labels = LabelMap.from_csv(classes or default, config.ignore_value)
    channels = count_channels(listing.pairs)
    every = [*(fault.pair for fault in listing.faults), *listing.pairs]
    return Source(
        labels=labels,
        channels=channels,
        counts=dict(collections.Counter(pair.split for pair in listing.pairs)),
        elements=Elements(listing.pairs),
        reader=_ReadFiles(labels, channels, config.max_pixels),
        faults=tuple(_row(fault.pair, fault.error) for fault in listing.faults),
        files={(pair.split, printable(pair.key)): (pair.image, pair.mask) for pair in every},
        unused_masks=tuple(map(printable, listing.unused_masks)),
        foreign_files=tuple(map(printable, listing.foreign_files)),
    )


def _row(pair: Pair, error: PairError) -> dict[str, str]:
    return quarantine_row(pair.split, pair.key, printable(pair.image), printable(pair.mask), error)


class _ReadFiles(beam.DoFn):
    """Reads a `Pair` of files."""

    def __init__(self, labels, channels, max_pixels):
        self._labels, self._channels, self._max_pixels = labels, channels, max_pixels

    def process(self, pair):
        yield from read_outputs(functools.partial(self._read, pair), functools.partial(_row, pair))

    def _read(self, pair):
        return pair.split, pair.key, *read_pair(pair, self._labels, self._channels, self._max_pixels)
