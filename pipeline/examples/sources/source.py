"""What every source provides: classes, channels, numbers of pairs, and how to read one element into one pair.

A fault of the source as a whole raises a ValueError before Beam starts; a fault of one pair quarantines that pair alone. Beam;
no TensorFlow.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import pathlib
from collections.abc import Iterator

import apache_beam as beam

from kseg.labels import LabelMap
from kseg.pairs.conventions import PLAIN, Conventions
from kseg.pairs.errors import PairError, printable
from kseg.pairs.sides import Side
from pipeline.engine import progress
from pipeline.examples import prepared

MAX_NEIGHBOURS = 128
"""Elements of one file that stay together; more would keep the other workers waiting."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A source of pairs, as `example_gen` reads it.

    Attributes:
        labels: the classes.
        channels: of every image.
        counts: pairs of each split before any is quarantined; the expected number where a hash assigns the splits.
        sizes: bytes of the files of each split, from which the number of shards follows.
        elements: an `Elements`, or what has the same methods: the elements that `reader` reads, and how they are dealt to shards.
        reader: DoFn from one element to (split, key, image_bytes, label_map_bytes), with two tagged outputs: "reencoded"
            (the reason) and "quarantined" (a `quarantine_row`).
        faults: rows of pairs that are quarantined before anything is read.
        sides: image and mask of every pair, by split and printable key; empty where they are not in a folder or file.
        unused_masks: mask files without an image.
        foreign_files: files that are neither image nor mask.
        unused_splits: names of splits, or of their lists, that hold pairs of no known split.
        conventions: how files are read that leave it open.
        layout: name of the layout that was recognised, for people.
        classes_from: where the classes are from, for people.
        reads: folders that are read although the source does not name them.
        notes: whole sentences for the log, such as which files were left out.
    """

    labels: LabelMap
    channels: int
    counts: dict[str, int]
    sizes: dict[str, int]
    elements: Elements
    reader: beam.DoFn
    faults: tuple[dict, ...] = ()
    sides: dict[tuple[str, str], tuple[Side, Side]] = dataclasses.field(default_factory=dict)
    unused_masks: tuple[str, ...] = ()
    foreign_files: tuple[str, ...] = ()
    unused_splits: tuple[str, ...] = ()
    conventions: Conventions = PLAIN
    layout: str = ""
    classes_from: str = ""
    reads: tuple[pathlib.Path, ...] = ()
    notes: tuple[str, ...] = ()


def describe_source(source: Source) -> list[str]:
    """What was recognised, a line each: layout, pairs and classes, then the notes; without a layout the notes alone."""
    if not source.layout:
        return list(source.notes)
    number = source.labels.num_classes
    classes = f"{number} class{'es' if number > 1 else ''} from {source.classes_from}"
    return [f"{source.layout}: {format_counts(source.counts)}, {classes}", *source.notes]


def ingestion_record(source: Source, reencoded: dict[str, int], quarantined: list[dict]) -> dict:
    """What ingestion.json holds of a source, apart from the numbers of pairs that were stored.

    Args:
        source: that was read.
        reencoded: images by the reason why they become PNGs.
        quarantined: rows of `quarantine_row`, those of `source.faults` included.
    """
    return {
        "channels": source.channels,
        "reencoded": reencoded,
        "quarantined": sorted(quarantined, key=lambda row: (row["split"], row["key"], row["where"])),
        "unused_masks": list(source.unused_masks),
        "foreign_files": list(source.foreign_files),
        "unused_splits": list(source.unused_splits),
        "conventions": dataclasses.asdict(source.conventions),
    }


def format_counts(counts: dict[str, int]) -> str:
    """The number of pairs of each split as text.

    Example:
        >>> format_counts({"validation": 1, "train": 3})
        '4 pairs (3 train, 1 validation)'
    """
    return f"{sum(counts.values())} pairs ({', '.join(f'{count} {split}' for split, count in sorted(counts.items()))})"


def quarantine_row(split: str, key: str, image: str, mask: str, error: PairError) -> dict[str, str]:
    """The record of a pair that cannot be used: which pair, and the name, what, where and cure of its error."""
    row = {"split": split, "key": printable(key), "image": image, "mask": mask}
    return row | {"name": error.name, "what": error.what, "where": error.where, "cure": error.cure}


def read_outputs(read, row):
    """Yields what a reader emits for one element, and counts it as done.

    Args:
        read: `read() -> (split, key, image_bytes, label_map_bytes, reason)`; `reason` is why the image becomes a PNG, or None.
        row: `row(error) -> quarantine_row` of a pair whose `read` raises a PairError.
    """
    progress.advance()
    try:
        *pair, reason = read()
    except PairError as error:
        yield beam.pvalue.TaggedOutput("quarantined", row(error))
    else:
        yield tuple(pair)
        if reason:
            yield beam.pvalue.TaggedOutput("reencoded", reason)


class Elements:
    """The elements of a source as a list, and how they are dealt to shards.

    Args:
        elements: in order.
        name: of an element: its split and its key.
        place: of an element; neighbours of one place stay together in order, since they are read from one file. None, or a place
            that is None, lets elements go their own ways.
    """

    unpack = iter
    """From the part of a shard to its elements; picklable."""

    def __init__(self, elements: list, name, place=None):
        self._elements, self._name, self._place = elements, name, place

    def stream(self) -> list:
        """The elements without Beam."""
        return self._elements

    def deal(self, shards: dict[str, int]) -> Iterator[tuple[str, int, list]]:
        """Deals the elements to shards.

        Args:
            shards: their number in each split.

        Yields:
            (split, number of the shard, its part).
        """
        splits = collections.defaultdict(list)
        for element in self._elements:
            splits[self._name(element)[0]].append(element)
        for split, number in shards.items():
            groups = batch_neighbours(splits[split], self._place, min(MAX_NEIGHBOURS, -(-len(splits[split]) // number)))
            named = ((self._name(group[0])[1], group) for group in groups)
            for shard, dealt in enumerate(prepared.deal(named, number)):
                yield split, shard, list(itertools.chain.from_iterable(dealt))


def batch_neighbours(elements: list, place, limit: int) -> list[list]:
    """Elements in lists of at most `limit` of one place, in order.

    Example:
        >>> batch_neighbours(["a1", "a2", "a3", "b1"], lambda element: element[0], 2)
        [['a1', 'a2'], ['a3'], ['b1']]
    """
    batches, last = [], None
    for element in elements:
        here = place(element) if place else None
        if here is not None and here == last and len(batches[-1]) < limit:
            batches[-1].append(element)
        else:
            batches.append([element])
        last = here
    return batches
