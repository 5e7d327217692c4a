"""example_gen: any source of image and mask pairs becomes a prepared data set at the original size.

Writes the TFDS directory, `labels.json` (the classes) and `ingestion.json`: pairs per split, channels, images re-encoded as PNG
by reason, masks without an image, other files, splits of unknown names, `conventions` (how files are read that leave it open),
`place` (the URL of data in an object store), and the quarantined pairs with paths, fault and cure; `quarantine/` holds copies of
them. A source that is wrong as a whole is refused before Beam starts, one without a usable pair after it. Beam; TensorFlow only
for TFDS sources.
"""

from __future__ import annotations

import collections
import os
import pathlib

from kseg.pairs.channels import PixelKind
from pipeline.engine import progress
from pipeline.engine.files import write_json
from pipeline.examples import prepared
from pipeline.examples.parts import worked_on
from pipeline.examples.quarantine import copy_quarantined
from pipeline.examples.sources.opening import open_source
from pipeline.examples.sources.source import Source, describe_source, ingestion_record
from pipeline.settings.example_gen import ExampleGen
from pipeline.storage.copies import name_by_url, url_of
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
    shards = {split: prepared.shard_count(count, opened.sizes[split]) for split, count in opened.counts.items()}
    work = _WriteShard(out, shards, opened)
    reads = [source] if os.path.exists(source) else []  # otherwise there is no such place on this disk
    usable, reencoded, quarantined = collections.Counter(), collections.Counter(), []
    with worked_on(out, opened.elements.deal(shards), work, beam_options, reads) as rows:
        for split, pairs, reasons, faulty in rows:
            usable[split] += pairs
            reencoded.update(reasons)
            quarantined += faulty
    read = usable + collections.Counter(row["split"] for row in quarantined)
    for split, count in opened.counts.items():
        prepared.check_complete(f"pairs of {split}, or the reasons against them", read[split], count, out)
    ingestion = ingestion_record(opened, dict(sorted(reencoded.items())), [*opened.faults, *quarantined])
    if url := url_of(source):
        ingestion = {"place": url} | name_by_url(ingestion, source)
    _write_metadata(out, opened, ingestion, usable, config.max_pixels)


class _WriteShard:
    """Reads the pairs of a shard and writes them: the work of `parts.worked_on`.

    Args:
        out: folder to write to.
        shards: their number in each split.
        source: of the pairs.
    """

    def __init__(self, out: pathlib.Path, shards: dict[str, int], source: Source):
        self._out, self._shards = out.absolute(), shards
        self._unpack, self._reader = source.elements.unpack, source.reader

    def __call__(self, part):
        """Yields (split, number of pairs, their reasons to be re-encoded, rows of the quarantined ones)."""
        split, shard, elements = part
        found = {"pairs": 0, "reencoded": collections.Counter(), "quarantined": []}
        path = self._out / prepared.shard_name(split, shard, self._shards[split])
        prepared.write_records(path, self._records(elements, found))
        yield split, found["pairs"], dict(found["reencoded"]), found["quarantined"]

    def _records(self, elements, found):
        for element in self._unpack(elements):
            for output in self._reader.process(element):
                if isinstance(output, tuple):
                    found["pairs"] += 1
                    yield prepared.to_record(*output[1:])
                elif output.tag == "reencoded":
                    found["reencoded"][output.value] += 1
                else:
                    found["quarantined"].append(output.value)


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
