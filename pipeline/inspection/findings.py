"""All that `pipeline.inspect` finds out about a source, as one dictionary of JSON values; docs/inspect.md lists its keys."""

from __future__ import annotations

import dataclasses
import pathlib
import time

from kseg.labels import LabelMap
from pipeline.examples.sources.source import Source, ingestion_record
from pipeline.inspection.alignment import check_fits, compare_fits
from pipeline.inspection.file_copies import find_copies
from pipeline.inspection.headers import Headers, read_headers
from pipeline.inspection.reading import TOTAL, Sample, elements_in_order, read_sample
from pipeline.settings.config import Config
from pipeline.validation import image_hashes
from pipeline.validation.anomalies import Anomaly, check_usable, sort_anomalies
from pipeline.validation.checks.all_checks import find_anomalies
from pipeline.validation.checks.pairs import check_quarantined
from pipeline.validation.data_set import data_set_statistics
from pipeline.validation.schema import infer_schema, read_schema

NEED_ALL_PAIRS = (
    "class_missing",
    "class_missing_in_train",
    "single_class",
    "unlabelled_split",
    "skew_of_classes",
    "skew_of_brightness",
)
"""Anomalies that say what does not occur, or how much does: not asserted from a sample."""


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What was found, and what is needed to draw pairs of it.

    Attributes:
        findings: the dictionary, without data, contact_sheet, shown and command.
        source: that was read.
        elements: of the source in the order of names.
        sample: what was read.
    """

    findings: dict
    source: Source
    elements: list
    sample: Sample


def inspect_source(
    source: Source, config: Config, *, seconds: float, seed: int, schema: pathlib.Path | None = None, report=None
) -> Inspection:
    """Looks at a source.

    Args:
        source: opened.
        config: settings of the run that would follow.
        seconds: for reading pairs.
        seed: of the choice of pairs where the time does not suffice for all.
        schema: a frozen one, or None.
        report: called with the numbers of pairs that are read, and of all.

    Raises:
        ValueError: no pair can be used; the message lists the reasons. Or the schema is not one.
    """
    begin = time.monotonic()
    elements = elements_in_order(source)
    headers = read_headers(source.sides.values())
    sample = read_sample(source, elements, seconds, seed, report or (lambda read, total: None))
    check_usable(len(sample.rows), [*source.faults, *sample.quarantined])
    fits = compare_fits(sample.outlines, seed)
    anomalies = sort_anomalies([*_check(source, sample, config, schema), *check_fits(fits)])
    stops = any(anomaly.severity == "stop" for anomaly in anomalies)
    findings = {
        "layout": source.layout,
        "notes": list(source.notes),
        "status": int(stops),
        "pairs": {
            "total": len(source.faults) + sample.total,
            "read": sample.read,
            "quarantined": len(source.faults) + len(sample.quarantined),
        },
        "splits": _splits(source, sample),
        "classes": _classes(source.labels, sample),
        "classes_from": source.classes_from,
        "void": {"value": source.labels.ignore_value, "share": _share(sample, sample.counts[TOTAL].void_pixels)},
        "proposed_classes": None,
        "channels": source.channels,
        "dtype": source.conventions.dtype,
        "headers": _headers(headers, sample),
        "reencoded": dict(sample.reencoded.most_common()),
        "fit": {way: dict(zip(("compared", "better"), pair, strict=True)) for way, pair in vars(fits).items()},
        "anomalies": [dataclasses.asdict(anomaly) for anomaly in anomalies],
        "not_checked": [] if sample.complete else list(NEED_ALL_PAIRS),
        "seconds": round(time.monotonic() - begin, 1),
    }
    return Inspection(findings, source, elements, sample)


def _check(source: Source, sample: Sample, config: Config, schema: pathlib.Path | None) -> list[Anomaly]:
    """The anomalies of validation; from a sample only those that it can show."""
    statistics = data_set_statistics(
        source.labels,
        {split: summary for split, summary in sample.summaries().items() if split != TOTAL},
        sample.summaries()[TOTAL],
        sample.rows,
        [*source.faults, *sample.quarantined],
        near_duplicate_bits=config.statistics_gen.near_duplicate_bits,
        tiny_side=config.statistics_gen.tiny_side,
    )
    frozen = read_schema(schema) if schema else infer_schema(statistics, source.labels)
    usable = {split: split_statistics["images"] for split, split_statistics in statistics["splits"].items()}
    quarantined = [*source.faults, *sample.quarantined] if sample.complete else sample.quarantined
    ingestion = {"pairs": usable} | ingestion_record(source, dict(sample.reencoded), quarantined)
    if not sample.complete:
        statistics = _with_all_copies(statistics, source)
    found = find_anomalies(
        ingestion,
        statistics,
        frozen,
        source.labels,
        config.example_validator,
        place=config.data,
        schema_place=schema or "inferred",
    )
    if sample.complete:
        return found
    unpaired = {"quarantined": list(source.faults), "pairs": dict(source.counts)}
    found += check_quarantined(unpaired, config.example_validator.max_quarantined)
    return [anomaly for anomaly in found if anomaly.name not in NEED_ALL_PAIRS]


def _with_all_copies(statistics: dict, source: Source) -> dict:
    """Statistics of a sample with the numbers of all pairs, and with the copies among all files."""
    rows = {row["image"]: row for row in image_hashes.exact_duplicates(find_copies(source.sides))}
    rows |= {row["image"]: row for row in statistics["duplicates"]}
    splits = {
        split: summary | {"images": source.counts.get(split, summary["images"])}
        for split, summary in statistics["splits"].items()
    }
    return statistics | {"duplicates": list(rows.values()), "splits": splits}


def _splits(source: Source, sample: Sample) -> dict:
    ranks = {split: number for number, split in enumerate(image_hashes.SPLITS)}
    return {
        split: {"pairs": source.counts[split], "read": sum(row["split"] == split for row in sample.rows)}
        for split in sorted(source.counts, key=lambda split: ranks.get(split, len(ranks)))
    }


def _classes(labels: LabelMap, sample: Sample) -> list[dict]:
    pixels, images = sample.counts[TOTAL].classes[:2].tolist()
    train = sample.counts["train"].classes[1].tolist() if "train" in sample.counts else [0] * labels.num_classes
    rows = zip(labels.names, labels.values, labels.colours, pixels, images, train, strict=True)
    return [
        {
            "id": number,
            "name": name,
            "value": value,
            "colour": list(colour),
            "share": _share(sample, count),
            "images": of_images,
            "train_images": of_train,
        }
        for number, (name, value, colour, count, of_images, of_train) in enumerate(rows)
    ]


def _share(sample: Sample, pixels: int) -> float:
    total = sample.counts[TOTAL]
    return pixels / (int(total.classes[0].sum()) + total.void_pixels)


def _headers(headers: Headers, sample: Sample) -> dict:
    """Counts by the headers of files; where there are none, by what was read."""
    sizes, images = headers.sizes, headers.images
    if not sizes:
        sizes = {(width, height): number for (height, width), number in sample.counts[TOTAL].sizes.items()}
    if not images:
        images = sample.counts[TOTAL].formats
    return {
        "read": headers.read or len(sample.rows),
        "sizes": {f"{width}x{height}": n for (width, height), n in sorted(sizes.items(), key=lambda row: -row[1])},
        "images": dict(sorted(images.items(), key=lambda row: -row[1])),
        "masks": dict(headers.masks.most_common()),
        "turned_by_exif": headers.turned,
    }
