"""example_gen: any source of image and mask pairs becomes a prepared data set at the original size.

Writes the TFDS directory, `labels.json` (the classes) and `ingestion.json`: pairs per split, channels, images re-encoded as PNG
by reason, masks without an image, other files, splits of unknown names, `conventions` (how files are read that leave it open),
and the quarantined pairs with paths, fault and cure; `quarantine/` holds copies of them. A source that is wrong as a whole is
refused before Beam starts, one without a usable pair after it. Beam; TensorFlow only for TFDS sources.
"""

from __future__ import annotations

import collections
import pathlib

import apache_beam as beam

from kseg.pairs.channels import PixelKind
from pipeline.engine import progress
from pipeline.engine.files import write_json
from pipeline.examples import prepared
from pipeline.examples.collecting import Collect, read_collected
from pipeline.examples.quarantine import copy_quarantined
from pipeline.examples.records import WriteExamples
from pipeline.examples.runner_options import pipeline_options
from pipeline.examples.sources.opening import open_source
from pipeline.examples.sources.source import Source, describe_source, ingestion_record
from pipeline.settings.example_gen import ExampleGen
from pipeline.validation.anomalies import describe_kinds, quarantined_pair


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
        out: folder to write to.
        config: void value, shares of the splits, and what else a source needs.
        source: a folder or file of pairs, "tfds:<name>[:<configuration>]", or "streets".
        classes: table of classes; None: classes.csv in the folder, or next to the CSV file.
        beam_options: Beam's command line.

    Raises:
        ValueError: the source is wrong as a whole, the classes are not given, or no pair can be used.
    """
    opened = open_source(source, config, classes)
    for line in describe_source(opened):
        progress.print_message(line)
    progress.set_total(sum(opened.counts.values()))
    shards = {split: prepared.shard_count(count, config.examples_per_shard) for split, count in opened.counts.items()}
    reencoded, quarantined = out / "reencoded.jsonl", out / "quarantined.jsonl"
    with beam.Pipeline(options=pipeline_options(beam_options)) as pipeline:
        read = (
            pipeline
            | "Elements" >> opened.elements
            | "Read" >> beam.ParDo(opened.reader).with_outputs("reencoded", "quarantined", main="pairs")
        )
        _ = read.pairs | "Write" >> WriteExamples(out, shards)
        _ = (
            read.reencoded
            | "Count reasons" >> beam.combiners.Count.PerElement()
            | "Collect reasons" >> Collect(reencoded)
        )
        _ = read.quarantined | "Collect quarantined" >> Collect(quarantined)
    found = read_collected(quarantined)
    lost = collections.Counter(row["split"] for row in found)
    usable = {split: count - lost[split] for split, count in opened.counts.items()}
    ingestion = ingestion_record(opened, dict(read_collected(reencoded)), [*opened.faults, *found])
    _write_metadata(out, opened, ingestion, usable, config.max_pixels)


def _write_metadata(out, opened: Source, ingestion: dict, usable: dict[str, int], max_pixels: int):
    """Writes everything but the shards."""
    rows = ingestion["quarantined"]
    if not any(usable.values()):
        kinds = "\n  ".join(describe_kinds(map(quarantined_pair, rows)))
        raise ValueError(f"At least one pair must be usable. Received: {len(rows)} pairs that are not:\n  {kinds}")
    kind = PixelKind(ingestion["channels"], opened.conventions.dtype)
    prepared.write_metadata(out, kind, "Image and mask pairs at their original size.", usable)
    (out / "labels.json").write_text(opened.labels.to_json(), encoding="utf-8")
    ingestion["quarantined"] = copy_quarantined(out / "quarantine", rows, opened.sides, max_pixels)
    ingestion = {"pairs": prepared.split_sizes(out), **ingestion}
    write_json(out / "ingestion.json", ingestion)
