"""Domain adaptation without labels of the target: generated streets -> CamVid, a ladder of what each rung adds.

    python -m benchmarks.adaptation --hours 4    # continues where it stopped; finished runs are appended to the file
    python -m benchmarks.adaptation --hours 0    # prints the table of finished runs

Every rung trains a light FPN on EfficientNet-Lite0 with ImageNet weights, from the same seed for the same number of steps, on
labelled streets; the third gives them the colours of CamVid's training images, and from the fourth on it sees these, without
labels. Scores are on CamVid's validation images, over the classes that both have: sky; building with its windows; road with lane
markings (CamVid's Road and Pavement); car with wheels. All other pixels of CamVid are void in scoring. The streets are crude: no
trees, people or signs.
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
from benchmarks.adversarial_gain import pictures, report, training
from benchmarks.adversarial_gain.settings import Setting
from kseg import losses, metrics
from kseg.data import in_colours_of, side_by_side
from kseg.data.augment import Augment
from kseg.labels import VOID
from pipeline.networks import feature_layer
from pipeline.settings.config import Config, resolve_auto

COMMON = {  # classes of the ladder, by those of the streets and of CamVid
    "sky": (("sky",), ("Sky",)),
    "building": (("building", "house_window", "shop_window"), ("Building",)),
    "road": (("road", "lane_marking"), ("Road", "Pavement")),
    "car": (("car", "wheel"), ("Car",)),
}
SIZE, STREETS_TRAIN = (96, 128), 512
SEEDS = range(3)
STEPS, BATCH = 750, 8
SCALE = (0.75, 1.5)
NETWORK = "light_fpn"


@dataclasses.dataclass(frozen=True)
class Rung:
    """What a rung adds to the source alone."""

    augmented: bool = True
    colours: bool = False  # streets take the colours of CamVid's images
    adversary: str = ""  # maps that the discriminator sees, or features
    weight: float = 0.01
    teacher: bool = False


RUNGS = {
    "source": Rung(augmented=False),
    "+ augmentation": Rung(),
    "+ target's colours": Rung(colours=True),
    "+ adversary": Rung(colours=True, adversary="features", weight=0.001),
    "+ self-training": Rung(colours=True, teacher=True),
    "+ both": Rung(colours=True, adversary="features", weight=0.001, teacher=True),
    "self-training, streets' colours": Rung(teacher=True),
}
CHOICES = {  # of the adversary, with one seed; with weight 0 the batches alone are those of an adversary
    "no adversary": Rung(colours=True),
    "softmax 0": Rung(colours=True, adversary="softmax", weight=0.0),
    "softmax 0.001": Rung(colours=True, adversary="softmax", weight=0.001),
    "softmax 0.01": Rung(colours=True, adversary="softmax"),
    "entropy 0.001": Rung(colours=True, adversary="entropy", weight=0.001),
    "entropy 0.01": Rung(colours=True, adversary="entropy"),
    "features 0.001": Rung(colours=True, adversary="features", weight=0.001),
}
CHOICE_SEED = 100


@dataclasses.dataclass(frozen=True)
class Domains:
    """Labelled source, unlabelled target, and the target's scored images; uint8 images (N, H, W, 3), ids (N, H, W)."""

    source: tuple[np.ndarray, np.ndarray]
    target: np.ndarray
    scored: tuple[np.ndarray, np.ndarray]


def to_common(label_maps: np.ndarray, names: tuple[str, ...], side: int) -> np.ndarray:
    """Ids of the common classes, uint8; all other pixels are void.

    Args:
        label_maps: ids of `names`, (N, H, W), uint8.
        names: classes of the data set.
        side: 0 for the streets, 1 for CamVid.
    """
    table = np.full(256, VOID, np.uint8)
    for number, sides in enumerate(COMMON.values()):
        table[[names.index(name) for name in sides[side]]] = number
    return table[label_maps]


def load() -> Domains:
    """Streets and CamVid at 128 x 96."""
    drawn = [kseg.streets.draw(index, split="train") for index in range(STREETS_TRAIN)]
    images, label_maps = (np.stack(part) for part in zip(*drawn, strict=True))
    camvid = pictures.load_camvid_at("camvid", SIZE)
    scored = camvid.splits["validation"]
    return Domains(
        (images, to_common(label_maps, kseg.streets.LABELS.names, 0)),
        camvid.splits["train"].images,
        (scored.images, to_common(scored.label_maps, camvid.class_names, 1)),
    )


