"""Prepared data sets as Beam collections, one element per pair.

`WriteExamples` writes the shards, whose bytes depend on the examples alone, not on the runner or the number of workers;
`ReadExamples` and `ReadSplits` read them. `pipeline.examples.prepared` knows the files. No TensorFlow, so workers start in a
second.
"""

from __future__ import annotations

import hashlib
import pathlib

import apache_beam as beam

from pipeline.engine.files import atomic
from pipeline.examples.prepared import from_record, shard_name, shard_paths, split_sizes, to_record, write_records


class WriteExamples(beam.PTransform):
    """Writes (split, key, image_bytes, label_map_bytes) as the TFRecord shards of a prepared data set.

    A hash of the key assigns the shard, and keys are sorted within a shard, so the files depend only on the pairs. Call
    `write_metadata` afterwards.

    Args:
        directory: folder to write to.
        shards: number of files per split.
    """

    def __init__(self, directory: pathlib.Path, shards: dict[str, int]):
        super().__init__()
        self._directory, self._shards = pathlib.Path(directory), shards

    def expand(self, examples):
        shards = [((split, shard), ("", b"")) for split, number in self._shards.items() for shard in range(number)]
        records = examples | "Serialise" >> beam.ParDo(_Serialise(self._shards))
        empty = examples.pipeline | "Name every shard" >> beam.Create(shards)  # an empty shard is a file too
        return (
            (records, empty)
            | "Join" >> beam.Flatten()
            | "Gather shards" >> beam.GroupByKey()
            | "Write shards" >> beam.ParDo(_WriteShard(self._directory, self._shards))
        )


class _Serialise(beam.DoFn):
    """(split, key, image_bytes, label_map_bytes) to ((split, shard), (key, record))."""

    def __init__(self, shards):
        self._shards = shards

    def process(self, example):
        split, key, image_bytes, label_map_bytes = example
        position = int.from_bytes(hashlib.sha256(key.encode()).digest()[8:16], "big")  # split_of_key takes the first 8
        yield (split, position % self._shards[split]), (key, to_record(key, image_bytes, label_map_bytes))


class _WriteShard(beam.DoFn):
    """((split, shard), [(key, record)]) to a file."""

    def __init__(self, directory, shards):
        self._directory, self._shards = directory, shards

    def process(self, group):
        (split, shard), records = group
        path = self._directory / shard_name(split, shard, self._shards[split])
        with atomic(path) as unfinished:  # a runner may run two attempts at once
            write_records(unfinished, (record for _, record in sorted(records) if record))
        yield path.name


class ReadExamples(beam.PTransform):
    """The pairs of one split of a prepared data set: (key, image_bytes, label_map_bytes), in no fixed order.

    Args:
        directory: of the data set.
        split: one of "train", "validation", "test".
    """

    def __init__(self, directory: pathlib.Path, split: str):
        super().__init__()
        self._files = [str(path) for path in shard_paths(directory)[split]]

    def expand(self, pipeline):
        return (
            pipeline
            | "Name files" >> beam.Create(self._files)
            | "Read records" >> beam.io.ReadAllFromTFRecord()
            | "Spread" >> beam.Reshuffle()  # otherwise one worker gets a whole file
            | "Parse" >> beam.Map(from_record)
        )


class ReadSplits(beam.PTransform):
    """All pairs of a prepared data set: (split, key, image_bytes, label_map_bytes), in no fixed order.

    Args:
        directory: of the data set.
    """

    def __init__(self, directory: pathlib.Path):
        super().__init__()
        self._directory = directory

    def expand(self, pipeline):
        return [
            pipeline
            | f"Read {split}" >> ReadExamples(self._directory, split)
            | f"Name {split}" >> beam.ParDo(_PrependSplit(split))
            for split in split_sizes(self._directory)
        ] | "Join" >> beam.Flatten()


class _PrependSplit(beam.DoFn):
    """Adds the split to a pair of `ReadExamples`."""

    def __init__(self, split):
        self._split = split

    def process(self, example):
        yield self._split, *example
