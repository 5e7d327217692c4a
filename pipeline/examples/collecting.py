"""Small results that come back from Beam workers: sums of counts, and rows of JSON."""

from __future__ import annotations

import json
import pathlib

import apache_beam as beam
import numpy as np


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
    """Brings a small collection of JSON values into the submitting process, whatever the runner: see `read_collected`.

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


def read_collected(file: pathlib.Path) -> list:
    """What `Collect` wrote to `file`, which is then removed; in the order of its JSON, since Beam keeps none."""
    lines = sorted(file.read_text(encoding="utf-8").splitlines())
    file.unlink()
    return [json.loads(line) for line in lines]
