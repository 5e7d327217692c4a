"""Small results that come back from Beam workers: sums of counts, and rows of JSON."""

from __future__ import annotations

import json
import pathlib

import apache_beam as beam
import numpy as np


class SumCounts(beam.CombineFn):
    """Sums int64 arrays of one shape."""

    def create_accumulator(self):
        return np.int64(0)

    def add_input(self, accumulator, counts):
        return accumulator + counts

    def merge_accumulators(self, accumulators):
        return sum(accumulators, np.int64(0))

    def extract_output(self, accumulator):
        return accumulator


class Collect(beam.PTransform):
    """Writes a small collection of JSON values to a file for the submitting process: see `read_collected`.

    Args:
        file: path that every worker can write to.
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
    """Reads and removes a file of `Collect`; the values are sorted by their JSON, since Beam keeps no order."""
    lines = sorted(file.read_text(encoding="utf-8").splitlines())
    file.unlink()
    return [json.loads(line) for line in lines]
