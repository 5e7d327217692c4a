"""How long a training step and the validation of an image take on this machine, measured. TensorFlow.

What the trainer would train is compiled and fed with noise of the sizes in question, through the same augmentation. Reading
examples is not measured: they are decoded once and then held in memory.
"""

from __future__ import annotations

import dataclasses
import gc
import math
import statistics
import time

import keras
import numpy as np
import tensorflow as tf

from kseg import metrics
from kseg.data.augment import Augment
from kseg.data.batches import PIECE
from kseg.labels import VOID
from kseg.pairs.split_names import UNLABELLED
from kseg.training.distribution import devices
from pipeline import networks
from pipeline.engine import hardware
from pipeline.planning.choosing import Cost, Settings
from pipeline.settings.trainer import Trainer
from pipeline.training.compiling import compile_model, environment, whole_images

PAIRS = 4  # of noise
WARM_UP, EPOCH = 2, 2  # steps that are not counted; steps after which the clock is looked at
FEWEST_STEPS, SECONDS = 6, 5.0  # that are measured, at least
NOT_AT_ONCE = ("pretrain_segmentor", "pretrain_discriminator", "alternate_every")
"""Settings with which one network alone learns in the first steps, the only ones that are timed."""


def count_devices(trainer: Trainer) -> int:
    """The devices of this machine among which training divides a batch; of several machines this one counts as one."""
    return 1 if trainer.strategy in ("one", "multiworker") else len(devices())


def measure(
    settings: Settings, working_size: tuple[int, int], channels: int, num_classes: int, unlabelled_domain: str = ""
) -> Cost:
    """Times a training of these settings.

    Args:
        settings: of the training; of several machines this one alone is measured, of several devices one with its share of a
            batch, since a process has at most one mirrored strategy, which is the trainer's.
        working_size: (height, width) of images as the network sees them.
        channels: C of the images.
        num_classes: K.
        unlabelled_domain: of images without masks, which the training sees beside the pairs; "": there are none.
    """
    trainer, every_step = settings.trainer, dict.fromkeys(NOT_AT_ONCE, 0)  # the dearest: both networks learn
    batch_size = max(1, trainer.batch_size // count_devices(trainer))
    trainer = dataclasses.replace(trainer, strategy="one", batch_size=batch_size, **every_step)
    crop_size = tuple(trainer.crop_size or working_size)
    with environment(trainer) as strategy:
        with strategy.scope():
            segmentor = networks.segmentor(trainer, num_classes, channels)
            metric = metrics.ConfusionMatrix(num_classes, ignore_class=VOID)
            plan = {"class_weights": [1.0] * num_classes, "channels": channels, "unlabelled_domain": unlabelled_domain}
            plan["examples"] = {UNLABELLED: 1} if unlabelled_domain else {}
            model = compile_model(segmentor, metric, trainer, plan, num_classes, 1000)
        pairs = _noise(working_size, channels, num_classes, bool(unlabelled_domain))
        step = _time_steps(model, pairs, trainer, working_size, crop_size)
        if settings.transform.image_scale:  # images are validated one by one, large ones in pieces
            piece, batch_size = _piece(working_size), 1
        else:
            piece, batch_size = working_size, max(1, whole_images(trainer.batch_size, crop_size, working_size))
        image = _time_validation(model, pairs, piece, batch_size) * math.prod(working_size) / math.prod(piece)
    del model, segmentor
    keras.backend.clear_session()
    gc.collect()
    return Cost(step, image, hardware.peak_memory())


def _noise(size, channels, num_classes, half_void: bool) -> tf.data.Dataset:
    """Endless pairs of noise: images (H, W, C) and label maps (H, W), uint8; on request every second one is void."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (PAIRS, *size, channels), np.uint8)
    label_maps = generator.integers(0, num_classes, (PAIRS, *size), np.uint8)
    if half_void:
        label_maps[1::2] = VOID
    return tf.data.Dataset.from_tensor_slices((images, label_maps)).cache().repeat()


def _time_steps(model, pairs, trainer, working_size, crop_size) -> float:
    """Median seconds of a training step."""
    change = Augment(crop_size, working_scale=working_size, scale=trainer.scale, photometric=trainer.photometric)
    batches = (
        pairs.enumerate()
        .map(lambda step, pair: change(*pair, seed=(0, step)), tf.data.AUTOTUNE)
        .batch(trainer.batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )
    clock = _StepClock()
    model.fit(batches, steps_per_epoch=EPOCH, epochs=10_000, verbose=0, shuffle=False, callbacks=[clock])
    return statistics.median(clock.seconds())


class _StepClock(keras.callbacks.Callback):
    """Notes when steps end, and stops training when it has seen enough."""

    def __init__(self):
        super().__init__()
        self._times = []

    def seconds(self) -> list[float]:
        """Of each counted step."""
        return np.diff(self._times[WARM_UP - 1 :]).tolist()

    def on_train_batch_end(self, batch, logs=None):
        self._times.append(time.perf_counter())

    def on_epoch_end(self, epoch, logs=None):
        seconds = self.seconds()
        self.model.stop_training = len(seconds) >= FEWEST_STEPS and sum(seconds) >= SECONDS


def _piece(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of what validation sees at once of an image of `size`."""
    return tuple(min(side, PIECE) for side in size) if math.prod(size) > PIECE**2 else size


def _time_validation(model, pairs, size, batch_size) -> float:
    """Median seconds of validation for an image or piece of `size`, after a first batch."""

    def cut(image, label_map):
        return tf.cast(image[: size[0], : size[1]], tf.float32), label_map[: size[0], : size[1]]

    batch = next(iter(pairs.map(cut).batch(batch_size)))
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        model.test_on_batch(*batch)
        seconds.append((time.perf_counter() - start) / batch_size)
    return statistics.median(seconds[1:])
