"""Trains and scores one segmentor, with or without an adversary, from one seed. TensorFlow."""

from __future__ import annotations

import statistics
import time

import keras
import numpy as np
import tensorflow as tf

import kseg
from benchmarks.adversarial_gain import structure
from benchmarks.adversarial_gain.pictures import Data, Pictures
from benchmarks.adversarial_gain.settings import Setting
from kseg import losses, metrics
from kseg.data.augment import Augment
from kseg.labels import VOID
from kseg.pairs.class_balance import class_weights

FILTERS = (16, 32, 64, 128)
BATCH = 8
SCALE, CROP_SCALE = (1.0, 1.6), (0.75, 1.25)
TOLERANCE = 1.0  # pixels, of boundary F1
COST_STEPS = 20
"""Steps timed together to compare the arms' costs."""


def train(
    data: Data, setting: Setting, seed: int, steps: int, start: keras.Model | None = None
) -> tuple[keras.Model, float]:
    """Trains a segmentor from `seed`, with the initial weights, order of images and augmentations of every arm.

    Args:
        data: with a split to train on.
        setting: of the arm.
        seed: of all random draws.
        steps: of 8 images each.
        start: segmentor to continue from; None: a new one.

    Returns:
        The trained segmentor, and the seconds of training after its first step.
    """
    model = build_model(data, setting, seed, steps, start)
    clock = Clock()
    model.fit(
        batches(data.splits["train"], seed, data.crop_size),
        steps_per_epoch=steps,
        shuffle=False,
        verbose=0,
        callbacks=[clock],
    )
    return getattr(model, "segmentor", model), clock.seconds


def build_model(data: Data, setting: Setting, seed: int, steps: int, start: keras.Model | None = None) -> keras.Model:
    """The compiled segmentor, or its game with a discriminator; the segmentor's initial weights depend on `seed` alone."""
    keras.utils.set_random_seed(seed)
    classes = len(data.class_names)
    segmentor = start or make_segmentor(setting, classes)
    weights = None
    if setting.balanced:
        pixels = np.bincount(data.splits["train"].label_maps.ravel(), minlength=256)[:classes]
        weights = tuple(class_weights(pixels))
    loss = losses.CrossEntropy(ignore_class=VOID, class_weights=weights, label_smoothing=setting.smoothing)
    if setting.dice:
        loss = loss + setting.dice * losses.Dice(ignore_class=VOID)
    if setting.hardest:
        loss = loss + setting.hardest * losses.CrossEntropy(ignore_class=VOID, class_weights=weights, top_k=0.25)
    if setting.boundary:
        loss = loss + setting.boundary * losses.BoundaryCrossEntropy(ignore_class=VOID, class_weights=weights)
    if setting.even:
        loss = loss + setting.even * losses.CrossEntropy(ignore_class=VOID)
    schedule = keras.optimizers.schedules.CosineDecay(setting.learning_rate, steps)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=setting.weight_decay)
    if not setting.weight:
        segmentor.compile(optimizer, loss=loss)
        return segmentor
    game = kseg.SegmentationGame(
        segmentor,
        _discriminator(setting, classes),
        weight=setting.weight,
        objective=setting.objective,
        formulation=setting.game,
        encoding=setting.encoding,
        label_stride=setting.stride,
        schedule=kseg.Schedule(pretrain_player=setting.pretrain, ramp=setting.ramp),
    )
    game.compile(optimizer, keras.optimizers.Adam(setting.discriminator_rate, beta_1=0.5), loss=loss)
    return game


def make_segmentor(setting: Setting, classes: int) -> keras.Model:
    """The network of a setting, with ImageNet weights where it has a trunk."""
    if setting.network == "light_fpn":
        return kseg.LightFPN(classes, encoder="efficientnet_lite0", weights="imagenet")
    return kseg.UNet(classes, filters=FILTERS, batch_normalization=True)


