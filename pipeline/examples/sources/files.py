"""Pairs in a folder or file of any layout that `kseg.pairs.image_folder` recognises."""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
import pathlib
import random
import shlex

import apache_beam as beam

from kseg.labels import VOID, LabelMap
from kseg.pairs.class_table import MaskScan, scan_masks
from kseg.pairs.conventions import count_missing_data, find_conventions, find_pixel_kind, void_of_missing_data
from kseg.pairs.errors import PairError, SeveralReadingsError, printable
from kseg.pairs.folder_files import boundary_of
from kseg.pairs.image_folder import read_pair, recognise_pairs
from kseg.pairs.layouts.class_files import find_classes
from kseg.pairs.layouts.recognised import Recognised
from kseg.pairs.listing import Listing, Pair
from kseg.pairs.other_formats import check_lossless
from pipeline.examples.sources.classes import missing_table_error, read_classes, run_command
from pipeline.examples.sources.source import Elements, Source, format_counts, quarantine_row, read_outputs
from pipeline.settings.example_gen import ExampleGen
from pipeline.storage.copies import url_of

RANGES = "background=0-127,object=128-255"
"""Classes of a grey JPEG mask of two levels."""


def open_files(root: pathlib.Path, config: ExampleGen, classes: pathlib.Path | None) -> Source:
    """The source of a folder or file, whose layout is recognised.

    Args:
        root: the folder or file.
        config: layout where there are several readings, void value, shares of the splits, and which files may be opened.
        classes: table of classes; None: classes.csv in the folder or next to the file, or else the layout's own.

    Raises:
        ValueError: there is no reading or there are several, the pairs do not match, or there is no table of classes.
    """
    boundary = boundary_of(root, config.data_root, config.follow_links)
    found = _recognise(root, config, classes)
    listing = found.listing
    missing = void_of_missing_data(listing.pairs)
    labels, table = _read_classes(root, found, config, classes, boundary, missing)
    labels, notes = _add_missing_data(labels, missing, listing.pairs)
    kind = find_pixel_kind(listing.pairs, config.max_pixels)
    conventions = find_conventions(
        listing.pairs,
        labels,
        mask_reading=config.mask_reading,
        image_range=config.image_range,
        kind=kind,
        max_pixels=config.max_pixels,
    )
    faulty = [fault.pair for fault in listing.faults if all(map(boundary.contains, fault.pair.files))]
    every = [*faulty, *listing.pairs]
    return Source(
        labels=labels,
        channels=kind.channels,
        counts=dict(collections.Counter(pair.split for pair in listing.pairs)),
        sizes=file_sizes(listing.pairs),
        elements=Elements(listing.pairs, _name, shared_place if any(map(shared_place, listing.pairs)) else None),
        reader=_ReadFiles(labels, kind.channels, config.max_pixels, conventions),
        faults=tuple(_row(fault.pair, fault.error) for fault in listing.faults),
        sides={(pair.split, printable(pair.key)): (pair.image, pair.mask) for pair in every},
        unused_masks=tuple(map(printable, listing.unused_masks)),
        foreign_files=tuple(map(printable, listing.foreign_files)),
        unused_splits=tuple(listing.unused_splits),
        conventions=conventions,
        layout=found.name,
        classes_from=table,
        notes=(*found.notes, *notes),
    )


def _add_missing_data(labels: LabelMap, value: int | None, pairs: list[Pair]) -> tuple[LabelMap, list[str]]:
    """The classes with the value of missing data as void, where it is no class, and notes on missing data."""
    notes, (marked, looked_at) = [], count_missing_data(pairs)
    if marked:
        notes.append(
            f"{marked} of {looked_at} images say which value means missing data. In whole numbers without sign, such pixels are "
            "kept as they are: make them void in the masks."
        )
    if value is None or labels.ids_by_value.get(value) == VOID:
        return labels, notes
    if value in labels.known_values:
        name = labels.names[labels.ids_by_value[value]]
        notes.append(
            f"The masks say that {value} means missing data, but the table of classes calls it {name}, which counts; "
            f"--ignore-value {value} makes it void."
        )
        return labels, notes
    notes.append(f"Pixels without data are void: {value} in the masks, as their headers say.")
    return dataclasses.replace(labels, other_values=(*labels.other_values, (value, VOID))), notes


