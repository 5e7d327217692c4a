"""trainer: a segmentor learns from the prepared pairs, alone or in the game against a discriminator.

Reads the transform artifact. Leaves below `out`: `model.keras` (the segmentor with its best weights on validation),
`game.keras` (both networks and both optimizers as training ended, where there was a game), `saved_model/` (what is served),
`history.json`, TensorBoard's `logs/`, and `overlays/` with a sheet of pictures for each epoch. What a killed run left below `out`
is gone on from, bit for bit with `deterministic`. Several machines get the same `out`; the chief alone writes there. TensorFlow.
"""

from __future__ import annotations

import math
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

from kseg import data, games, losses, metrics
from kseg.labels import VOID, LabelMap
from kseg.serving import exporting as serving
from kseg.training import callbacks
from kseg.training import distribution as distribute
from pipeline import networks
from pipeline.engine import progress
from pipeline.engine.files import read_json, write_json
from pipeline.settings.trainer import Trainer

OVERLAY_IMAGES = 4
CHECKPOINT, BEST = "checkpoint.npz", "best.weights.h5"  # while training


def trainer(out: pathlib.Path, config: Trainer, *, transform: pathlib.Path):
    """Trains, keeps the weights that scored best on validation, and exports them.

    Args:
        out: folder to write below.
        config: network, loss and schedule.
        transform: artifact of the transform component.
    """
    plan = read_json(transform / "plan.json")
    labels = LabelMap.load(transform)
    keras.utils.set_random_seed(config.seed)
    if config.deterministic and not config.jit:  # Keras would leave XLA alone
        tf.config.experimental.enable_op_determinism()
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        devices = distribute.strategy(config.strategy)
        _refuse_uneven(config.batch_size, devices.num_replicas_in_sync)
        with devices.scope():
            segmentor = networks.segmentor(config, labels.num_classes, plan["channels"])
            steps = max(1, plan["examples"]["train"] // config.batch_size)
            model = _compiled(segmentor, config, plan, labels, steps)
        history = _fit(model, segmentor, out, config, plan, labels, transform, steps)
    finally:
        keras.config.set_dtype_policy(policy)
    if not distribute.keeps(devices):
        return
    if isinstance(model, games.SegmentationGame):
        model.save(out / "game.keras")
    segmentor.load_weights(out / BEST)
    segmentor.save(out / "model.keras")
    serving.export(
        segmentor,
        out / "saved_model",
        labels=labels,
        image_size=tuple(plan["image_size"]),
        flips=config.flips,
        rotations=config.rotations,
        tiles=config.tiles,
        crf=config.crf,
    )
    write_json(out / "history.json", history)
    for name in (CHECKPOINT, BEST):  # last, and in this order: a killed run goes on from the first, with the other
        (out / name).unlink()
        (out / f".{name}").unlink(missing_ok=True)  # of a run killed while writing


def _compiled(segmentor, config, plan, labels, steps) -> keras.Model:
    """The segmentor itself, or the game around it, ready for `fit`."""
    loss = losses.CrossEntropy(ignore_class=VOID, class_weights=plan["class_weights"])
    if config.dice_weight:
        loss = loss + config.dice_weight * losses.Dice(ignore_class=VOID)
    settings = {
        "optimizer": keras.optimizers.Adam(
            _schedule(config.learning_rate, config.epochs * steps),
            weight_decay=config.weight_decay or None,  # apart from the moments, as in AdamW, which must decay something
        ),
        "loss": loss,
        "metrics": [metrics.ConfusionMatrix(labels.num_classes, ignore_class=VOID)],
        "jit_compile": config.jit or "auto",
    }
    model = segmentor
    if distribute.replicated():
        model = distribute.Replicated(segmentor.input, segmentor.output, name=segmentor.name)
    if config.adversarial_weight:
        discriminator = networks.discriminator(config, labels.num_classes, plan["channels"])
        model = games.SegmentationGame(
            segmentor,
            discriminator,
            weight=config.adversarial_weight,
            objective=config.objective,
            label_smoothing=config.label_smoothing,
            schedule=games.Schedule(
                pretrain_player=config.pretrain_segmentor,
                pretrain_discriminator=config.pretrain_discriminator,
                alternate_every=config.alternate_every,
                ramp=config.ramp,
            ),
            encoding=config.encoding,
            ignore_class=VOID,
            label_stride=config.label_stride,
        )
        settings["discriminator_optimizer"] = keras.optimizers.Adam(config.discriminator_learning_rate, beta_1=0.5)
    model.compile(**settings)
    return model


def _schedule(learning_rate: float, steps: int):
    """Linear warm-up over the first twentieth of all steps, then half a cosine down to 0."""
    warmup = max(1, steps // 20)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=learning_rate, warmup_steps=warmup
    )


def _fit(model, segmentor, out, config, plan, labels, transform, steps) -> dict:
    """Runs `fit`; returns its history. The best weights of the segmentor lie at `BEST` afterwards."""
    size, batch = tuple(plan["image_size"]), config.batch_size
    devices, game = model.distribute_strategy, isinstance(model, games.SegmentationGame)
    monitored = "validation" if plan["examples"].get("validation") else "train"
    shared = _shared_batch(plan["examples"][monitored], batch, devices.num_replicas_in_sync)
    validation = data.evaluation_set(transform, split=monitored, size=size, batch_size=shared)
    images, label_maps = _spread(transform, monitored, size)
    best = callbacks.BestCheckpoint(out / BEST, segmentor)
    keeps, kept = distribute.keeps(devices), []
    health = callbacks.GameHealth(
        out / "nonfinite" if keeps else None, on_nonfinite=config.on_nonfinite, say=progress.say
    )
    resume = callbacks.Resume(
        out / CHECKPOINT,
        steps_per_epoch=steps,
        batch=tuple(np.repeat(part[:1], batch, axis=0) for part in (images, label_maps)),
        best=best,
        health=health,
        seconds=config.checkpoint_seconds,
    )
    training = data.training_set(
        transform,
        size=size,
        batch_size=batch,
        seed=config.seed,
        scale=config.scale,
        photometric=config.photometric,
        initial_step=resume.step,
    )
    several = distribute.several_machines(devices)
    if several:
        _refuse_different(distribute.everywhere(devices, resume.step), "steps")
    if keeps:
        kept = [
            best,
            callbacks.Overlays(labels, images, label_maps, out / "overlays", log_dir=out / "logs" / "overlays"),
            keras.callbacks.TensorBoard(out / "logs", write_graph=False),
        ]
    terminal = sys.stdout.isatty()
    with progress.handed_over():
        model.fit(
            training,
            epochs=config.epochs,
            initial_epoch=resume.epoch,
            steps_per_epoch=steps,
            validation_data=validation,
            verbose=1 if terminal else 0,
            shuffle=False,  # the data set shuffles
            callbacks=[
                *([health] if game else []),
                *([_Alike(segmentor, devices)] if several else []),
                *kept,
                *([] if terminal else [_PlainLines(config.epochs, resume.epoch)]),
                resume,
            ],
        )
    return resume.history


def _refuse_uneven(batch_size: int, replicas: int):
    if batch_size % replicas:
        raise ValueError(
            "`batch_size` must be a multiple of the number of devices, so that each gets as many images. "
            f"Received: trainer.batch_size={batch_size} on {replicas} devices."
        )


def _refuse_different(values: list[float], what: str):
    if max(values) - min(values) > 1e-3 * max(map(abs, values)):  # machines of several kinds round differently
        raise ValueError(
            f"All machines must go on from the same checkpoint. Received: {what} {', '.join(f'{value:g}' for value in values)}. "
            "Give all of them the same --root, on a file system that they share."
        )


class _Alike(keras.callbacks.Callback):
    """Refuses to train several machines whose weights differ."""

    def __init__(self, segmentor, devices):
        super().__init__()
        self.segmentor, self.devices = segmentor, devices

    def on_epoch_begin(self, epoch, logs=None):
        size = sum(float(np.abs(weight).sum()) for weight in self.segmentor.get_weights())
        _refuse_different(distribute.everywhere(self.devices, size), "weights of the sizes")


def _shared_batch(images: int, batch_size: int, replicas: int) -> int:
    """The batch size nearest to `batch_size` whose last batch has an image for every device, or is not there.

    TensorFlow's convolution on processors gives nothing at all a wrong number of channels (oneDNN, 2.21).
    """
    sizes = sorted(range(replicas, min(images, 2 * batch_size) + 1), key=lambda size: (abs(size - batch_size), size))
    for size in sizes:
        if not 0 < images % size < replicas:
            return size
    raise ValueError(
        f"Validation must have an image for each device. Received: {images} images on {replicas} devices. Take fewer devices."
    )


def _spread(transform, split, size) -> tuple[np.ndarray, np.ndarray]:
    """A few pairs spread evenly over the split, for the overlays: images (N, H, W, C) and label maps (N, H, W), uint8."""
    pairs = list(data.evaluation_set(transform, split=split, size=size, batch_size=1))
    chosen = pairs[:: math.ceil(len(pairs) / OVERLAY_IMAGES)]
    return tuple(np.concatenate([np.asarray(pair[part]) for pair in chosen]).astype(np.uint8) for part in (0, 1))


class _PlainLines(keras.callbacks.Callback):
    """One line an epoch where the output is no terminal: what Keras's bar would show, and the time left."""

    def __init__(self, epochs, finished):
        super().__init__()
        self.epochs, self.finished = epochs, finished

    def on_train_begin(self, logs=None):
        progress.total(self.epochs)
        progress.advance(self.finished)

    def on_epoch_end(self, epoch, logs=None):
        progress.advance()
        shown = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        progress.say(shown)
