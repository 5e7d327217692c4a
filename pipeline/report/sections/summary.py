"""The head of the page: name, dates, verdict, and the figures that matter most."""

from __future__ import annotations

import datetime

from kseg.labels import display_name
from kseg.serving.manifest import TRAIN
from pipeline.report import text
from pipeline.report.run_files import Run


def contents(run: Run) -> dict:
    """The variables of `summary.html.j2`."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "name": run.name,
        "network": run.training["network"],
        "trained": text.date(run.training["finished"]),
        "written": text.date(now),
        "pushed": run.pushed,
        "tiles": _tiles(run),
    }


def _tiles(run: Run) -> list[tuple[str, str]]:
    """(value, meaning) of each figure."""
    scores, infra, network = run.scores, run.infra, run.training["network"]
    mean_iou, constant = scores["original_size"]["mean_iou"], scores["commonest_class"]
    seen = "" if scores.get("held_out", True) else ", from which it learned"
    tiles = [
        (f"{mean_iou:.3f}", f"mean IoU on {scores['split']}{seen}"),
        (f"{mean_iou - constant['mean_iou']:+.3f}", f"over “{display_name(constant['name'])}” everywhere"),
        (f"{scores['original_size']['pixel_accuracy']:.1%}", "of pixels correct"),
        (f"{sum(run.plan['examples'][split] for split in run.training.get('trained_on', TRAIN))}", "training pairs"),
        (text.count(network["parameters"]), "parameters"),
        (text.duration(run.training["seconds"]), "training time"),
    ]
    if infra["seconds_per_image"] is not None:
        tiles.append((text.duration(infra["seconds_per_image"]), "per image, served one at a time"))
        tiles.append((f"{infra['peak_bytes'] / 2**30:.1f} GiB", "peak memory to serve"))
    return tiles
