"""The counts of each scored image, and the slices that images belong to.

Counts add up, so one table gives the scores of any subset of images: all of them, a slice, a bootstrap sample. numpy only.
"""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from kseg import metrics
from pipeline.evaluation.gate import FOLDER, THIRDS

COUNTS = "_counts"
"""Suffix of the names of counts in a file."""
UNITS = {"size": "{} pixels", "brightness": "a mean brightness of {}", "classes": "{} classes in the mask"}


@dataclasses.dataclass(frozen=True)
class ScoredImages:
    """N images, sorted by key.

    Attributes:
        keys: (N,), strings.
        traits: (N,) numbers by the names of `gate.THIRDS`: pixels, mean brightness in 0..255, classes in the mask.
        counts: (N, ...) integers that add up over images: "classes" (N, K, 3) of `kseg.metrics.class_counts`, "boundary"
            (N, K, 2), where the model returned confidences "calibration" (N, M, 3), and where objects are counted "rand" (N, 3).
    """

    keys: np.ndarray
    traits: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]

    @classmethod
    def from_rows(cls, rows: list[dict]) -> ScoredImages:
        """Builds the table from one dictionary per image: {"key", "traits": {name: number}, "counts": {name: nested lists}}."""
        rows = sorted(rows, key=lambda row: row["key"])
        traits, counts = (
            {name: np.array([row[table][name] for row in rows]) for name in rows[0][table]}
            for table in ("traits", "counts")
        )
        return cls(np.array([row["key"] for row in rows]), traits, counts)

    @classmethod
    def load(cls, *paths: pathlib.Path) -> ScoredImages:
        """Reads the tables that `save` wrote, as one; no image may be in two of them."""
        arrays = [dict(np.load(path)) for path in paths]
        whole = {name: np.concatenate([table[name] for table in arrays]) for name in arrays[0]}
        order = np.argsort(whole["key"])
        whole = {name: values[order] for name, values in whole.items()}
        counts = {name.removesuffix(COUNTS): values for name, values in whole.items() if name.endswith(COUNTS)}
        return cls(whole["key"], {name: whole[name] for name in THIRDS}, counts)

    def scores(self, mask=slice(None)) -> dict:
        """Every score of the selected images, None where it is undefined.

        Args:
            mask: boolean (N,); all images by default.
        """
        sums = {name: counts[mask].sum(axis=0) for name, counts in self.counts.items()}
        scores = metrics.scores_of_counts(sums["classes"]) | metrics.boundary_scores(sums["boundary"])
        if "calibration" in sums:
            scores["expected_calibration_error"] = metrics.expected_calibration_error(sums["calibration"])
        if "rand" in sums:
            scores |= metrics.rand_scores(sums["rand"])
        return {name: None if isinstance(score, float) and np.isnan(score) else score for name, score in scores.items()}

    def mean_ious(self) -> np.ndarray:
        """Mean IoU of each image, (N,); NaN where all its pixels are void."""
        return np.array([metrics.scores_of_counts(counts)["mean_iou"] for counts in self.counts["classes"]])

    def slices(self) -> dict[str, tuple[str, np.ndarray]]:
        """The slices without empty ones, by the name that thresholds use: (meaning, boolean mask (N,)).

        Size, brightness and number of classes are split into thirds: below, between and above two quantiles. Images of equal
        value stay in one slice, so if all are equal there is only the middle one. Folders are taken from the keys if there are
        at least two.
        """
        slices = {}
        for kind, values in self.traits.items():
            low, high = np.quantile(values, [1 / 3, 2 / 3])
            ends = [f"{end:,.0f}" if end >= 1000 else f"{end:.4g}" for end in (low, high)]
            meanings = f"less than {ends[0]}", " to ".join(dict.fromkeys(ends)), f"more than {ends[1]}"
            masks = values < low, (values >= low) & (values <= high), values > high
            for value, meaning, mask in zip(THIRDS[kind], meanings, masks, strict=True):
                slices[f"{kind}={value}"] = UNITS[kind].format(meaning), mask
        folders = np.array([str(pathlib.PurePosixPath(key).parent) for key in self.keys])
        if len(set(folders)) > 1:
            for folder in sorted(set(folders)):
                slices[f"{FOLDER}={folder}"] = f"images of the folder {folder}", folders == folder
        return {name: (meaning, mask) for name, (meaning, mask) in slices.items() if mask.any()}

    def slice_scores(self) -> dict[str, dict]:
        """The slices by name: "meaning", the number of "images", and every score of these."""
        return {
            name: {"meaning": meaning, "images": int(mask.sum()), **self.scores(mask)}
            for name, (meaning, mask) in self.slices().items()
        }

    def save(self, path: pathlib.Path):
        """Saves the table as a NumPy archive: `key`, the traits, and each count under its name with the suffix "_counts"."""
        counts = {f"{name}{COUNTS}": counts for name, counts in self.counts.items()}
        np.savez_compressed(path, key=self.keys, **self.traits, **counts)
