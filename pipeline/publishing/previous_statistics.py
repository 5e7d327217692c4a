"""Finds the data of an earlier model through its recipes. Standard library only."""

from __future__ import annotations

import pathlib

from pipeline.engine.files import read_json
from pipeline.engine.fingerprints import Artifact
from pipeline.publishing import versions


def previous_statistics(folder: pathlib.Path, root: pathlib.Path, current: Artifact) -> Artifact | None:
    """Returns the statistics of the data of the newest pushed version that was trained on other data than the current.

    Versions of the current data are skipped, so that the same command again has the same inputs and finds its results cached.

    Args:
        folder: of the model, with its versions.
        root: of the store.
        current: artifact of statistics_gen in this run.

    Returns:
        The artifact, or None where no version was trained on other data or its statistics are gone.
    """
    for version in reversed(versions.list_versions(folder)):
        recipe = read_json(folder / str(version) / versions.LINEAGE, {}).get("recipe") or {}
        transform = recipe.get("inputs", {}).get("transform", "")
        fingerprint = (
            read_json(root / "transform" / transform[:16] / "recipe.json", {}).get("inputs", {}).get("statistics", "")
        )
        found = root / "statistics_gen" / fingerprint[:16]
        if fingerprint and fingerprint != current.fingerprint and found.is_dir():
            return Artifact(found, fingerprint)
    return None
