"""How much of the generated streets a 16 x 16 window can know: a patch classifier against a U-Net on the same pictures.

    python -m benchmarks.streets_hardness

The patch classifier looks at the 16 x 16 window round a pixel and at nothing else. It is written as unpadded convolutions
whose receptive field is 16 x 16, so one pass over a picture classifies all of its windows: the same function as cutting out
each window, many times faster. Windows at the edge see the picture mirrored. Both train on the same pictures with the same
augmentation, loss and schedule; the patch classifier for three times the steps and 1.5 times the pictures.

Bars: the U-Net at least 0.15 of mean IoU above the patch classifier, and no class of the U-Net below 0.3.

Seen with streets 1.2.0 on two cores (mixed bfloat16, shared with other work), in 10 minutes; the U-Net was one of the same
widths, with batch normalisation, written before `kseg.UNet` was there:

    class            U-Net   patch     gap
    sky              0.854   0.683   0.170
    building         0.793   0.550   0.243
    house_window     0.455   0.168   0.287
    shop_window      0.552   0.223   0.329
    road             0.915   0.755   0.160
    lane_marking     0.619   0.551   0.068
    car              0.726   0.428   0.299
    wheel            0.551   0.407   0.144
    mean             0.683   0.470   0.213
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

import kseg
from kseg import losses, metrics, streets
from kseg.data.augment import Augment
from kseg.layers import ReflectionPadding2D
from pipeline.settings.config import Config, resolve_auto

SIZE = (96, 128)
SCALE = (1.0, 1.6)  # scaling down to half spends most of so few steps on padding and on things too small to see
WINDOW = 16
MIN_GAP, MIN_CLASS = 0.15, 0.3


def patch_classifier(num_classes: int, filters: int = 32) -> keras.Model:
    """Classifies each pixel from the 16 x 16 window round it.

    Seven convolutions of 3 x 3 see 15 x 15 pixels, one of 2 x 2 on top of them sees 16 x 16.

    Returns:
        model from `image` (B, H, W, 3) to logits (B, H, W, num_classes), float32.
    """
    around = (WINDOW // 2, WINDOW - 1 - WINDOW // 2)  # mirrored, so that each pixel has a window round it
    image = keras.Input((None, None, 3), name="image")
    x = ReflectionPadding2D((around, around))(keras.layers.Rescaling(1 / 64, offset=-2)(image))
    for width, kernel in (*((filters, 3),) * 7, (filters, 2), (2 * filters, 1)):
        x = keras.layers.Conv2D(width, kernel, use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    return keras.Model(
        image, keras.layers.Conv2D(num_classes, 1, dtype="float32", name="logits")(x), name="patch_classifier"
    )


def pictures(split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` examples of a split: images (N, H, W, 3) and label maps (N, H, W), uint8."""
    images, label_maps = zip(*(streets.draw(index, split=split, size=SIZE) for index in range(count)), strict=True)
    return np.stack(images), np.stack(label_maps)


def fit(model: keras.Model, images, label_maps, *, steps: int, batch_size: int) -> None:
    """Trains with AdamW and a cosine schedule, on augmented pictures, with classes weighted by the root of their rarity."""
    augment = Augment(SIZE, scale=SCALE, photometric=False)  # the streets vary their light themselves

    def augmented(step, pair):
        return augment(*pair, seed=(0, step))

    pairs = tf.data.Dataset.from_tensor_slices((images, label_maps)).shuffle(len(images), seed=0).repeat()
    batches = pairs.enumerate().map(augmented, num_parallel_calls=2).batch(batch_size, drop_remainder=True).prefetch(2)
    counts = np.bincount(label_maps.ravel(), minlength=256)[: streets.LABELS.num_classes]
    weights = 1 / np.sqrt(counts / counts.sum())
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=1e-4),
        loss=losses.CrossEntropy(ignore_class=255, class_weights=tuple(weights / weights.mean())),
    )
    model.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0)


def score(model: keras.Model, images, label_maps) -> dict:
    """`kseg.metrics.scores` of a model on pictures."""
    predicted = [
        model.predict_on_batch(images[at : at + 16].astype(np.float32)).argmax(-1) for at in range(0, len(images), 16)
    ]
    matrix = metrics.confusion_matrix(label_maps, np.concatenate(predicted), streets.LABELS.num_classes)
    return metrics.scores(matrix)


def table(unet: dict, patch: dict) -> str:
    """Both scores by class, their difference, and whether the bars hold."""
    rows = [
        *zip(streets.LABELS.names, unet["iou"], patch["iou"], strict=True),
        ("mean", unet["mean_iou"], patch["mean_iou"]),
    ]
    lines = [f"{'class':14}{'U-Net':>8}{'patch':>8}{'gap':>8}"]
    lines += [f"{name:14}{one:8.3f}{other:8.3f}{one - other:8.3f}" for name, one, other in rows]
    gap, lowest = unet["mean_iou"] - patch["mean_iou"], min(unet["iou"])
    held = gap >= MIN_GAP and lowest >= MIN_CLASS
    lines.append(
        f"gap {gap:.3f} (bar {MIN_GAP}), lowest class {lowest:.3f} (bar {MIN_CLASS}): {'holds' if held else 'FAILS'}"
    )
    return "\n".join(lines)


def main() -> None:
    """Trains both and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=1000, help="of the U-Net, 8 pictures each")
    parser.add_argument("--patch-steps", type=int, default=3000, help="of the patch classifier, 4 pictures each")
    parser.add_argument("--train", type=int, default=512, help="pictures")
    parser.add_argument("--test", type=int, default=96, help="pictures")
    arguments = parser.parse_args()
    keras.mixed_precision.set_global_policy(resolve_auto(Config()).trainer.precision)
    train, test = pictures("train", arguments.train), pictures("test", arguments.test)
    print(
        f"streets {streets.VERSION}, {SIZE[0]}x{SIZE[1]}: {arguments.train} pictures to train on, {arguments.test} to test on"
    )
    num_classes, scores = streets.LABELS.num_classes, {}
    for name, steps, batch_size in (("unet", arguments.steps, 8), ("patch", arguments.patch_steps, 4)):
        keras.utils.set_random_seed(0)
        if name == "unet":
            model = kseg.UNet(num_classes, filters=(16, 32, 64, 128, 256), batch_normalization=True)
        else:
            model = patch_classifier(num_classes)
        start = time.perf_counter()
        fit(model, *train, steps=steps, batch_size=batch_size)
        scores[name] = score(model, *test)
        minutes = (time.perf_counter() - start) / 60
        print(
            f"{model.name}: {steps} steps of {batch_size}, {minutes:.1f} minutes, mean IoU {scores[name]['mean_iou']:.3f}"
        )
    print(table(scores["unet"], scores["patch"]))


if __name__ == "__main__":
    main()
