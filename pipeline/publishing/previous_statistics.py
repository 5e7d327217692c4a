"""Finds the data of an earlier model through its recipes. Standard library only."""

from __future__ import annotations

import pathlib

from pipeline.engine.ancestry import RECIPE
from pipeline.engine.fingerprints import Artifact
from pipeline.publishing.entries import list_entries, read_lineage, read_table


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
    for entry in reversed(list_entries(folder)):
        transform = _input(read_lineage(entry.place).get("recipe"), "transform")
        fingerprint = (
            _input(read_table(root / "transform" / transform[:16] / RECIPE), "statistics") if transform else ""
        )
        found = root / "statistics_gen" / fingerprint[:16]
        if fingerprint and fingerprint != current.fingerprint and found.is_dir():
            return Artifact(found, fingerprint)
    return None


def _input(recipe, name: str) -> str:
    """The fingerprint of an input of a recipe; empty where there is none."""
    inputs = recipe.get("inputs") if isinstance(recipe, dict) else None
    fingerprint = inputs.get(name) if isinstance(inputs, dict) else None
    return fingerprint if isinstance(fingerprint, str) else ""
