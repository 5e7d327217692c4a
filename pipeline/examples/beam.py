"""What the components share of Apache Beam: options, prepared data sets as collections, and sums of matrices.

`WriteExamples` writes the shards of a prepared data set, whose bytes depend on its examples alone and not on runner or number of
workers; `ReadExamples` and `ReadSplits` read one. One element is one pair, never a list of files. How such a data set lies on
disk is known to `pipeline.examples.prepared`. No TensorFlow, so workers start in a second.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import json
import logging
import os
import pathlib
import uuid

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.examples.prepared import from_record, shard_name, shards_of, splits, to_record, write_records

RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
"""By name, since Beam's own default tries Prism first, and Prism is a download."""


def pipeline_options(argv: list[str] = ()) -> PipelineOptions:
    """Beam's options from its command line, with this project's defaults in front.

    By default Beam runs in this process with a thread for each core. Pillow and zlib let go of Python's lock, so threads help:
    ingesting the 468 CamVid pairs took 5.8 s with one thread, 3.8 s with two, 7.7 s with two processes
    (`--direct_running_mode=multi_processing`), which start and exchange bytes for longer than they gain, and 7.6 s with Beam's
    `multi_threading`, which sends everything through gRPC; 2 cores, 0.75 to 0.95 GiB, and 1.3 GiB with gRPC.

    Args:
        argv: what followed the bare `--`, for example ["--direct_num_workers=2"].

    Raises:
        ValueError: Beam does not know an option, or not that value; the message names the nearest right one.
    """
    argv = list(argv)
    PipelineOptions(argv).get_all_options(add_extra_args_fn=lambda parser: _refuse_unknown(parser, argv))
    return PipelineOptions([f"--runner={RUNNER}", f"--direct_num_workers={os.cpu_count()}", *argv])


def _without_advice(record: logging.LogRecord) -> bool:
    """Leaves out Beam's advice that several threads in one process have no effect: they have, see `pipeline_options`."""
    return "direct_running_mode should be" not in record.getMessage()


logging.getLogger("apache_beam.runners.portability.fn_api_runner.fn_runner").addFilter(_without_advice)
logging.getLogger("apache_beam.runners.common").setLevel(
    logging.CRITICAL
)  # logs each error with its traceback, then raises it


def _refuse_unknown(parser: argparse.ArgumentParser, argv: list[str]):
    def refuse(message):
        raise ValueError(f"Beam's options must be right. Received: {' '.join(argv)} [{message}].")

    parser.error = refuse  # argparse would end the process
    _, unknown = parser.parse_known_args(argv)
    if unknown:
        known = [option for action in parser._actions for option in action.option_strings]
        nearest = difflib.get_close_matches(unknown[0].split("=")[0], known, n=1)
        cure = f" Did you mean {nearest[0]!r}?" if nearest else " What stands before the bare `--` is the pipeline's."
        raise ValueError(f"Unknown option of Beam {unknown[0]!r}. Received: -- {' '.join(argv)}.{cure}")


class WriteExamples(beam.PTransform):
    """Writes (split, key, image_bytes, label_map_bytes) as TFRecord shards of a prepared data set; see `write_metadata`.

    A pair's shard follows from a hash of its key, and keys are in order within a shard: the files depend on the pairs alone.

    Args:
        directory: folder to write into.
        shards: number of files of each split.
    """

    def __init__(self, directory: pathlib.Path, shards: dict[str, int]):
        super().__init__()
        self._directory, self._shards = pathlib.Path(directory), shards

    def expand(self, examples):
        every = [((split, shard), ("", b"")) for split, number in self._shards.items() for shard in range(number)]
        records = examples | "Serialise" >> beam.ParDo(_Serialise(self._shards))
        empty = examples.pipeline | "Name every shard" >> beam.Create(every)  # a shard without pairs is a file too
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
        position = int.from_bytes(hashlib.sha256(key.encode()).digest()[8:16], "big")  # split_of takes the first 8
        yield (split, position % self._shards[split]), (key, to_record(key, image_bytes, label_map_bytes))


class _WriteShard(beam.DoFn):
    """((split, shard), [(key, record)]) to a file, which gets its name when it is whole."""

    def __init__(self, directory, shards):
        self._directory, self._shards = directory, shards

    def process(self, group):
        (split, shard), records = group
        path = self._directory / shard_name(split, shard, self._shards[split])
        unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # a runner may try twice at once
        write_records(unfinished, (record for _, record in sorted(records) if record))
        unfinished.replace(path)
        yield path.name


class ReadExamples(beam.PTransform):
    """The pairs of one split of a prepared data set: (key, image_bytes, label_map_bytes), in no fixed order.

    Args:
        directory: of the data set.
        split: train, validation or test.
    """

    def __init__(self, directory: pathlib.Path, split: str):
        super().__init__()
        self._files = [str(path) for path in shards_of(directory)[split]]

    def expand(self, pipeline):
        return (
            pipeline
            | "Name files" >> beam.Create(self._files)
            | "Read records" >> beam.io.ReadAllFromTFRecord()
            | "Spread" >> beam.Reshuffle()  # else one worker does a whole file
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
            | f"Name {split}" >> beam.ParDo(_In(split))
            for split in splits(self._directory)
        ] | "Join" >> beam.Flatten()


class _In(beam.DoFn):
    """Puts the split in front of what `ReadExamples` yields."""

    def __init__(self, split):
        self._split = split

    def process(self, example):
        yield self._split, *example


class SumCounts(beam.CombineFn):
    """Sums arrays of counts of one shape, int64."""

    def create_accumulator(self):
        return np.int64(0)

    def add_input(self, accumulator, counts):
        return accumulator + counts

    def merge_accumulators(self, accumulators):
        return sum(accumulators, np.int64(0))

    def extract_output(self, accumulator):
        return accumulator


class Collect(beam.PTransform):
    """Brings a small collection of JSON values into the submitting process, whatever the runner: see `collected`.

    Args:
        file: a path that every worker can write.
    """

    def __init__(self, file: pathlib.Path):
        super().__init__()
        self._file = str(file)

    def expand(self, values):
        return (
            values
            | "As JSON" >> beam.Map(json.dumps)
            | "Write lines" >> beam.io.WriteToText(self._file, shard_name_template="")
        )


def collected(file: pathlib.Path) -> list:
    """What `Collect` wrote to `file`, which is then removed; in the order of its JSON, since Beam keeps none."""
    lines = sorted(file.read_text(encoding="utf-8").splitlines())
    file.unlink()
    return [json.loads(line) for line in lines]
