"""A small game trained under a strategy, for test_replicas. Each case needs its own process: a second MirroredStrategy in
one process fails ("Shape mismatch in the collective instance").

    python replicas_case.py mirrored 1 result.npz     # two logical CPU devices, with batch normalisation
    python replicas_case.py mirrored 0 result.npz 1   # with a schedule in which the networks alternate
    python replicas_case.py mirrored 0 result.npz 0 gambler
    python replicas_case.py multiworker 0 result.npz  # one device, for each process that TF_CONFIG lists
"""

import sys

import keras
import numpy as np
from keras import layers

from kseg.blocks import batch_norm

K = 3


def segmentor(batch_normalization: bool = False, channels: int = 3) -> keras.Model:
    """Two convolutions from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K)."""
    image = keras.Input((None, None, channels), name="image")
    x = layers.Conv2D(6, 3, padding="same", name="down1_conv")(layers.Rescaling(1 / 64, -2)(image))
    if batch_normalization:
        x = batch_norm("down1_norm")(x)
    x = layers.ReLU()(x)
    return keras.Model(image, layers.Conv2D(K, 1, dtype="float32", name="logits")(x), name="segmentor")


def discriminator(batch_normalization: bool = False, channels: int = 3, maps: int = K) -> keras.Model:
    """From [image, label map (B, H, W, maps)] to one logit for each image."""
    image = keras.Input((None, None, channels), name="image")
    label_map = keras.Input((None, None, maps), name="label_map")
    x = layers.Concatenate()([layers.Rescaling(1 / 64, -2)(image), label_map])
    x = layers.Conv2D(5, 3, padding="same", name="joint_conv")(x)
    if batch_normalization:
        x = batch_norm("joint_norm")(x)
    x = layers.GlobalAveragePooling2D()(layers.LeakyReLU()(x))
    return keras.Model([image, label_map], layers.Dense(1, dtype="float32", name="score")(x), name="discriminator")


def bets() -> keras.Model:
    """From [image, label map] to a logit for each pixel."""
    image, label_map = keras.Input((None, None, 3), name="image"), keras.Input((None, None, K), name="label_map")
    x = layers.Concatenate()([layers.Rescaling(1 / 64, -2)(image), label_map])
    x = layers.Conv2D(5, 3, padding="same", activation="relu", name="joint_conv")(x)
    return keras.Model([image, label_map], layers.Conv2D(1, 1, dtype="float32", name="score")(x), name="bets")


def pairs(count: int = 8, size: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Images (B, H, W, 3) float32 and ids (B, H, W) uint8; void from none of the first image to all of the last."""
    draw = np.random.default_rng(1)
    images = draw.uniform(0, 255, (count, size, size, 3)).astype(np.float32)
    ids = images.argmax(axis=-1).astype(np.uint8)
    void = draw.random(ids.shape) < np.linspace(0, 1.01, count)[:, None, None]
    return images, np.where(void, 255, ids).astype(np.uint8)


def train(
    strategy_name: str, batch_normalization: bool, alternate: bool = False, formulation: str = "adversarial"
) -> dict[str, np.ndarray]:
    """20 steps of both networks under SGD, batches of 4 and a last one of 3; returns logs, counts and final weights."""
    from kseg.games import Schedule, SegmentationGame
    from kseg.losses import CrossEntropy, Dice
    from kseg.metrics import ConfusionMatrix
    from kseg.training.callbacks.game_health import GameHealth
    from kseg.training.distribution import strategy

    devices = strategy(strategy_name)  # before anything is computed
    keras.utils.set_random_seed(0)
    images, ids = pairs(count=7)
    schedule = Schedule(pretrain_discriminator=4, alternate_every=2, ramp=12) if alternate else None
    with devices.scope():
        mean_iou = ConfusionMatrix(K)
        opponent = bets() if formulation == "gambler" else discriminator(batch_normalization)
        rules = {"weight": 0.5, "schedule": schedule, "formulation": formulation}
        game = SegmentationGame(segmentor(batch_normalization), opponent, **rules, name="game")
        game.compile(
            keras.optimizers.SGD(0.3),
            keras.optimizers.SGD(0.3),
            loss=CrossEntropy(255, class_weights=[1, 2, 3]) + 0.5 * Dice(255),
            metrics=[mean_iou],
        )
    say = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print("epoch", epoch, flush=True))
    settings = {"batch_size": 4, "epochs": 10, "shuffle": False, "verbose": 0, "callbacks": [GameHealth(None), say]}
    history = game.fit(images, ids, validation_data=(images, ids), **settings)
    result = {"replicas": np.array(game.distribute_strategy.num_replicas_in_sync)}
    result |= {f"logs/{name}": np.array(values) for name, values in history.history.items()}
    result |= {f"weights/{weight.path}": keras.ops.convert_to_numpy(weight) for weight in game.weights}
    return result | {"matrix": mean_iou.matrix()}


if __name__ == "__main__":
    import tensorflow as tf

    if sys.argv[1] == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    tf.config.set_visible_devices([], "GPU")
    np.savez(sys.argv[3], **train(sys.argv[1], sys.argv[2] == "1", sys.argv[4:5] == ["1"], *sys.argv[5:]))
