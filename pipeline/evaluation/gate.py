"""The gate: what a model must reach to be pushed, by names of scores; and the sentences that say what it did not reach.

A threshold's name is a score, for one class after "/", for one slice of the images after "@":
`mean_iou`, `iou/car`, `mean_iou@brightness=dark`, `recall/car@folder=night`. Scores and slices are known without data, so a
wrong name is refused before anything runs; class names are held against the data's, folders against the images that were
scored. Standard library only.
"""

from __future__ import annotations

import dataclasses
import difflib
import re

from pipeline.settings.evaluator import Evaluator

SCORES = (
    "mean_iou",
    "pixel_accuracy",
    "mean_accuracy",
    "frequency_weighted_iou",
    "boundary_f1",
    "expected_calibration_error",
)
CLASS_SCORES = ("iou", "dice", "precision", "recall", "class_boundary_f1")
ERRORS = ("expected_calibration_error",)
"""Scores of which less is better: a threshold is the most that is allowed."""

THIRDS = {  # slices of a third of the images each, from few to much of it
    "size": ("small", "medium", "large"),
    "brightness": ("dark", "medium", "bright"),
    "classes": ("few", "medium", "many"),
}
FOLDER = "folder"
_NAME = re.compile(rf"(\w+)(?:/(.+?))?(?:@({'|'.join(THIRDS)}|{FOLDER})=(.*))?", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Score:
    """Which score of which class (None: of all) on which slice (None: all images) a threshold's name means."""

    score: str
    class_name: str | None = None
    part: str | None = None

    @classmethod
    def named(cls, name: str) -> Score:
        """Reads a threshold's name.

        Raises:
            ValueError: there is no such score or slice; the message lists what there is.
        """
        match = _NAME.fullmatch(name)
        score, class_name, kind, value = match.groups() if match else (name, None, None, None)
        if score not in (CLASS_SCORES if class_name else SCORES):
            raise ValueError(_unknown(name, score))
        if kind in THIRDS and value not in THIRDS[kind]:
            raise ValueError(_unknown(name, f"{kind}={value}"))
        return cls(score, class_name, f"{kind}={value}" if kind else None)


def _unknown(name: str, what: str) -> str:
    """The message for a name of which the part `what` means nothing."""
    thirds = [f"{kind}={value}" for kind, values in THIRDS.items() for value in values]
    classes = [f"{score}/CLASS" for score in CLASS_SCORES]
    near = difflib.get_close_matches(what, [*SCORES, *CLASS_SCORES, *thirds], n=1)
    cure = f"Did you mean {near[0]!r}? " if near and near[0] != what else ""
    return (
        "A threshold must name a score, for one class after '/', for one slice of the images after '@'. "
        f"Received: evaluator.thresholds with {name!r}. {cure}There are the scores {', '.join((*SCORES, *classes))} and the "
        f"slices {', '.join(thirds)}, {FOLDER}=FOLDER."
    )


def check(thresholds: dict[str, float], classes: list[str] | None = None):
    """Refuses thresholds that name nothing.

    Args:
        thresholds: number that each score must reach, by name.
        classes: names of the data's classes; None where the data are not known yet.

    Raises:
        ValueError: a name means nothing, or its number is not in [0, 1].
    """
    for name, number in thresholds.items():
        score = Score.named(name)
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
            raise ValueError(
                f"A threshold must be a number in [0, 1]. Received: evaluator.thresholds with {name!r}: {number!r}."
            )
        if classes is not None and score.class_name is not None and score.class_name not in classes:
            near = difflib.get_close_matches(score.class_name, classes, n=1)
            raise ValueError(
                f"A threshold must name a class of the data. Received: evaluator.thresholds with {name!r}. "
                f"{f'Did you mean {near[0]!r}? ' if near else ''}There are: {', '.join(classes)}."
            )


def measured(thresholds: dict[str, float], scores: dict, slices: dict, classes: list[str], images: int) -> list[dict]:
    """Each threshold with what was reached: {"name", "threshold", "score", "images", "passed"}.

    A score without meaning, of a class that no image shows for example, is null and does not pass: nothing was shown.

    Args:
        thresholds: as `check` takes them.
        scores: of all images, by name.
        slices: {"brightness=dark": {"images": number, and its scores}}.
        classes: names of the classes, in the order of the scores of each.
        images: number of all images.

    Raises:
        ValueError: no image lies in a folder that is named.
    """
    rows = []
    for name, threshold in thresholds.items():
        wanted = Score.named(name)
        if wanted.part and wanted.part.startswith(f"{FOLDER}=") and wanted.part not in slices:
            folders = [part for part in slices if part.startswith(f"{FOLDER}=")] or ["no folders"]
            raise ValueError(
                "A threshold must name a folder with images. Received: evaluator.thresholds with "
                f"{name!r}. There are: {', '.join(folders)}."
            )
        of_part = slices.get(wanted.part, {}) if wanted.part else scores
        score = of_part.get(wanted.score)
        if wanted.class_name is not None and score is not None:
            score = score[classes.index(wanted.class_name)]
        passed = score is not None and (score <= threshold if is_error(name) else score >= threshold)
        count = of_part.get("images", 0) if wanted.part else images
        rows.append({"name": name, "threshold": threshold, "score": score, "images": count, "passed": passed})
    return rows


def verdict(
    config: Evaluator, mean_iou: float, commonest: dict, thresholds: list[dict], baseline: dict | None, where: str
) -> list[str]:
    """What speaks against pushing a model; nothing, where the gate is passed.

    Args:
        config: the gate.
        mean_iou: of the model, at original size.
        commonest: {"name", "mean_iou"} of the label map that always says one class.
        thresholds: as `measured` gives them.
        baseline: the pushed version: {"version", "compared"} and, where it could be compared, its "mean_iou", the model's
            "difference" from it, and "low" and "high", the ends of the difference's 95 % interval; None: there is none. One
            that could not be compared has no say.
        where: the split and its number of images, for the message.
    """
    required = commonest["mean_iou"] + config.min_gain
    reasons = []
    if mean_iou < config.min_mean_iou:
        reasons.append(
            f"mean_iou must reach {config.min_mean_iou:g} on {where}. Received: mean_iou={mean_iou:.3f}. "
            "Train longer or on more data, or lower evaluator.min_mean_iou."
        )
    if mean_iou < required:
        reasons.append(
            f"mean_iou must reach {required:.3f} on {where}, which is evaluator.min_gain={config.min_gain:g} above the label "
            f"map that always says {commonest['name']!r} ({commonest['mean_iou']:.3f}). Received: mean_iou={mean_iou:.3f}. "
            "Train longer or on more data, or lower evaluator.min_gain."
        )
    if baseline and baseline["compared"] and baseline["low"] < -config.margin:
        reasons.append(_worse(config.margin, mean_iou, baseline, where))
    return reasons + [_missed(row, where) for row in thresholds if not row["passed"]]


def _worse(margin: float, mean_iou: float, baseline: dict, where: str) -> str:
    """By how much the model may be worse than the baseline, and on what; the burden of proof is the new model's."""
    return (
        f"The 95 % interval of mean_iou must not reach further than evaluator.margin={margin:g} below version "
        f"{baseline['version']} on {where}. Received: mean_iou={mean_iou:.3f}, {difference(baseline)}. "
        "Train longer or on more data, score more images, or raise evaluator.margin."
    )


def difference(baseline: dict) -> str:
    """A comparison in words, such as "0.087 below version 3 (95 % interval -0.101 to -0.071)"."""
    side = "below" if baseline["difference"] < 0 else "above"
    return (
        f"{abs(baseline['difference']):.3f} {side} version {baseline['version']} "
        f"(95 % interval {baseline['low']:+.3f} to {baseline['high']:+.3f})"
    )


def is_error(name: str) -> bool:
    """Whether a threshold of this name is the most that is allowed."""
    return name.partition("@")[0] in ERRORS


def _missed(row: dict, where: str) -> str:
    """Why a threshold was not passed."""
    name = row["name"]
    at_most = is_error(name)
    among = f", {row['images']} of them in the slice" if Score.named(name).part else ""
    received = f"{name}={row['score']:.3f}" if row["score"] is not None else f"no such pixel, so {name} has no meaning"
    return (
        f"{name} must {'be at most' if at_most else 'reach'} {row['threshold']:g} on {where}{among}. Received: {received}. "
        f"Train longer or on more data, or {'raise' if at_most else 'lower'} it in evaluator.thresholds."
    )