def _recognise(root, config, classes) -> Recognised:
    """The reading of the source; where there are several, a message with a command for each."""
    try:
        return recognise_pairs(
            root,
            layout=config.layout,
            images=config.images,
            masks=config.masks,
            pair_by=config.pair_by,
            validation_share=config.validation_share,
            test_share=config.test_share,
            data_root=config.data_root,
            follow_links=config.follow_links,
        )
    except SeveralReadingsError as error:
        rows = "\n".join(
            f"  {_command(found.root, config, classes, found.options)}  # {found.name}: {count_pairs(found.listing)}"
            for found in error.readings
        )
        raise ValueError(f"{error.requirement} [{printable(root)}]. Choose:\n{rows}") from error


def _read_classes(root, found: Recognised, config, classes, boundary, missing: int | None) -> tuple[LabelMap, str]:
    """The classes, and where they are from: --classes, classes.csv, or the layout itself."""
    places = [root, found.root]
    tables = [(place if place.is_dir() else place.parent) / "classes.csv" for place in places]
    table = classes or config.classes or next((table for table in tables if table.is_file()), None)
    if table:
        if table in tables and classes is None:
            boundary.check(table)
        source = printable(table.name) if isinstance(table, pathlib.Path) else table
        return read_classes(table, config, _command(root, config, classes)), source
    with boundary.enforced():
        own = found.classes or find_classes(found.root if found.root.is_dir() else found.root.parent)
    if own:
        return own.label_map(config.ignore_value, void_is_class=config.void_is_class), own.source
    url, place = url_of(root), str(tables[0])
    if url:  # the next run would remove a table from the copy
        place = "classes.csv"
    received, scan = f"no {tables[0]} and no --classes", _scan_masks(found.listing, config.max_pixels)
    if not scan.scanned and scan.errors and scan.errors[0].name == "lossy_mask":
        error = scan.errors[0]
        ranges = f"{_command(root, config)} --classes {shlex.quote(RANGES)}"
        raise PairError(error.name, error.what, error.where, f"{error.cure} That is: {ranges}")
    void = missing if config.ignore_value is None else config.ignore_value
    raise missing_table_error(received, scan, place, _command(root, config, place if url else None), void)


def _command(root, config, classes=None, options=()) -> str:
    """The command that runs the line on this reading."""
    given = {"--layout": config.layout, "--images": config.images, "--masks": config.masks}
    options = options or [text for flag, value in given.items() if value for text in (flag, value)]
    command = run_command(url_of(root) or root, classes or config.classes, config.data_root, config.follow_links)
    return f"{command} {shlex.join(options)}" if options else command


def count_pairs(listing: Listing) -> str:
    """The number of pairs of each split as text."""
    return format_counts(collections.Counter(pair.split or "split by a hash" for pair in listing.pairs))


def _scan_masks(listing: Listing, max_pixels: int) -> MaskScan:
    """Scans the masks in random order, since the time may not suffice for all."""
    if not listing.pairs and listing.faults:
        raise listing.faults[0].error
    pairs = random.Random(0).sample(listing.pairs, len(listing.pairs))

    def read(pair):
        check_lossless(pair.mask)
        return pair.mask.read(max_pixels), pair.mask.name

    return scan_masks(pairs, read, len(pairs), max_pixels=max_pixels)


def _name(pair: Pair) -> tuple[str, str]:
    return pair.split, pair.key


def file_sizes(pairs: list[Pair]) -> dict[str, int]:
    """Bytes of the files of each split, those that several pairs share once."""
    files = collections.defaultdict(set)
    for pair in pairs:
        files[pair.split].update(pair.files)
    return {split: sum(map(_size, found)) for split, found in files.items()}


def _size(file: pathlib.Path) -> int:
    try:
        return os.stat(file).st_size
    except OSError:  # whoever reads it says what is wrong
        return 0


def shared_place(pair: Pair):
    """What a pair is read from together with others: a stack, a table's row group, or an array; None for a file of its own."""
    return None if pair.image.own_file else (pair.image.files, getattr(pair.image, "group", None))


def _row(pair: Pair, error: PairError) -> dict[str, str]:
    return quarantine_row(pair.split, pair.key, pair.image.name, pair.mask.name, error)


class _ReadFiles(beam.DoFn):
    """Reads a `Pair`."""

    def __init__(self, labels, channels, max_pixels, conventions):
        self._labels, self._channels = labels, channels
        self._max_pixels, self._conventions = max_pixels, conventions

    def process(self, pair):
        yield from read_outputs(functools.partial(self._read, pair), functools.partial(_row, pair))

    def _read(self, pair):
        return pair.split, pair.key, *read_pair(pair, self._labels, self._channels, self._max_pixels, self._conventions)
