"""example_gen: any source of image and mask pairs becomes a prepared data set at the original size.

Writes the TFDS directory, `labels.json` (the classes) and `ingestion.json`: pairs per split, channels, images re-encoded as PNG
by reason, masks without an image, other files, splits of unknown names, `conventions` (how files are read that leave it open),
`place` (the URL of data in an object store), and the quarantined pairs with paths, fault and cure; `quarantine/` holds copies of
them. Images without masks, of another folder, get a label map that is void everywhere and the split `unlabelled`, and are counted
as `unlabelled`. A source that is wrong as a whole is refused before Beam starts, one without a usable pair after it. Beam;
TensorFlow only for TFDS sources.
"""

from __future__ import annotations

import collections
import itertools
import os
import pathlib

from kseg.pairs.channels import PixelKind
from kseg.pairs.split_names import SAME, TARGET, UNLABELLED
from pipeline.engine import progress
from pipeline.engine.files import write_json
from pipeline.examples import prepared
from pipeline.examples.parts import worked_on
from pipeline.examples.quarantine import copy_quarantined
from pipeline.examples.sources.opening import open_source
from pipeline.examples.sources.source import Source, describe_source, ingestion_record
from pipeline.examples.sources.unlabelled import open_unlabelled, unlabelled_record
from pipeline.settings.example_gen import ExampleGen
from pipeline.storage.copies import name_by_url, url_of
from pipeline.validation.anomalies import check_usable


def example_gen(
    out: pathlib.Path,
    config: ExampleGen,
    *,
    source: pathlib.Path | str,
    classes: pathlib.Path | None = None,
    target: pathlib.Path | str | None = None,
    unlabelled: pathlib.Path | str | None = None,
    beam_options: list[str] = (),
):
    """Reads every pair of the source, and every image without a mask, and stores it.

    Args:
        out: folder to write to.
        config: void value, shares of the splits, and what else a source needs.
        source: a folder or file of pairs, "tfds:<name>[:<configuration>]", or "streets".
        classes: table of classes; None: classes.csv in the folder, or next to the CSV file.
        target: folder of images without masks, of another domain.
        unlabelled: folder of images without masks, of the same domain.
        beam_options: Beam's command line.

    Raises:
        ValueError: a source is wrong as a whole, the classes are not given, or no pair can be used, or no image without a mask.
    """
    opened = open_source(source, config, classes)
    folder, flag, domain = _without_masks(target, unlabelled)
    others = open_unlabelled(folder, flag, config, opened) if folder else None
    sources = [opened, others] if others else [opened]
    for line in (line for one in sources for line in describe_source(one)):
        progress.print_message(line)
    counts, sizes = _merge(one.counts for one in sources), _merge(one.sizes for one in sources)
    progress.set_total(sum(counts.values()))
    shards = {split: prepared.shard_count(count, sizes[split]) for split, count in counts.items()}
    parts = (one.elements.deal({split: shards[split] for split in one.counts}) for one in sources)
    work = _WriteShard(out, shards, sources)
    reads = [place for place in (source, folder) if place and os.path.exists(place)]  # otherwise not on this disk
    reads += opened.reads
    usable, reencoded, quarantined = collections.Counter(), collections.defaultdict(collections.Counter), []
    with worked_on(out, itertools.chain.from_iterable(parts), work, beam_options, reads) as rows:
        for split, pairs, reasons, faulty in rows:
            usable[split] += pairs
            reencoded[split == UNLABELLED].update(reasons)
            quarantined += faulty
    read = usable + collections.Counter(row["split"] for row in quarantined)
    for split, count in counts.items():
        prepared.check_complete(f"pairs of {split}, or the reasons against them", read[split], count, out)
    faults = [fault for one in sources for fault in one.faults]
    of_pairs, of_others = (dict(sorted(reencoded[alone].items())) for alone in (False, True))
    ingestion = ingestion_record(opened, of_pairs, [*faults, *quarantined])
    if others:
        ingestion["unlabelled"] = unlabelled_record(others, domain, usable[UNLABELLED], of_others)
        faulty = [row for row in ingestion["quarantined"] if row["split"] == UNLABELLED]
        check_usable(usable[UNLABELLED], faulty, "image", f" of {flag}")
    if url := url_of(source):
        ingestion = {"place": url} | name_by_url(ingestion, source)
    if folder and (url := url_of(folder)):
        ingestion = name_by_url(ingestion, folder)
        ingestion["unlabelled"]["place"] = url
    sides = _merge(one.sides for one in sources)
    _write_metadata(out, opened, ingestion, usable, sides, config.max_pixels)


def _without_masks(target, unlabelled) -> tuple[pathlib.Path | None, str, str]:
    """The folder of images without masks, the option that names it, and of which domain they are."""
    flag, domain = ("--target", TARGET) if target else ("--unlabelled", SAME)
    place = target or unlabelled
    return place and pathlib.Path(place), flag, domain


def _merge(tables) -> dict:
    """The rows of all tables."""
    return {name: value for table in tables for name, value in table.items()}


class _WriteShard:
    """Reads the pairs of a shard and writes them: the work of `parts.worked_on`.

    Args:
        out: folder to write to.
        shards: their number in each split.
        sources: of the pairs, each of splits of its own.
    """

    def __init__(self, out: pathlib.Path, shards: dict[str, int], sources: list[Source]):
        self._out, self._shards = out.absolute(), shards
        self._readers = {split: (one.elements.unpack, one.reader) for one in sources for split in one.counts}

    def __call__(self, part):
        """Yields (split, number of pairs, their reasons to be re-encoded, rows of the quarantined ones)."""
        split, shard, elements = part
        found = {"pairs": 0, "reencoded": collections.Counter(), "quarantined": []}
        path = self._out / prepared.shard_name(split, shard, self._shards[split])
        prepared.write_records(path, self._records(split, elements, found))
        yield split, found["pairs"], dict(found["reencoded"]), found["quarantined"]

    def _records(self, split, elements, found):
        unpack, reader = self._readers[split]
        for element in unpack(elements):
            for output in reader.process(element):
                if isinstance(output, tuple):
                    found["pairs"] += 1
                    yield prepared.to_record(*output[1:])
                elif output.tag == "reencoded":
                    found["reencoded"][output.value] += 1
                else:
                    found["quarantined"].append(output.value)


def _write_metadata(out, opened: Source, ingestion: dict, usable: dict[str, int], sides: dict, max_pixels: int):
    """Writes everything but the shards."""
    rows = ingestion["quarantined"]
    of_pairs = [row for row in rows if row["split"] != UNLABELLED]
    check_usable(sum(number for split, number in usable.items() if split != UNLABELLED), of_pairs)
    kind = PixelKind(ingestion["channels"], opened.conventions.dtype)
    prepared.write_metadata(out, kind, "Image and mask pairs at their original size.", usable)
    (out / "labels.json").write_text(opened.labels.to_json(), encoding="utf-8")
    ingestion["quarantined"] = copy_quarantined(out / "quarantine", rows, sides, max_pixels)
    pairs = {split: number for split, number in prepared.split_sizes(out).items() if split != UNLABELLED}
    ingestion = {"pairs": pairs, **ingestion}
    write_json(out / "ingestion.json", ingestion)
