"""All checks of a data set, as example_validator and pipeline.inspect apply them."""

from __future__ import annotations

import typing

from kseg.labels import LabelMap
from pipeline.validation.anomalies import Anomaly, sort_anomalies
from pipeline.validation.checks import classes, distributions, duplicates, pairs


class Limits(typing.Protocol):
    """The settings of example_validator, which say what each limit means."""

    max_quarantined: float
    max_leaked: float
    max_skew: float
    max_drift: float
    min_class_share: float
    cross_validated: bool


def find_anomalies(
    ingestion: dict,
    statistics: dict,
    schema: dict,
    labels: LabelMap,
    limits: Limits,
    *,
    place,
    schema_place,
    previous: dict | None = None,
) -> list[Anomaly]:
    """Applies every check.

    Args:
        ingestion: ingestion.json of example_gen.
        statistics: statistics.json of statistics_gen.
        schema: inferred or frozen.
        labels: the classes of the data.
        limits: of the checks.
        place: of the data, for messages.
        schema_place: of the schema, for messages.
        previous: statistics.json for the data of the last pushed model, if there is one.

    Returns:
        The anomalies, the most severe first.
    """
    splits = statistics["splits"]
    return sort_anomalies(
        [
            *pairs.check_quarantined(ingestion, limits.max_quarantined),
            *classes.check_splits(splits, place, limits.cross_validated),
            *classes.check_schema(schema, statistics, labels, schema_place),
            *classes.check_labels(splits, labels),
            *classes.check_missing_classes(splits, labels),
            *classes.check_rare_classes(splits, labels, limits.min_class_share),
            *pairs.check_pictures(statistics, ingestion),
            *duplicates.check_duplicates(statistics, limits.max_leaked),
            *distributions.check_skew(statistics, limits.max_skew),
            *distributions.check_drift(statistics, previous, limits.max_drift),
            *pairs.check_files(ingestion),
        ]
    )
