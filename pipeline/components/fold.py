"""fold: the pairs of one fold of a cross-validation as a prepared data set; those held out are its test split.

All pairs but those of the test split are dealt among the folds (`pipeline/examples/folds.py`). Those of the other folds are the
training split. There is no validation split: an epoch chosen on the pairs held out would score too well on them. Beam.
"""

from __future__ import annotations

import pathlib
import shutil

import apache_beam as beam

from kseg.pairs.channels import PixelKind
from pipeline.engine import progress
from pipeline.engine.files import read_json
from pipeline.examples import prepared
from pipeline.examples.folds import assign_folds
from pipeline.examples.records import WriteExamples
from pipeline.examples.runner_options import pipeline_options
from pipeline.settings.fold import Fold

TEST = "test"


def fold(
    out: pathlib.Path,
    config: Fold,
    *,
    examples: pathlib.Path,
    statistics: pathlib.Path,
    beam_options: list[str] = (),
):
    """Writes the data set, and copies of `labels.json` and `ingestion.json`.

    The test split of the examples is left out. A key that several splits have is written with its split before it.

    Args:
        out: folder to write to.
        config: number of folds, and which one.
        examples: artifact of example_gen.
        statistics: artifact of statistics_gen of these examples.
        beam_options: Beam's command line.

    Raises:
        ValueError: there are fewer pairs than folds.
    """
    places = [
        (split, str(path), start, length)
        for split, paths in prepared.shard_paths(examples).items()
        if split != TEST
        for path in paths
        for start, length in prepared.record_places(path)
    ]
    keys = [prepared.from_record(prepared.read_record(*place))[0] for _, *place in places]
    names = [f"{split}/{key}" for (split, *_), key in zip(places, keys, strict=True)]
    folds = assign_folds(names, config.folds)
    written = names if len(set(keys)) < len(keys) else keys
    chosen = [
        (TEST if folds[name] == config.number else "train", key, *place)
        for name, key, (_, *place) in zip(names, written, places, strict=True)
    ]
    progress.set_total(len(chosen))
    counts = {split: sum(row[0] == split for row in chosen) for split in ("train", TEST)}
    shards = {split: prepared.shard_count(count, config.examples_per_shard) for split, count in counts.items()}
    with beam.Pipeline(options=pipeline_options(beam_options)) as pipeline:
        _ = (
            pipeline
            | "Name pairs" >> beam.Create(chosen)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(ReadPair())
            | "Write" >> WriteExamples(out, shards)
        )
    kind = PixelKind.recorded(read_json(statistics / "statistics.json")["splits"]["train"])
    prepared.write_metadata(out, kind, f"Fold {config.number + 1} of {config.folds}: held out as test.", counts)
    for name in ("labels.json", "ingestion.json"):
        shutil.copyfile(examples / name, out / name)


class ReadPair(beam.DoFn):
    """(split, key, path, start, length) to (split, key, image_bytes, label_map_bytes)."""

    def process(self, row):
        split, key, *place = row
        _, image_bytes, label_map_bytes = prepared.from_record(prepared.read_record(*place))
        yield split, key, image_bytes, label_map_bytes
        progress.advance()
