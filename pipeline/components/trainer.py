"""trainer: trains a segmentor on the prepared pairs, alone or in the game against a discriminator.

Reads the transform artifact. Leaves below `out`: `model.keras` (the segmentor with its best weights on validation), `game.keras`
(of a game: both networks and both optimizers at the end of training), `history.json`, `training.json` (network, hardware,
versions, time), TensorBoard's `logs/`, and `overlays/` with a sheet of pictures per epoch. A killed training resumes from what it
left below `out`, bit for bit with `deterministic`. Several machines share `out`; only the chief writes there. TensorFlow.
"""

from __future__ import annotations

import functools
import itertools
import math
import pathlib

import keras
import numpy as np

from kseg import data, games, metrics
from kseg.labels import VOID, LabelMap
from kseg.pairs.split_names import UNLABELLED
from kseg.training import callbacks
from kseg.training import distribution as distribute
from pipeline import networks
from pipeline.engine import progress
from pipeline.engine.files import read_json, write_json
from pipeline.settings.encoders import FILE, describe_weights
from pipeline.settings.trainer import Trainer, labelled_images, learned_splits
from pipeline.training import record, tensorboard
from pipeline.training.callbacks import CheckEqualWeights, EpochProgress, check_equal
from pipeline.training.compiling import compile_model, environment, whole_images

NUM_OVERLAYS = 4
CHECKPOINT, BEST = "checkpoint.npz", "best.weights.h5"  # while training


