"""statistics_gen: counts over a prepared data set, per split and in total, and which images repeat others.

numpy and Pillow in Beam workers, no TensorFlow.
"""

from __future__ import annotations

import pathlib

import apache_beam as beam

from kseg.labels import LabelMap
from kseg.pairs.image_files import decode_image, encoding_of
from pipeline.engine import progress
from pipeline.engine.files import read_json, write_json
from pipeline.examples import prepared
from pipeline.examples.collecting import Collect, read_collected
from pipeline.examples.records import ReadSplits
from pipeline.examples.runner_options import pipeline_options
from pipeline.settings.statistics_gen import StatisticsGen
from pipeline.validation.data_set import count_pair, data_set_statistics
from pipeline.validation.statistics import empty_counts, summarize

TOTAL = "all"


def statistics_gen(out: pathlib.Path, config: StatisticsGen, *, examples: pathlib.Path, beam_options: list[str] = ()):
    """Writes `out/statistics.json`.

    It holds the names of the `classes`; `summarize` of each of the `splits` and of `all`; `unusable`, the number of quarantined
    pairs per fault; `image_range` of 16-bit images; `duplicates` and `near_duplicates` of `pipeline.validation.image_hashes`;
    and, as "split/key", the images with `empty_masks`, entirely void, and `tiny_images`, with a side below `config.tiny_side`.

    Args:
        out: folder to write to.
        config: what counts as a near duplicate, and as tiny.
        examples: artifact of example_gen.
        beam_options: Beam's command line.
    """
    labels = LabelMap.load(examples)
    progress.set_total(sum(prepared.split_sizes(examples).values()))
    summaries, images = _count(out, examples, labels.num_classes, beam_options)
    prepared.check_complete("rows of pairs", len(images), sum(prepared.split_sizes(examples).values()), out)
    ingestion = read_json(examples / "ingestion.json")
    statistics = data_set_statistics(
        labels,
        {split: summary for split, summary in summaries.items() if split != TOTAL},
        summaries[TOTAL],
        images,
        ingestion["quarantined"],
        near_duplicate_bits=config.near_duplicate_bits,
        tiny_side=config.tiny_side,
    )
    statistics["image_range"] = ingestion["conventions"]["image_range"]
    write_json(out / "statistics.json", statistics)


def _count(out, examples, num_classes, beam_options) -> tuple[dict, list[dict]]:
    """Statistics by split, TOTAL among them, and a row for each image, in order."""
    counts, rows = out / "counts.jsonl", out / "images.jsonl"
    with beam.Pipeline(options=pipeline_options(beam_options)) as pipeline:
        counted = (
            pipeline
            | "Read" >> ReadSplits(examples)
            | "Count" >> beam.ParDo(CountExample(num_classes)).with_outputs("counts", main="images")
        )
        _ = (
            counted.counts
            | "Sum" >> beam.CombinePerKey(SumExampleCounts(num_classes))
            | "Summarize" >> beam.MapTuple(_summarize)
            | "Collect" >> Collect(counts)
        )
        _ = counted.images | "Collect images" >> Collect(rows)
    return dict(read_collected(counts)), read_collected(rows)


def _summarize(split, counts):
    return split, summarize(counts)


class CountExample(beam.DoFn):
    """(split, key, image_bytes, label_map_bytes) to a row, and on output "counts" to (split, counts) and (TOTAL, counts).

    The row is that of `pipeline.validation.data_set.count_pair`.
    """

    def __init__(self, num_classes: int):
        self._num_classes = num_classes

    def process(self, example):
        split, key, image_bytes, label_map_bytes = example
        image, label_map = decode_image(image_bytes), decode_image(label_map_bytes)[..., 0]
        row, counts = count_pair(split, key, image, label_map, self._num_classes, encoding_of(image_bytes))
        progress.advance()
        for part in (split, TOTAL):
            yield beam.pvalue.TaggedOutput("counts", (part, counts))
        yield row


class SumExampleCounts(beam.CombineFn):
    """Sums `ExampleCounts`."""

    def __init__(self, num_classes: int):
        self._num_classes = num_classes

    def create_accumulator(self):
        return empty_counts(self._num_classes)

    def add_input(self, accumulator, counts):
        return accumulator + counts

    def merge_accumulators(self, accumulators):
        return sum(accumulators, empty_counts(self._num_classes))

    def extract_output(self, accumulator):
        return accumulator
