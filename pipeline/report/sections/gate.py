"""The requirements of the gate, the comparison with the pushed version, and the slices."""

from __future__ import annotations

from kseg.labels import display_name
from pipeline.evaluation import gate
from pipeline.report import text
from pipeline.report.run_files import Run

NAME_LENGTH = 80  # characters of a requirement, in which the name of a class may stand


def contents(run: Run) -> dict:
    """The variables of `gate.html.j2`."""
    return {
        "scores": run.scores,
        "seen": text.describe_seen(run.scores),
        "target": text.describe_target(run.scores),
        "checks": requirements(run.scores),
        "interval": _interval(run.scores),
        "faults": run.faults,
        "slices": _slices(run.scores),
    }


def requirements(scores: dict) -> list[dict]:
    """A row for each requirement of the gate: {"what", "required", "reached", "images", "passed"}, numbers as text.

    Args:
        scores: `scores.json`.
    """
    config, images, mean_iou = scores["gate"], scores["images"], scores["original_size"]["mean_iou"]
    constant, baseline = scores["commonest_class"], scores["baseline"]
    gain = mean_iou - constant["mean_iou"]
    what = f"mean_iou over “{display_name(constant['name'])}” everywhere"
    rows = [(what, config["min_gain"], gain, images, gain >= config["min_gain"], "+")]
    if config["min_mean_iou"] > 0:
        rows.append(("mean_iou", config["min_mean_iou"], mean_iou, images, mean_iou >= config["min_mean_iou"], ""))
    if baseline and baseline["compared"]:
        what = f"mean_iou against version {baseline['version']}, low end of the 95 % interval"
        rows.append((what, -config["margin"], baseline["low"], images, baseline["low"] >= -config["margin"], "+"))
    rows += [
        (row["name"], *(row[key] for key in ("threshold", "score", "images", "passed")), "")
        for row in scores["thresholds"]
    ]
    return [
        {
            "what": display_name(what, NAME_LENGTH),
            "required": f"{'≤' if gate.is_error(what) else '≥'} {required:{sign}g}",
            "reached": "none" if reached is None else f"{reached:{sign}.3f}",
            "images": number,
            "passed": passed,
        }
        for what, required, reached, number, passed, sign in rows
    ]


def _interval(scores: dict) -> dict | None:
    """The difference from the pushed version as text, and the positions of its numbers in per cent of the chart's width."""
    baseline, margin = scores["baseline"], scores["gate"]["margin"]
    if not baseline or not baseline["compared"]:
        return None
    values = {
        "low": baseline["low"],
        "value": baseline["difference"],
        "high": baseline["high"],
        "margin": -margin,
        "zero": 0.0,
    }
    first, last = min(values.values()), max(values.values())
    positions = {name: 8 + 84 * (value - first) / max(last - first, 1e-9) for name, value in values.items()}
    return {"text": gate.describe_difference(baseline), "allowed": f"{margin:g}", **positions}


def _slices(scores: dict) -> list[dict]:
    """A row for each slice: name, meaning, images, scores, and the difference of its mean IoU from that of all images."""
    mean_iou = scores["original_size"]["mean_iou"]
    rows = [{"name": name, **part} for name, part in scores["slices"].items()]
    return [
        {name: row[name] for name in ("name", "meaning", "images", "mean_iou", "pixel_accuracy")}
        | {"difference": None if row["mean_iou"] is None else row["mean_iou"] - mean_iou}
        for row in rows
    ]
