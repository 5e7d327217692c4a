"""The images that were scored, one by one: what each of them counts, and the slices that they fall into.

Counts of images add up, so the scores of any choice of images (all of them, a slice, a draw of a bootstrap) come from one table.
numpy only.
"""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from kseg import metrics
from pipeline.evaluation.gate import FOLDER, THIRDS

UNITS = {"size": "{} pixels", "brightness": "a mean brightness of {} of 255", "classes": "{} classes in the mask"}


@dataclasses.dataclass(frozen=True)
class ScoredImages:
    """N images in the order of their keys.

    Attributes:
        keys: (N,) text.
        traits: (N,) numbers by the names of `gate.THIRDS`: pixels, mean brightness in 0..255, classes in the mask.
        counts: (N, ...) whole numbers that add up over images: "classes" (N, K, 3) of `kseg.metrics.class_counts`, "boundary"
            (N, K, 2) and, where the model gave confidences, "calibration" (N, M, 3).
    """

    keys: np.ndarray
    traits: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]

    @classmethod
    def of(cls, rows: list[dict]) -> ScoredImages:
        """From one dictionary an image: {"key", "traits": {name: number}, "counts": {name: nested lists}}."""
        rows = sorted(rows, key=lambda row: row["key"])
        traits, counts = (
            {name: np.array([row[table][name] for row in rows]) for name in rows[0][table]}
            for table in ("traits", "counts")
        )
        return cls(np.array([row["key"] for row in rows]), traits, counts)

    def scores(self, chosen=slice(None)) -> dict:
        """Every score of the chosen images, None where it has no meaning.

        Args:
            chosen: boolean (N,); all by default.
        """
        sums = {name: counts[chosen].sum(axis=0) for name, counts in self.counts.items()}
        found = metrics.scores_of_counts(sums["classes"]) | metrics.boundary_scores(sums["boundary"])
        if "calibration" in sums:
            found["expected_calibration_error"] = metrics.expected_calibration_error(sums["calibration"])
        return {name: None if isinstance(score, float) and np.isnan(score) else score for name, score in found.items()}

    def slices(self) -> dict[str, tuple[str, np.ndarray]]:
        """Choices of images by a threshold's name of them: (what it means, boolean (N,)).

        By size, brightness and number of classes there are thirds: below, between and above the two quantiles. Images of one
        value are not parted, so where all have it there is only the middle. Folders are those of the keys, where there are two
        or more.
        """
        found = {}
        for kind, values in self.traits.items():
            low, high = np.quantile(values, [1 / 3, 2 / 3])
            ends = [f"{end:,.0f}" if end >= 1000 else f"{end:.4g}" for end in (low, high)]
            meanings = f"less than {ends[0]}", " to ".join(dict.fromkeys(ends)), f"more than {ends[1]}"
            masks = values < low, (values >= low) & (values <= high), values > high
            for value, meaning, mask in zip(THIRDS[kind], meanings, masks, strict=True):
                found[f"{kind}={value}"] = UNITS[kind].format(meaning), mask
        folders = np.array([str(pathlib.PurePosixPath(key).parent) for key in self.keys])
        if len(set(folders)) > 1:
            for folder in sorted(set(folders)):
                found[f"{FOLDER}={folder}"] = f"images of the folder {folder}", folders == folder
        return {name: (meaning, mask) for name, (meaning, mask) in found.items() if mask.any()}

    def save(self, path: pathlib.Path):
        """Keeps the table as a NumPy archive: `key`, the traits, and the counts with "_counts" behind their names."""
        counts = {f"{name}_counts": counts for name, counts in self.counts.items()}
        np.savez_compressed(path, key=self.keys, **self.traits, **counts)