def _discriminator(setting, classes):
    seen = 3 * classes if setting.encoding == "product" else classes
    networks = kseg.discriminators
    if setting.discriminator == "two_branch":
        return networks.TwoBranch(seen, width=setting.filters / 64, spectral_normalization=setting.game == "segan")
    if setting.discriminator == "unet":
        return networks.UNet(seen, base_filters=setting.filters)
    if setting.discriminator == "large_fov":
        return networks.LargeFOV(seen, input_shape=(None, None, 3), width=setting.filters / 96)
    if setting.discriminator == "fully_convolutional":
        return networks.FullyConvolutional(seen, base_filters=setting.filters)
    return networks.PatchGAN(seen, base_filters=setting.filters)


def batches(pictures: Pictures, seed: int, crop_size: tuple[int, int] | None = None) -> tf.data.Dataset:
    """Endless batches of whole images, or of crops as in the pipeline; order and augmentations are functions of `seed`."""
    if crop_size:
        augment = Augment(crop_size, working_scale=1.0, scale=CROP_SCALE)
    else:
        augment = Augment(pictures.label_maps.shape[1:], scale=SCALE, photometric=False)
    pairs = tf.data.Dataset.from_tensor_slices((pictures.images, pictures.label_maps))
    pairs = pairs.shuffle(len(pictures.images), seed=seed).repeat().enumerate()
    changed = pairs.map(lambda step, pair: augment(*pair, seed=(seed, step)), num_parallel_calls=2)
    return changed.batch(BATCH, drop_remainder=True).prefetch(2)


class Clock(keras.callbacks.Callback):
    """Seconds between the end of the first step and the end of the last."""

    seconds = 0.0

    def __init__(self, now=time.perf_counter):
        super().__init__()
        self.now = now

    def on_train_batch_end(self, batch, logs=None):
        if batch == 0:
            self.start = self.now()
        self.seconds = self.now() - self.start


def cost_ratio(data: Data, plain: Setting, adversarial: Setting, rounds: int = 9, now=time.perf_counter) -> float:
    """Time of the game's `fit` divided by that of plain training: medians of `COST_STEPS` steps, run alternately.

    Args:
        data: to train on.
        plain: setting without an adversary.
        adversarial: the other setting.
        rounds: of both.
        now: clock, in seconds; with `time.process_time` they are CPU seconds of all threads.
    """
    models = [build_model(data, setting, seed=0, steps=1) for setting in (plain, adversarial)]
    seconds = [[], []]
    for turn in range(rounds + 1):
        for model, times in zip(models, seconds, strict=True):
            clock = Clock(now)
            stream = batches(data.splits["train"], turn, data.crop_size)
            model.fit(stream, steps_per_epoch=COST_STEPS + 1, shuffle=False, verbose=0, callbacks=[clock])
            if turn:  # the first one traces
                times.append(clock.seconds)
    plain_seconds, game_seconds = map(statistics.median, seconds)
    return game_seconds / plain_seconds


def score(model: keras.Model, data: Data, split: str) -> dict[str, float | list[float]]:
    """Scores on a split.

    Returns:
        mean_iou, boundary_f1, iou (K,), and on streets wheels, lines, neighbours: of `structure`.
    """
    pictures, classes = data.splits[split], len(data.class_names)
    parts = [pictures.images[at : at + BATCH].astype("float32") for at in range(0, len(pictures.images), BATCH)]
    predicted = np.concatenate([np.argmax(model.predict_on_batch(part), axis=-1) for part in parts]).astype(np.uint8)
    scores = metrics.scores(metrics.confusion_matrix(pictures.label_maps, predicted, classes))
    boundary = metrics.boundary_scores(metrics.boundary_counts(pictures.label_maps, predicted, classes, TOLERANCE))
    found = {"mean_iou": scores["mean_iou"], "boundary_f1": boundary["boundary_f1"], "iou": scores["iou"]}
    if data.impossible is None:
        return found
    maps = zip(pictures.label_maps, pictures.cars, predicted, strict=True)
    return found | structure.shares([structure.count_structure(*one, data.impossible) for one in maps])
