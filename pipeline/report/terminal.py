"""The scores of a run as text for the terminal."""

from __future__ import annotations

from kseg.labels import display_name
from pipeline.evaluation import gate
from pipeline.report import text

MAX_CLASSES, NAMED_CLASSES = 40, 10  # listed at most, and the lowest of more
NAME_LENGTH = 32  # characters of a class's name


def summarize_folds(scores: dict, mean: dict | None) -> str:
    """Mean IoU of each fold, mean and spread of the main scores, and what the gate requires where it was not reached.

    Args:
        scores: `scores.json` of cross_validation.
        mean: `scores.json` of what decides on the mean of the folds: the same, or the evaluator's; None: it is not exported.
    """
    networks = len(scores["folds"])
    rows = [
        f"\nCross-validation: {scores['images']} pairs, each scored by the one of {networks} networks that did not see it"
    ]
    for number, fold in enumerate(scores["folds"], start=1):
        rows.append(f"  fold {number:<11} mean_iou={_number(fold['mean_iou'])}  {fold['images']} images")
    for name, spread in scores["spread"].items():
        if spread:
            ends = f"{spread['low']:.3f} to {spread['high']:.3f}"
            rows.append(
                f"{name}={spread['mean']:.3f}  standard deviation between folds {spread['deviation']:.3f}  {ends}"
            )
    rows.append(f"all pairs together: mean_iou={_number(scores['original_size']['mean_iou'])}")
    if mean:
        rows.append(describe_held_out(mean))
    else:
        rows += [f"not passed by all pairs together: {reason}" for reason in scores["reasons"]]
    rows.append("")
    return "\n".join(rows)


def describe_held_out(mean: dict) -> str:
    """What the score of the mean of the folds is worth.

    Args:
        mean: `scores.json` by which it is pushed or not.
    """
    if "folds" in mean:
        return (
            "the mean of the networks has seen every pair, so no held-out score of it exists; those of the single networks "
            "decide whether it is pushed"
        )
    mean_iou = _number(mean["original_size"]["mean_iou"])
    return f"the mean of the networks on '{mean['split']}', {mean['images']} images: mean_iou={mean_iou}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def summarize(scores: dict) -> str:
    """IoU per class, or of many the lowest, and the other scores, at the original size."""
    result, names = scores["original_size"], scores["classes"]
    rows = [f"\nIntersection over union on '{scores['split']}', {scores['images']} images at their original size"]
    classes = list(zip(names, result["iou"], strict=True))
    if len(classes) > MAX_CLASSES:
        present = [row for row in classes if row[1] is not None]
        classes = sorted(present, key=lambda row: row[1])[:NAMED_CLASSES]
        rows.append(f"  lowest of {len(names)} classes, of which {len(present)} occur; the report has all")
    for name, iou in classes:
        rows.append(f"  {display_name(name, NAME_LENGTH):16} {'absent' if iou is None else f'{iou:.3f}'}")
    rows.append(
        f"mean_iou={result['mean_iou']:.3f}  pixel_accuracy={result['pixel_accuracy']:.3f}  "
        f"mean_accuracy={result['mean_accuracy']:.3f}  frequency_weighted_iou={result['frequency_weighted_iou']:.3f}"
    )
    if "foreground_rand" in result:
        rows.append("  ".join(f"{name}={_number(result[name])}" for name in gate.OBJECT_SCORES))
    constant = display_name(scores["commonest_class"]["name"], NAME_LENGTH)
    rows.append(
        f"at training size mean_iou={scores['training_size']['mean_iou']:.3f}; "
        f"predicting '{constant}' everywhere: mean_iou={scores['commonest_class']['mean_iou']:.3f}"
    )
    rows += filter(None, [text.describe_seen(scores), text.describe_target(scores)])
    if baseline := scores["baseline"]:
        incomparable = f"not compared with version {baseline['version']}: {baseline.get('why')}"
        rows.append(f"mean_iou is {gate.describe_difference(baseline)}" if baseline["compared"] else incomparable)
    rows.append("")
    return "\n".join(rows)
