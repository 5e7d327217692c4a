"""The scores of a run as text for the terminal."""

from __future__ import annotations

from kseg.labels import display_name
from pipeline.evaluation import gate

MAX_CLASSES, NAMED_CLASSES = 40, 10  # listed at most, and the lowest of more
NAME_LENGTH = 32  # characters of a class's name


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
        objects = {name: result[name] for name in ("foreground_rand", "rand_split", "rand_merge")}
        rows.append(
            "  ".join(f"{name}={'none' if value is None else f'{value:.3f}'}" for name, value in objects.items())
        )
    constant = display_name(scores["commonest_class"]["name"], NAME_LENGTH)
    rows.append(
        f"at training size mean_iou={scores['training_size']['mean_iou']:.3f}; "
        f"predicting '{constant}' everywhere: mean_iou={scores['commonest_class']['mean_iou']:.3f}"
    )
    if baseline := scores["baseline"]:
        incomparable = f"not compared with version {baseline['version']}: {baseline.get('why')}"
        rows.append(f"mean_iou is {gate.describe_difference(baseline)}" if baseline["compared"] else incomparable)
    rows.append("")
    return "\n".join(rows)
