"""Small results that come back from workers."""

import apache_beam as beam
import numpy as np

from pipeline.examples.collecting import Collect, SumCounts, read_collected
from pipeline.examples.runner_options import pipeline_options


def test_matrices_are_summed_beyond_two_to_the_31():
    combine = SumCounts()
    large = np.array([[2**40, 1], [0, 2]])
    parts = [combine.create_accumulator() for _ in range(3)]
    parts = [combine.add_input(combine.add_input(part, large), large) for part in parts]
    total = combine.extract_output(combine.merge_accumulators(parts))
    assert (total.dtype, total.tolist()) == (np.int64, [[6 * 2**40, 6], [0, 12]])


def test_collected_values_are_sorted_and_the_file_is_removed(tmp_path):
    for number, values in enumerate(([["b", 1], ["a", 2]], [["a", 2], ["b", 1]], [])):
        file = tmp_path / f"{number}.jsonl"
        with beam.Pipeline(options=pipeline_options()) as pipeline:
            _ = pipeline | beam.Create(values) | Collect(file)
        assert read_collected(file) == sorted(values)
        assert list(tmp_path.iterdir()) == []
