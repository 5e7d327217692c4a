"""What `fit` trains: loss, optimizer and schedule of a segmentor, and the game around it. Keras, TensorFlow.

The trainer trains what is compiled here; the planner measures the seconds of its steps.
"""

from __future__ import annotations

import contextlib

import keras
import tensorflow as tf

from kseg import games, losses
from kseg.encoders.names import trunk_weights
from kseg.labels import VOID
from kseg.pairs.split_names import TARGET, UNLABELLED
from kseg.training import distribution as distribute
from kseg.training import optimizers
from pipeline import networks
from pipeline.settings.trainer import ADAPTATIONS, Trainer, has_discriminator, resolve_game


@contextlib.contextmanager
def environment(config: Trainer):
    """Seeds, precision and devices, to be set before the first variable is made; afterwards the precision is what it was.

    Args:
        config: the trainer's settings.

    Yields:
        The strategy of `config`, as in `kseg.training.distribution.strategy`.
    """
    keras.utils.set_random_seed(config.seed)
    if config.deterministic and not config.jit:  # Keras does not compile deterministic operations by XLA
        tf.config.experimental.enable_op_determinism()
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        yield distribute.strategy(config.strategy)
    finally:
        keras.config.set_dtype_policy(policy)


def whole_images(batch_size: int, crop_size: tuple[int, int], size: tuple[int, int]) -> int:
    """How many images of `size` have the pixels of a batch of crops: none if one has more."""
    return batch_size * crop_size[0] * crop_size[1] // (size[0] * size[1])


def compile_model(segmentor, metric, config: Trainer, plan: dict, num_classes: int, steps: int) -> keras.Model:
    """The segmentor itself, or the game around it, ready for `fit`.

    Args:
        segmentor: network from images (B, H, W, C) to logits (B, H, W, K).
        metric: that `fit` reports.
        config: loss, game and schedule.
        plan: `class_weights` (K,) and `channels` of the images; `examples`, pairs of each split and images without masks;
            `unlabelled_domain` of these.
        num_classes: K.
        steps: of an epoch.
    """
    # Loss, optimizer and metric.
    loss = losses.CrossEntropy(ignore_class=VOID, class_weights=plan["class_weights"])
    if config.dice_weight:
        loss = loss + config.dice_weight * losses.Dice(ignore_class=VOID)
    arguments = {
        "optimizer": _optimizer(segmentor, config, config.epochs * steps),
        "loss": loss,
        "metrics": [metric],
        "jit_compile": config.jit or "auto",
    }

    # The network alone, or copied to several devices.
    model = segmentor
    if distribute.is_replicated():
        model = distribute.Replicated(segmentor.input, segmentor.output, name=segmentor.name)

    # The averaged teacher of images without masks.
    teacher, apart = None, False
    if plan.get("examples", {}).get(UNLABELLED) and config.pseudo_label_weight:
        start = config.epochs * steps // 10 if config.teacher_start is None else config.teacher_start
        teacher = games.Teacher(
            decay=config.teacher_decay,
            threshold=config.pseudo_label_threshold,
            weight=config.pseudo_label_weight,
            start=start,
            cut_mix=config.cut_mix,
            seed=config.seed,
        )
        apart = plan["unlabelled_domain"] == TARGET
        model = games.SelfTraining(segmentor, teacher, apart=apart)

    # The game: between label maps, or between domains.
    if has_discriminator(config):
        config = resolve_game(config)
        common = {
            "objective": config.objective,
            "label_smoothing": config.label_smoothing,
            "schedule": games.Schedule(
                pretrain_player=config.pretrain_segmentor,
                pretrain_discriminator=config.pretrain_discriminator,
                alternate_every=config.alternate_every,
                ramp=config.ramp,
            ),
            "ignore_class": VOID,
            "label_stride": config.label_stride,
            "teacher": teacher,
        }
        if config.adaptation in ADAPTATIONS:
            discriminator, layer = networks.domain_discriminator(config, num_classes, segmentor)
            maps = "entropy" if config.adaptation == "entropy" else "softmax"
            judged = {"maps": maps, "features": layer}
            model = games.DomainGame(segmentor, discriminator, weight=config.domain_weight, **judged, **common)
        else:
            discriminator = networks.discriminator(config, num_classes, plan["channels"])
            played = {"formulation": config.game, "encoding": config.encoding, "apart": apart}
            model = games.SegmentationGame(
                segmentor, discriminator, weight=config.adversarial_weight, **played, **common
            )
        arguments["discriminator_optimizer"] = keras.optimizers.Adam(config.discriminator_learning_rate, beta_1=0.5)
    model.compile(**arguments)
    return model


def _optimizer(segmentor, config, steps: int) -> keras.optimizers.Optimizer:
    """Adam; with rates of its own for the trunk, if the settings say so."""
    arguments = {
        "learning_rate": _schedule(config.learning_rate, steps),
        "weight_decay": config.weight_decay or None,  # decoupled as in AdamW, which refuses 0
    }
    if config.encoder_rate == 1 and not config.freeze_steps:
        return keras.optimizers.Adam(**arguments)
    rates = {weight.path: config.encoder_rate for weight in trunk_weights(segmentor)}
    return optimizers.Adam(**arguments, rates=rates, frozen_steps=config.freeze_steps)


def _schedule(learning_rate: float, steps: int):
    """Linear warm-up over the first twentieth of all steps, then half a cosine down to 0."""
    warmup = max(1, steps // 20)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=learning_rate, warmup_steps=warmup
    )