def trainer(
    out: pathlib.Path,
    config: Trainer,
    *,
    transform: pathlib.Path,
    weights: pathlib.Path | None = None,
    planned: pathlib.Path | None = None,
    name: str = "model",
):
    """Trains, and keeps the weights that scored best on validation.

    Args:
        out: folder to write below.
        config: network, loss and schedule.
        transform: artifact of the transform component.
        weights: file that the encoder begins with, for `config.weights`.
        planned: artifact of the planner, whose choices `config` holds: it led to the model.
        name: of the model; only TensorBoard's run is named after it.
    """
    plan = read_json(transform / "plan.json")
    labels = LabelMap.load(transform)

    with environment(config) as strategy:
        replicas = strategy.num_replicas_in_sync
        labelled = labelled_images(config, bool(plan["examples"].get(UNLABELLED)))
        _check_batch_size(config.batch_size, replicas, halves=labelled < config.batch_size and replicas > 1)
        pairs = sum(plan["examples"][split] for split in learned_splits(config, plan["examples"]))
        if labelled > pairs:
            progress.print_message(
                f"warning: a batch of {labelled} pairs holds each of the {pairs} training pairs more than once; "
                "lower trainer.batch_size for faster steps"
            )

        # Build, and train.
        steps = config.steps_per_epoch or max(1, pairs // labelled)
        with strategy.scope():
            start = weights if config.weights == FILE else None
            segmentor = networks.segmentor(config, labels.num_classes, plan["channels"], weights=start)
            metric = metrics.ConfusionMatrix(labels.num_classes, ignore_class=VOID)
            model = compile_model(segmentor, metric, config, plan, labels.num_classes, steps)
        history = _fit(model, segmentor, metric, out, config, plan, labels, transform, steps, name)
    if not distribute.is_chief(strategy):
        return

    pretrained = describe_weights(config, weights)

    # Save both networks as training ended, then the segmentor's best weights.
    progress.print_message("saving the networks")
    game = isinstance(model, games.SegmentationGame)
    if game:
        model.save(out / "game.keras")
    segmentor.load_weights(out / BEST)
    segmentor.save(out / "model.keras")

    # Record the training. The checkpoint goes last and before the best weights, with which a killed run resumes from it.
    write_json(out / "history.json", history)
    _write_record(out, config, segmentor, model.discriminator if game else None, plan, strategy, pretrained)
    for file in (CHECKPOINT, BEST):
        (out / file).unlink()
        (out / f".{file}").unlink(missing_ok=True)  # of a run killed while writing


def _fit(model, segmentor, metric, out, config, plan, labels, transform, steps, name) -> dict:
    """Runs `fit`; returns its history. Afterwards the best weights of the segmentor are at `BEST`."""
    strategy, game = model.distribute_strategy, isinstance(model, games.SegmentationGame)
    chief, several = distribute.is_chief(strategy), distribute.several_machines(strategy)

    # Validation data, and a few of its pairs for the overlays.
    size, batch_size = plan["image_size"] and tuple(plan["image_size"]), config.batch_size
    crop = _training_size(config, plan)
    split = "validation" if plan["examples"].get("validation") else "train"
    pairs = min(plan["examples"][split], config.validation_pairs or math.inf)
    replicas = strategy.num_replicas_in_sync
    levels = {"normalization": plan.get("normalization")}
    evaluated = {"split": split, "size": size, "pairs": pairs, **levels}
    whole = 1  # images with the pixels of a batch of crops; those that differ in size are validated one by one
    if size:
        whole = whole_images(batch_size, crop, size)
    elif replicas > 1:  # large images come in pieces
        pairs = data.evaluation_set(transform, batch_size=1, **evaluated).cardinality().numpy()
    validation_batch = _validation_batch_size(pairs, max(whole, replicas), replicas)
    evaluated |= {"batch_size": validation_batch}
    validation = distribute.of_each_machine(
        strategy, lambda machine: data.evaluation_set(transform, **evaluated, input_context=machine)
    )
    images, label_maps = _overlay_pairs(transform, split, size, crop, plan["examples"][split], levels)

    # The state of an earlier session, if it was killed.
    best = callbacks.BestCheckpoint(out / BEST, segmentor)
    health = callbacks.GameHealth(
        out / "nonfinite" if chief else None, on_nonfinite=config.on_nonfinite, warn=progress.print_message
    )
    resume = callbacks.Resume(
        out / CHECKPOINT,
        steps_per_epoch=steps,
        batch=(np.zeros((batch_size, *crop, plan["channels"]), np.uint8), np.zeros((batch_size, *crop), np.uint8)),
        best=best,
        health=health,
        seconds=config.checkpoint_seconds,
    )
    if several:
        check_equal(distribute.gather_scalar(strategy, resume.step), "steps")

    # Training data, from the step at which that session ended. Images without masks are half of each batch, or lend colours.
    draw = functools.partial(
        data.training_set,
        transform,
        size=crop,
        **levels,
        working_scale=(config.crop_size and size) if size else 1.0,  # stored at their working size
        scale=config.scale,
        photometric=config.photometric,
        initial_step=resume.step,
    )
    others, learned = bool(plan["examples"].get(UNLABELLED)), learned_splits(config, plan["examples"])
    labelled = labelled_images(config, others)

    def draw_part(machine):
        pairs = draw(split=learned, batch_size=labelled, seed=config.seed, input_context=machine)
        if not others:
            return pairs
        beside = batch_size - labelled  # 0 where they only lend their colours
        more = draw(split=UNLABELLED, batch_size=beside or batch_size, seed=config.seed + 1, input_context=machine)
        if not beside:
            return data.in_colours_of(more, pairs)
        parts = 1 if several else replicas
        return data.side_by_side(pairs, more, parts=parts, colours=config.target_colours)

    training = distribute.of_each_machine(strategy, draw_part)

    # Callbacks, of which only the chief's write; `resume` comes last, so that it saves what the others did.
    writers = []
    if chief:
        run = tensorboard.run_folder(out / "logs", name, config.model)
        tensorboard.write_settings(run, config)
        writers = [
            best,
            callbacks.Overlays(labels, images, label_maps, out / "overlays", log_dir=run / "overlays"),
            keras.callbacks.TensorBoard(run, write_graph=False),
            tensorboard.RunCurves(run, labels, None if several else metric, batch_size),  # a chief counts its own part
            record.Stopwatch(out / record.FILE, logs=run.relative_to(out).as_posix()),
        ]
    model.fit(
        training,
        epochs=config.epochs,
        initial_epoch=resume.epoch,
        steps_per_epoch=steps,
        validation_data=validation,
        verbose=0,  # EpochProgress shows it
        shuffle=False,  # the data set shuffles
        callbacks=[
            callbacks.WatchLabels(),
            *([health] if game else []),
            *([CheckEqualWeights(segmentor, strategy)] if several else []),
            *writers,
            EpochProgress(config.epochs, resume.epoch),
            resume,
        ],
    )
    return resume.history


def _write_record(out, config, segmentor, discriminator, plan, strategy, pretrained):
    """Completes `training.json`, of which the stopwatch wrote the beginning."""
    replicas = strategy.num_replicas_in_sync
    facts = read_json(out / record.FILE)
    size = plan["image_size"], plan.get("image_scale"), _training_size(config, plan)
    facts |= record.describe_training(config, segmentor, discriminator, *size, replicas)
    facts |= {"pretrained": pretrained, "trained_on": learned_splits(config, plan["examples"])}
    write_json(out / record.FILE, facts)


def _check_batch_size(batch_size: int, replicas: int, halves: bool = False):
    """With `halves` each device takes as many images with masks as without."""
    if batch_size % (replicas * (1 + halves)):
        twice = "twice " if halves else ""
        same = "the same number of images, with masks and without" if halves else "the same number of images"
        raise ValueError(
            f"`batch_size` must be a multiple of {twice}the number of devices, so that each gets {same}. "
            f"Received: trainer.batch_size={batch_size} on {replicas} devices."
        )


def _validation_batch_size(images: int, batch_size: int, replicas: int) -> int:
    """The batch size nearest to `batch_size` whose last batch, if incomplete, still has an image for every device.

    TensorFlow's convolution on CPUs gives an empty batch the wrong number of channels (oneDNN, 2.21).
    """
    sizes = sorted(range(replicas, min(images, 2 * batch_size) + 1), key=lambda size: (abs(size - batch_size), size))
    for size in sizes:
        if not 0 < images % size < replicas:
            return size
    raise ValueError(
        "Validation must have an image for each device. "
        f"Received: {images} images on {replicas} devices. Use fewer devices."
    )


def _training_size(config, plan) -> tuple[int, int]:
    """(height, width) of what a step of training sees, pixels."""
    return tuple(config.crop_size or plan.get("crop_size") or plan["image_size"])


def _overlay_pairs(transform, split, size, crop, count: int, levels) -> tuple[np.ndarray, np.ndarray]:
    """A few of the `count` pairs of the split: images (N, H, W, C) in [0, 255] and label maps (N, H, W), uint8.

    They are evenly spread over the split and of `size`, or, where that is None, crops of a few. Images are uint8, or float32
    where they are normalised.
    """
    dtype = np.float32 if levels["normalization"] else np.uint8
    if size is None:
        crops = {"size": crop, "working_scale": 1.0, "augment": False, "batch_size": min(NUM_OVERLAYS, count)}
        ((images, label_maps),) = data.training_set(transform, split=split, **crops, **levels).take(1)
        return np.clip(images, 0, 255).astype(dtype), np.asarray(label_maps)
    pairs = data.evaluation_set(transform, split=split, size=size, batch_size=1, **levels)
    selected = list(itertools.islice(pairs, 0, None, math.ceil(count / NUM_OVERLAYS)))
    images, label_maps = (np.concatenate([np.asarray(pair[part]) for pair in selected]) for part in (0, 1))
    return np.clip(images, 0, 255).astype(dtype), label_maps
