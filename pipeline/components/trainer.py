"""trainer: a segmentor learns from the prepared pairs, alone or in the game against a discriminator.

Reads the transform artifact. Leaves below `out`: `model.keras` (the segmentor with its best weights on validation),
`game.keras` (both networks and both optimizers as training ended, where there was a game), `saved_model/` (what is served),
`history.json`, TensorBoard's `logs/`, and `overlays/` with a sheet of pictures for each epoch. What a killed run left below `out`
is gone on from, bit for bit with `deterministic`. TensorFlow.
"""

from __future__ import annotations

import json
import math
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

from kseg import callbacks, data, distribute, games, losses, metrics, serving
from kseg.labels import VOID, LabelMap
from pipeline import networks, progress
from pipeline.config import Trainer

OVERLAY_IMAGES = 4
CHECKPOINT, BEST = "checkpoint.npz", "best.weights.h5"  # while training


def trainer(out: pathlib.Path, config: Trainer, *, transform: pathlib.Path):
    """Trains, keeps the weights that scored best on validation, and exports them.

    Args:
        out: folder to write below.
        config: network, loss and schedule.
        transform: artifact of the transform component.
    """
    plan = json.loads((transform / "plan.json").read_text())
    labels = LabelMap.load(transform)
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        with distribute.strategy(config.strategy).scope():
            segmentor = networks.segmentor(config, labels.num_classes, plan["channels"])
            steps = max(1, plan["examples"]["train"] // config.batch_size)
            model = _compiled(segmentor, config, plan, labels, steps)
        history = _fit(model, segmentor, out, config, plan, labels, transform, steps)
    finally:
        keras.config.set_dtype_policy(policy)
    if model is not segmentor:
        model.save(out / "game.keras")
    segmentor.load_weights(out / BEST)
    segmentor.save(out / "model.keras")
    serving.export(
        segmentor,
        out / "saved_model",
        labels=labels,
        image_size=tuple(plan["image_size"]),
        tiles=config.tiles,
        crf=config.crf,
    )
    (out / "history.json").write_text(json.dumps(history, indent=1))
    for name in (CHECKPOINT, BEST):  # last, and in this order: a killed run goes on from the first, with the other
        (out / name).unlink()
        (out / f".{name}").unlink(missing_ok=True)  # of a run killed while writing


def _compiled(segmentor, config, plan, labels, steps) -> keras.Model:
    """The segmentor itself, or the game around it, ready for `fit`."""
    loss = losses.CrossEntropy(ignore_class=VOID, class_weights=plan["class_weights"])
    if config.dice_weight:
        loss = loss + config.dice_weight * losses.Dice(ignore_class=VOID)
    settings = {
        "optimizer": keras.optimizers.AdamW(
            _schedule(config.learning_rate, config.epochs * steps), weight_decay=config.weight_decay
        ),
        "loss": loss,
        "metrics": [metrics.ConfusionMatrix(labels.num_classes, ignore_class=VOID)],
        "jit_compile": config.jit or "auto",
    }
    model = segmentor
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
    monitored = "validation" if plan["examples"].get("validation") else "train"
    validation = data.evaluation_set(transform, split=monitored, size=size, batch_size=batch)
    images, label_maps = _spread(transform, monitored, size)
    best = callbacks.BestCheckpoint(out / BEST, segmentor)
    resume = callbacks.Resume(
        out / CHECKPOINT,
        steps_per_epoch=steps,
        batch=tuple(np.repeat(part[:1], batch, axis=0) for part in (images, label_maps)),
        best=best,
        seconds=config.checkpoint_seconds,
    )
    training = data.training_set(
        transform,
        size=size,
        batch_size=batch,
        seed=config.seed,
        scale=config.scale,
        photometric=config.photometric,
        first=resume.step,
    )
    health = callbacks.GameHealth(out / "nonfinite", on_nonfinite=config.on_nonfinite, say=progress.say)
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
                *([] if model is segmentor else [health]),
                best,
                callbacks.Overlays(labels, images, label_maps, out / "overlays", log_dir=out / "logs" / "overlays"),
                keras.callbacks.TensorBoard(out / "logs", write_graph=False),
                *([] if terminal else [_PlainLines(config.epochs, resume.epoch)]),
                resume,
            ],
        )
    return resume.history


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
