"""example_gen: any source of image and mask pairs becomes a prepared data set at the original size.

Leaves the TFDS directory, `labels.json` (the classes) and `ingestion.json`: pairs of each split, channels, images that were
stored anew as PNG by reason, masks without an image, files that are neither, and the pairs that were set aside, with their paths,
the fault and its cure; `quarantine/` holds copies of them. A source that is wrong as a whole is refused before Beam starts, one
without a single usable pair after it. Beam; TensorFlow only for TFDS sources.
"""

from __future__ import annotations

import json
import pathlib

import apache_beam as beam

from pipeline.engine import progress
from pipeline.examples import beam as shards
from pipeline.examples import prepared, sources
from pipeline.examples.quarantine import keep
from pipeline.settings.example_gen import ExampleGen

SHOWN = 20  # reasons in a message


def example_gen(
    out: pathlib.Path,
    config: ExampleGen,
    *,
    source: pathlib.Path | str,
    classes: pathlib.Path | None = None,
    beam_options: list[str] = (),
):
    """Reads every pair of the source and stores it.

    Args:
        out: folder to write below.
        config: void value, shares of splits, and what else a source needs.
        source: a folder or CSV file of pairs, "tfds:<name>[:<configuration>]", or "streets".
        classes: table of classes; None: classes.csv in the folder, or beside the CSV file.
        beam_options: Beam's command line.

    Raises:
        ValueError: the source is wrong as a whole, the classes are not given, or no pair can be used.
    """
    given = _source(source, config, classes)
    progress.total(sum(given.counts.values()))
    numbers = {split: prepared.shard_count(count, config.examples_per_shard) for split, count in given.counts.items()}
    reencoded, quarantined = out / "reencoded.jsonl", out / "quarantined.jsonl"
    with beam.Pipeline(options=shards.pipeline_options(beam_options)) as pipeline:
        pairs = (
            pipeline
            | "Elements" >> given.elements
            | "Read" >> beam.ParDo(given.reader).with_outputs("reencoded", "quarantined", main="pairs")
        )
        _ = pairs.pairs | "Write" >> shards.WriteExamples(out, numbers)
        _ = (
            pairs.reencoded
            | "Count reasons" >> beam.combiners.Count.PerElement()
            | "Collect reasons" >> shards.Collect(reencoded)
        )
        _ = pairs.quarantined | "Collect quarantined" >> shards.Collect(quarantined)
    rows = [*given.faults, *shards.collected(quarantined)]
    ingestion = {
        "channels": given.channels,
        "reencoded": dict(shards.collected(reencoded)),
        "quarantined": sorted(rows, key=lambda row: (row["split"], row["key"], row["where"])),
        "unused_masks": list(given.unused_masks),
        "foreign_files": list(given.foreign_files),
    }
    _publish(out, given, ingestion)


def _source(source, config, classes) -> sources.Source:
    if str(source) == "streets":
        return sources.generated_streets(config, classes)
    if str(source).startswith("tfds:"):
        return sources.prepared_tfds(str(source).removeprefix("tfds:"), config, classes)
    return sources.folder(pathlib.Path(source), config, classes)


def _publish(out, given: sources.Source, ingestion: dict):
    """Writes what stands beside the shards."""
    rows = ingestion["quarantined"]
    if not any(pairs for files in prepared.measured(out).values() for pairs, _ in files):
        reasons = "\n".join(f"{row['what']} [{row['where']}]. {row['cure']}" for row in rows[:SHOWN])
        raise ValueError(f"At least one pair must be usable. Received: {len(rows)} pairs that are not:\n{reasons}")
    prepared.write_metadata(out, ingestion["channels"], "Image and mask pairs at their original size.")
    (out / "labels.json").write_text(given.labels.to_json(), encoding="utf-8")
    ingestion["quarantined"] = keep(out / "quarantine", rows, given.files)
    ingestion = {"pairs": prepared.splits(out), **ingestion}
    (out / "ingestion.json").write_text(json.dumps(ingestion, indent=1, ensure_ascii=False), encoding="utf-8")
