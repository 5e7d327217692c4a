"""example_validator: finds what is wrong with a data set, and stops the run where training on it would be wrong.

Severities: "stop" ends the run, "quarantine" names a pair that is left out, "warn" leaves the decision to people. Too many
quarantined pairs stop the run too. The checks are those of `pipeline.validation.checks`; docs/data_validation.md lists them.
"""

from __future__ import annotations

import dataclasses
import pathlib

from kseg.labels import LabelMap
from pipeline.engine.files import read_json, write_json
from pipeline.settings.example_validator import ExampleValidator
from pipeline.validation import anomalies
from pipeline.validation.checks import distributions
from pipeline.validation.checks.all_checks import find_anomalies


def example_validator(
    out: pathlib.Path,
    config: ExampleValidator,
    *,
    examples: pathlib.Path,
    statistics: pathlib.Path,
    schema: pathlib.Path,
    previous: pathlib.Path | None = None,
):
    """Writes `out/anomalies.json`: {"anomalies": [...], "distances": [...]}, the most severe anomaly first.

    An anomaly has the fields of `pipeline.validation.anomalies.Anomaly`. A distance is {"of", "against", "classes",
    "brightness"}: of each split against train, and of train against the `previous` train.

    Args:
        out: folder to write to.
        config: the limits.
        examples: artifact of example_gen.
        statistics: artifact of statistics_gen.
        schema: artifact of schema_gen.
        previous: artifact of statistics_gen for the data of the last pushed model, if there is one.

    Raises:
        ValueError: an anomaly stops the run; the message lists every anomaly, one line per kind.
    """
    labels = LabelMap.load(examples)
    ingestion = read_json(examples / "ingestion.json")
    counts = read_json(statistics / "statistics.json")
    earlier = read_json(previous / "statistics.json") if previous else None
    found = find_anomalies(
        ingestion,
        counts,
        read_json(schema / "schema.json"),
        labels,
        config,
        place=examples,
        schema_place=schema / "schema.json",
        previous=earlier,
    )
    _raise_stops(found, examples)
    rows = [dataclasses.asdict(anomaly) for anomaly in found]
    contents = {"anomalies": rows, "distances": distributions.histogram_distances(counts, earlier)}
    write_json(out / anomalies.FILE, contents)


def _raise_stops(found, examples):
    """Raises what stops the run, in full up to a few of a kind, and the other anomalies by kind."""
    stops = anomalies.list_in_full(anomaly for anomaly in found if anomaly.severity == "stop")
    if not stops:
        return
    others = anomalies.describe_kinds(anomaly for anomaly in found if anomaly.severity != "stop")
    copies = examples / "quarantine"
    place = [f"  copies of the quarantined pairs, each with its reason: {copies}"] if copies.is_dir() else []
    raise ValueError("\n".join([*stops, *(f"  {line}" for line in others), *place]))