def batches(domains: Domains, rung: Rung, seed: int) -> tf.data.Dataset:
    """Endless batches; half of each is of the target where the rung sees it. All draws are functions of `seed`."""
    size = domains.target.shape[1:3]
    augment = Augment(size, scale=SCALE if rung.augmented else (1.0, 1.0), photometric=rung.augmented)

    def endless(images, label_maps, offset):
        pairs = tf.data.Dataset.from_tensor_slices((images, label_maps))
        pairs = pairs.shuffle(len(images), seed=seed + offset).repeat().enumerate()
        return pairs.map(lambda step, pair: augment(*pair, seed=(seed + offset, step)), num_parallel_calls=2)

    source = endless(*domains.source, 0)
    void = np.full(domains.target.shape[:3], VOID, np.uint8)
    target = endless(domains.target, void, 1000)
    if rung.adversary or rung.teacher:
        return side_by_side(source.batch(BATCH // 2), target.batch(BATCH // 2), colours=rung.colours)
    if not rung.colours:
        return source.batch(BATCH).prefetch(2)
    return in_colours_of(target.batch(BATCH), source.batch(BATCH))


def build(rung: Rung, seed: int, steps: int) -> keras.Model:
    """The compiled model of a rung; the segmentor's initial weights depend on `seed` alone."""
    keras.utils.set_random_seed(seed)
    segmentor = training.make_segmentor(Setting(network=NETWORK), len(COMMON))
    teacher = kseg.Teacher(start=steps // 10) if rung.teacher else None
    schedule = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=2e-3, warmup_steps=max(1, steps // 20))
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-4)
    arguments = {"loss": losses.CrossEntropy()}
    model = segmentor
    if rung.adversary:
        if rung.adversary == "features":  # FADA
            layer = feature_layer(segmentor)
            discriminator = kseg.discriminators.DomainClasses(len(COMMON), layer.output.shape[-1], base_filters=16)
            judged = {"features": layer.name}
        else:  # AdaptSegNet, ADVENT
            discriminator = kseg.discriminators.PatchGAN(
                len(COMMON), input_shape=None, layers_between=2, base_filters=16, batch_normalization=False
            )
            judged = {"maps": rung.adversary}
        ramp = kseg.Schedule(ramp=steps // 4)
        model = kseg.DomainGame(segmentor, discriminator, weight=rung.weight, teacher=teacher, schedule=ramp, **judged)
        arguments["discriminator_optimizer"] = keras.optimizers.Adam(2e-4, beta_1=0.5)
    elif teacher:
        model = kseg.SelfTraining(segmentor, teacher, apart=True)
    model.compile(optimizer, **arguments)
    return model


def train_and_score(domains: Domains, rung: Rung, seed: int, steps: int) -> dict:
    """Trains for `steps`; returns mean IoU, IoU of each class and minutes."""
    model, clock = build(rung, seed, steps), training.Clock()
    stream = batches(domains, rung, seed)
    model.fit(stream, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[clock])
    segmentor = getattr(model, "segmentor", model)
    predicted = predict(segmentor, domains.scored[0])
    scores = metrics.scores(metrics.confusion_matrix(domains.scored[1], predicted, len(COMMON)))
    return {"mean_iou": scores["mean_iou"], "iou": scores["iou"], "minutes": round(clock.seconds / 60, 2)}


def predict(segmentor: keras.Model, images: np.ndarray) -> np.ndarray:
    """Label maps (N, H, W), uint8."""
    parts = [images[at : at + BATCH].astype("float32") for at in range(0, len(images), BATCH)]
    return np.concatenate([np.argmax(segmentor.predict_on_batch(part), axis=-1) for part in parts]).astype(np.uint8)


def row_key(name: str, seed: int, steps: int) -> dict:
    """What identifies a run."""
    rung = dataclasses.asdict((RUNGS | CHOICES)[name])
    return {"rung": name, **rung, "seed": seed, "steps": steps}


def run_pending(path: pathlib.Path, pending, domains: Domains | None = None, steps: int = STEPS) -> None:
    """Trains what is missing while `pending` says that there is time: choices of the adversary, then the ladder by seed."""
    wanted = [(name, CHOICE_SEED) for name in CHOICES] + [(name, seed) for seed in SEEDS for name in RUNGS]
    for name, seed in wanted:
        key = row_key(name, seed, steps)
        if json_lines.find(json_lines.read(path), key):
            continue
        if not pending():
            return
        domains = domains or load()
        json_lines.append(path, key | train_and_score(domains, (RUNGS | CHOICES)[name], seed, steps))
        keras.utils.clear_session()


def table(rows: list[dict], steps: int = STEPS) -> str:
    """The ladder: mean over the seeds that all rungs have, and the gain over source with augmentation, as Markdown."""
    lines = [
        f"| rung | seeds | mean IoU | gain | {' | '.join(COMMON)} |",
        "| --- " + "| ---: " * (3 + len(COMMON)) + "|",
    ]
    found = {(name, seed): json_lines.find(rows, row_key(name, seed, steps)) for name in RUNGS for seed in SEEDS}
    seeds = [seed for seed in SEEDS if all(found[name, seed] for name in RUNGS)]
    for name in RUNGS if seeds else ():
        own = [found[name, seed] for seed in seeds]
        means = [row["mean_iou"] for row in own]
        gains = np.subtract(means, [found["+ augmentation", seed]["mean_iou"] for seed in seeds])
        classes = " | ".join(f"{value:.3f}" for value in np.mean([row["iou"] for row in own], axis=0))
        lines.append(f"| {name} | {len(seeds)} | {np.mean(means):.4f} | {report.format_gain(gains)} | {classes} |")
    for name in CHOICES:
        row = json_lines.find(rows, row_key(name, CHOICE_SEED, steps))
        if row:
            classes = " | ".join(f"{value:.3f}" for value in row["iou"])
            lines.append(f"| {name}, chosen with target labels | 1 | {row['mean_iou']:.4f} | | {classes} |")
    return "\n".join(lines)


def main() -> None:
    """Runs for the given time, and prints the table."""
    keras.config.set_dtype_policy(resolve_auto(Config()).trainer.precision)
    json_lines.run_for_hours(__doc__, "docs/adaptation.jsonl", run_pending, table)


if __name__ == "__main__":
    main()
