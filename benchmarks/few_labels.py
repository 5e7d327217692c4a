"""Few labels: every eighth of CamVid's training images keeps its label map, the rest is unlabelled.

    python -m benchmarks.few_labels --hours 4    # continues where it stopped; finished runs are appended to the file
    python -m benchmarks.few_labels --hours 0    # prints the table of finished runs

All arms train the recipe of docs/accuracy.md for the same number of steps: a light FPN on EfficientNet-Lite0 with ImageNet
weights, on crops of 240 x 180, in float32. Arms that see unlabelled images take half of each batch from them; "batches of 4"
has the labelled half alone. Scores are on validation.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

import kseg
from benchmarks import json_lines
from benchmarks.adversarial_gain import continued, pictures, report, training
from benchmarks.adversarial_gain.pictures import Data, Pictures
from kseg import losses
from kseg.data import side_by_side
from kseg.data.augment import Augment
from kseg.labels import VOID
from kseg.pairs.class_balance import class_weights

EIGHTH = 8
SEEDS = range(3)
STEPS, BATCH = 3000, 8
"""15 minutes of plain steps at 0.3 s; arms with unlabelled images take longer."""
ALL = "all labels"
TEACHERS = ("teacher", "both")
FEW, HALF = "few labels", "few labels, batches of 4"
ARMS = (ALL, FEW, "teacher", "Hung's step", "both", HALF)
NETWORK = "light_fpn"


def split(pairs: Pictures, arm: str) -> tuple[Pictures, Pictures]:
    """Labelled training images of an arm, and the others."""
    if arm == ALL:
        return pairs, Pictures(pairs.images[:0], pairs.label_maps[:0])
    few = np.arange(len(pairs.images)) % EIGHTH == 0
    return tuple(Pictures(pairs.images[part], pairs.label_maps[part]) for part in (few, ~few))


def batches(data: Data, arm: str, seed: int) -> tf.data.Dataset:
    """Endless batches; all draws are functions of `seed`."""
    augment = Augment(data.crop_size, working_scale=1.0, scale=training.CROP_SCALE)

    def endless(images, label_maps, offset):
        pairs = tf.data.Dataset.from_tensor_slices((images, label_maps))
        pairs = pairs.shuffle(len(images), seed=seed + offset).repeat().enumerate()
        return pairs.map(lambda step, pair: augment(*pair, seed=(seed + offset, step)), num_parallel_calls=2)

    labelled, others = split(data.splits["train"], arm)
    source = endless(labelled.images, labelled.label_maps, 0)
    if arm in (ALL, FEW, HALF):
        return source.batch(BATCH // 2 if arm == HALF else BATCH).prefetch(2)
    unlabelled = endless(others.images, np.full_like(others.label_maps, VOID), 1000)
    return side_by_side(source.batch(BATCH // 2), unlabelled.batch(BATCH // 2))


def build(data: Data, arm: str, seed: int, steps: int) -> keras.Model:
    """The compiled model of an arm; the segmentor's initial weights depend on `seed` alone."""
    keras.utils.set_random_seed(seed)
    classes = len(data.class_names)
    segmentor = training.make_segmentor(dataclasses.replace(continued.PLAIN, network=NETWORK), classes)
    labelled, _ = split(data.splits["train"], arm)
    weights = tuple(class_weights(np.bincount(labelled.label_maps.ravel(), minlength=256)[:classes]))
    schedule = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=2e-3, warmup_steps=max(1, steps // 20))
    arguments = {"optimizer": keras.optimizers.AdamW(schedule, weight_decay=1e-4)}
    arguments["loss"] = losses.CrossEntropy(class_weights=weights)
    teacher = kseg.Teacher(start=steps // 10) if arm in TEACHERS else None
    model = segmentor
    if arm in ("Hung's step", "both"):
        discriminator = kseg.discriminators.FullyConvolutional(classes, base_filters=16)
        model = kseg.SemiSupervisedGame(
            segmentor, discriminator, regions_from=steps // 4, teacher=teacher, label_stride=2
        )
        arguments["discriminator_optimizer"] = keras.optimizers.Adam(1e-4)
    elif teacher:
        model = kseg.SelfTraining(segmentor, teacher)
    model.compile(**arguments)
    return model


def train_and_score(data: Data, arm: str, seed: int, steps: int) -> dict:
    """Trains for `steps`; returns the scores of `training.score`, and minutes."""
    model, clock = build(data, arm, seed, steps), training.Clock()
    model.fit(batches(data, arm, seed), steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[clock])
    scores = training.score(getattr(model, "segmentor", model), data, "validation")
    return scores | {"minutes": round(clock.seconds / 60, 2)}


def finished(rows: list[dict], arm: str, seed: int, steps: int) -> dict | None:
    """The row of a run, if it is finished."""
    key = {"arm": arm, "seed": seed, "steps": steps}
    return json_lines.find(rows, key)


def run_pending(path: pathlib.Path, pending, data: Data | None = None, steps: int = STEPS) -> None:
    """Trains what is missing, one seed after the other, while `pending` says that there is time."""
    for seed in SEEDS:
        for arm in ARMS:
            if finished(json_lines.read(path), arm, seed, steps):
                continue
            if not pending():
                return
            data = data or pictures.load_camvid_at("camvid", continued.SIZE, continued.CROP)
            found = train_and_score(data, arm, seed, steps)
            json_lines.append(path, {"arm": arm, "seed": seed, "steps": steps} | found)
            keras.utils.clear_session()


def table(rows: list[dict], steps: int = STEPS) -> str:
    """Means over the seeds of each arm, its share of all labels' and its gain over few in the same seeds, as Markdown."""
    lines = ["| arm | seeds | mean IoU | of all labels | gain | boundary F1 |", "| --- " + "| ---: " * 5 + "|"]
    for arm in ARMS:
        found = [[finished(rows, one, seed, steps) for one in (arm, ALL, FEW)] for seed in SEEDS]
        if found := [of_seed for of_seed in found if all(of_seed)]:
            own, full, few = np.array([[row["mean_iou"] for row in of_seed] for of_seed in found]).T
            gain = "" if arm == FEW else report.format_gain(own - few)
            share = own.mean() / full.mean()
            boundary = np.mean([of_seed[0]["boundary_f1"] for of_seed in found])
            lines.append(f"| {arm} | {len(found)} | {own.mean():.4f} | {share:.1%} | {gain} | {boundary:.4f} |")
    return "\n".join(lines)


def main() -> None:
    """Runs for the given time, and prints the table."""
    json_lines.run_for_hours(__doc__, "docs/few_labels.jsonl", run_pending, table)


if __name__ == "__main__":
    main()
