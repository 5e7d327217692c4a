"""The gate: the scores that a model must reach to be pushed, and the messages about those it does not reach.

A threshold's name is a score, optionally of one class after "/" and on one slice of the images after "@":
`mean_iou`, `iou/car`, `mean_iou@brightness=dark`, `recall/car@folder=night`. Scores and slices are known without data, so an
unknown name is refused before anything runs; class names are checked against the data, folders against the scored images.
Standard library only.
"""

from __future__ import annotations

import dataclasses
import re

from kseg._suggestions import did_you_mean
from pipeline.settings.evaluator import Evaluator

SCORES = (
    "mean_iou",
    "pixel_accuracy",
    "mean_accuracy",
    "frequency_weighted_iou",
    "boundary_f1",
    "expected_calibration_error",
)
OBJECT_SCORES = ("foreground_rand", "rand_split", "rand_merge")
"""Of connected objects of the class `evaluator.object_class`."""
CLASS_SCORES = ("iou", "dice", "precision", "recall", "class_boundary_f1")
ERRORS = ("expected_calibration_error",)
"""Scores that are better when smaller: their threshold is a maximum."""

THIRDS = {  # each slice is a third of the images, in ascending order
    "size": ("small", "medium", "large"),
    "brightness": ("dark", "medium", "bright"),
    "classes": ("few", "medium", "many"),
}
FOLDER = "folder"
_NAME = re.compile(rf"(\w+)(?:/(.+?))?(?:@({'|'.join(THIRDS)}|{FOLDER})=(.*))?", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Score:
    """What the name of a threshold refers to.

    Attributes:
        score: one of `SCORES` or `OBJECT_SCORES`, or of `CLASS_SCORES` with a class.
        class_name: None: all classes.
        slice_name: None: all images.
    """

    score: str
    class_name: str | None = None
    slice_name: str | None = None

    @classmethod
    def parse(cls, name: str) -> Score:
        """Parses the name of a threshold.

        Raises:
            ValueError: there is no such score or slice; the message lists all.

        Example:
            >>> Score.parse("recall/car@folder=night")
            Score(score='recall', class_name='car', slice_name='folder=night')
        """
        match = _NAME.fullmatch(name)
        score, class_name, kind, value = match.groups() if match else (name, None, None, None)
        if score not in (CLASS_SCORES if class_name else SCORES + OBJECT_SCORES):
            raise ValueError(_unknown(name, score))
        if kind in THIRDS and value not in THIRDS[kind]:
            raise ValueError(_unknown(name, f"{kind}={value}"))
        return cls(score, class_name, f"{kind}={value}" if kind else None)


def _unknown(name: str, what: str) -> str:
    """The message about a name of which the part `what` is unknown."""
    thirds = [f"{kind}={value}" for kind, values in THIRDS.items() for value in values]
    classes = [f"{score}/CLASS" for score in CLASS_SCORES]
    known = [*SCORES, *OBJECT_SCORES, *CLASS_SCORES, *thirds]
    suggestion = "" if what in known else did_you_mean(what, known)
    return (
        "A threshold must name a score, optionally of one class after '/' and on one slice of the images after '@'. "
        f"Received: evaluator.thresholds with {name!r}.{suggestion} Scores: {', '.join((*SCORES, *OBJECT_SCORES, *classes))}. "
        f"Slices: {', '.join(thirds)}, {FOLDER}=FOLDER."
    )


def check_thresholds(
    thresholds: dict[str, float], classes: list[str] | None = None, *, object_class: str | None = None
):
    """Refuses thresholds that do not exist or cannot be reached.

    Args:
        thresholds: required score by name.
        classes: names of the data's classes; None: not known yet.
        object_class: `evaluator.object_class`.

    Raises:
        ValueError: a name is unknown, its number is not in [0, 1], or it is a score of objects and no class has any.
    """
    for name, number in thresholds.items():
        score = Score.parse(name)
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
            raise ValueError(
                f"A threshold must be a number in [0, 1]. Received: evaluator.thresholds with {name!r}: {number!r}."
            )
        if score.score in OBJECT_SCORES and object_class is None:
            raise ValueError(
                f"`object_class` must name the class whose objects a threshold is about. Received: evaluator.thresholds with "
                f"{name!r} and evaluator.object_class=none."
            )
        if classes is not None and score.class_name is not None and score.class_name not in classes:
            raise ValueError(
                f"A threshold must name a class of the data. Received: evaluator.thresholds with {name!r}."
                f"{did_you_mean(score.class_name, classes)} Classes: {', '.join(classes)}."
            )


def object_id(name: str | None, classes: list[str]) -> int | None:
    """The id of the class whose connected objects are compared; None: none are.

    Args:
        name: `evaluator.object_class`.
        classes: names of the data's classes.

    Raises:
        ValueError: there is no such class.
    """
    if name is None:
        return None
    if name not in classes:
        raise ValueError(
            f"`object_class` must be a class of the data. Received: evaluator.object_class={name!r}."
            f"{did_you_mean(name, classes)} Classes: {', '.join(classes)}."
        )
    return list(classes).index(name)


def apply_thresholds(
    thresholds: dict[str, float], scores: dict, slices: dict, classes: list[str], images: int
) -> list[dict]:
    """Compares each threshold with the score that was reached.

    An undefined score, such as the IoU of a class that no image shows, is null and does not pass: nothing was demonstrated.

    Args:
        thresholds: required score by name.
        scores: of all images, by name.
        slices: {"brightness=dark": {"images": number, and its scores}}.
        classes: names of the classes, in the order of the per-class scores.
        images: number of all images.

    Returns:
        A row for each: {"name", "threshold", "score", "images", "passed"}.

    Raises:
        ValueError: a threshold names a folder without images.
    """
    rows = []
    for name, threshold in thresholds.items():
        wanted = Score.parse(name)
        if wanted.slice_name and wanted.slice_name.startswith(f"{FOLDER}=") and wanted.slice_name not in slices:
            folders = [name for name in slices if name.startswith(f"{FOLDER}=")] or ["none"]
            raise ValueError(
                "A threshold must name a folder with images. Received: evaluator.thresholds with "
                f"{name!r}. Folders: {', '.join(folders)}."
            )
        found = slices.get(wanted.slice_name, {}) if wanted.slice_name else scores
        score = found.get(wanted.score)
        if wanted.class_name is not None and score is not None:
            score = score[classes.index(wanted.class_name)]
        passed = score is not None and (score <= threshold if is_error(name) else score >= threshold)
        count = found.get("images", 0) if wanted.slice_name else images
        rows.append({"name": name, "threshold": threshold, "score": score, "images": count, "passed": passed})
    return rows


def failures(
    config: Evaluator,
    mean_iou: float,
    constant: dict,
    thresholds: list[dict],
    baseline: dict | None,
    where: str,
    *,
    held_out: bool = True,
) -> list[str]:
    """The reasons not to push a model; empty if it passes the gate.

    Args:
        config: the gate.
        mean_iou: of the model, at original size.
        constant: {"name", "mean_iou"} of the label map that is the most common class everywhere.
        thresholds: from `apply_thresholds`.
        baseline: the pushed version: {"version", "compared"} and, if it could be compared, its "mean_iou", the model's
            "difference" from it, and "low" and "high", the ends of the difference's 95 % interval; None: there is none. A
            version that could not be compared is ignored.
        where: the split and its number of images, for the message.
        held_out: whether training did not see these images.
    """
    required = constant["mean_iou"] + config.min_gain
    reasons = []
    if not held_out and not config.push_without_held_out:
        reasons.append(
            f"A model must be scored on images that training did not see. Received: scores on {where}, from which it learned. "
            "Score it on a test split, or set evaluator.push_without_held_out=true."
        )
    if mean_iou < config.min_mean_iou:
        reasons.append(
            f"mean_iou must reach {config.min_mean_iou:g} on {where}. Received: mean_iou={mean_iou:.3f}. "
            "Train longer or on more data, or lower evaluator.min_mean_iou."
        )
    if mean_iou < required:
        reasons.append(
            f"mean_iou must reach {required:.3f} on {where}, evaluator.min_gain={config.min_gain:g} above predicting "
            f"{constant['name']!r} everywhere ({constant['mean_iou']:.3f}). Received: mean_iou={mean_iou:.3f}. "
            "Train longer or on more data, or lower evaluator.min_gain."
        )
    if baseline and baseline["compared"] and baseline["low"] < -config.margin:
        reasons.append(_worse(config.margin, mean_iou, baseline, where))
    return reasons + [_missed(row, where) for row in thresholds if not row["passed"]]


def _worse(margin: float, mean_iou: float, baseline: dict, where: str) -> str:
    """The message about a model that may be worse than the baseline; the burden of proof is on the new model."""
    return (
        f"The 95 % interval of mean_iou must not extend more than evaluator.margin={margin:g} below version "
        f"{baseline['version']} on {where}. Received: mean_iou={mean_iou:.3f}, {describe_difference(baseline)}. "
        "Train longer or on more data, score more images, or raise evaluator.margin."
    )


def describe_difference(baseline: dict) -> str:
    """A comparison as text, such as "0.087 below version 3 (95 % interval -0.101 to -0.071)"."""
    side = "below" if baseline["difference"] < 0 else "above"
    return (
        f"{abs(baseline['difference']):.3f} {side} version {baseline['version']} "
        f"(95 % interval {baseline['low']:+.3f} to {baseline['high']:+.3f})"
    )


def describe_split(split: str, images: int, target: int) -> str:
    """The scored images, for messages.

    Args:
        split: that is scored.
        images: number of its images.
        target: number of the images without labels, of another domain, for which the network was trained.

    Example:
        >>> describe_split("test", 96, 0)
        "'test' (96 images)"
        >>> describe_split("test", 96, 300)
        "'test' of the labelled source (96 images), not of the target"
    """
    return (
        f"{split!r} of the labelled source ({images} images), not of the target"
        if target
        else f"{split!r} ({images} images)"
    )


def is_error(name: str) -> bool:
    """Whether a threshold of this name is a maximum."""
    return name.partition("@")[0] in ERRORS


def _missed(row: dict, where: str) -> str:
    """The message about a threshold that was not passed."""
    name = row["name"]
    at_most = is_error(name)
    among = f", {row['images']} of them in the slice" if Score.parse(name).slice_name else ""
    received = f"{name}={row['score']:.3f}" if row["score"] is not None else f"no such pixel, so {name} is undefined"
    return (
        f"{name} must {'be at most' if at_most else 'reach'} {row['threshold']:g} on {where}{among}. Received: {received}. "
        f"Train longer or on more data, or {'raise' if at_most else 'lower'} it in evaluator.thresholds."
    )
