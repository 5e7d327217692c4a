"""Pairs of files: a folder of images and masks, the VOC layout, or a CSV file. `kseg.pairs` knows the layouts."""

from __future__ import annotations

import collections
import functools
import os
import pathlib
import random

import apache_beam as beam

from kseg.pairs.class_table import MaskScan, scan_masks
from kseg.pairs.errors import PairError, printable
from kseg.pairs.image_folder import count_channels, list_pairs, read_file, read_pair
from kseg.pairs.listing import Listing, Pair
from pipeline.examples.sources.classes import missing_table_message, read_classes, run_command
from pipeline.examples.sources.source import Elements, Source, quarantine_row, read_outputs
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
    folder = root if root.is_dir() else root.parent
    default = folder / "classes.csv"
    if classes is None and not default.is_file():
        received, scan = f"no {default} and no --classes", _scan_masks(listing, config.max_pixels)
        raise ValueError(missing_table_message(received, scan, str(default), run_command(root), config.ignore_value))
    labels = read_classes(classes or default, config, run_command(root, classes))
    channels = count_channels(listing.pairs)
    faulty = [fault.pair for fault in listing.faults if _lies_below(fault.pair, folder)]  # others are never opened
    every = [*faulty, *listing.pairs]
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


def _scan_masks(listing: Listing, max_pixels: int) -> MaskScan:
    """Scans the masks in random order, since the time may not suffice for all."""
    if not listing.pairs and listing.faults:
        raise listing.faults[0].error
    pairs = random.Random(0).sample(listing.pairs, len(listing.pairs))

    def read(pair):
        return read_file(pair.mask, max_pixels), printable(pair.mask)

    return scan_masks(pairs, read, len(pairs), max_pixels=max_pixels)


def _lies_below(pair: Pair, folder: pathlib.Path) -> bool:
    """Whether the paths of both files lead into the folder; a table may name any file of the machine."""
    return all(
        pathlib.Path(os.path.normpath(path)).is_relative_to(os.path.normpath(folder))
        for path in (pair.image, pair.mask)
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
