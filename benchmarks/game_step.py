"""What a step of the game costs, beside the steps that it is made of and beside the textbook's.

    python -m benchmarks.game_step                                # the pipeline's discriminator
    python -m benchmarks.game_step --filters 64 --stride 1        # the paper's: 64 channels, every pixel
    python -m benchmarks.game_step --costs                        # what narrower and coarser discriminators cost

U-Net against the two-branch discriminator, one logit for each image, 240 x 180, batch 8. All steps take turns in one run, so that
a busy machine slows all alike; medians, and quartiles in brackets. The textbook's step runs the segmentor for each half and the
discriminator for each half; its segmentor's half takes no gradient of the discriminator's weights (graphs leave out what nobody
asks for).

Bars: the game's step at most 1.15 of the segmentor's and the discriminator's together, and at most 0.85 of the textbook's.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

import kseg
from kseg import losses
from kseg.labels import VOID
from pipeline.settings.config import Config, resolved

SIZE, BATCH, CLASSES = (180, 240), 8, 8
WEIGHT = 0.1
MOST_OF_PARTS, MOST_OF_TEXTBOOK = 1.15, 0.85
BCE = keras.losses.BinaryCrossentropy(from_logits=True)


def segmentor() -> keras.Model:
    """The pipeline's U-Net."""
    return kseg.UNet(CLASSES, filters=resolved(Config()).trainer.filters, batch_normalization=True)


def pictures() -> tuple[tf.Tensor, tf.Tensor]:
    """A batch of noise and its labels: the cost does not depend on what is seen."""
    random = np.random.default_rng(0)
    x = random.uniform(0, 255, (BATCH, *SIZE, 3)).astype("float32")
    return tf.constant(x), tf.constant(random.integers(0, CLASSES, (BATCH, *SIZE)).astype("uint8"))


def game(filters: int, stride: int) -> kseg.SegmentationGame:
    """The game, compiled."""
    discriminator = kseg.discriminators.TwoBranch(CLASSES, width=filters / 64)
    model = kseg.SegmentationGame(segmentor(), discriminator, weight=WEIGHT, label_stride=stride)
    model.compile(keras.optimizers.AdamW(1e-3), keras.optimizers.Adam(2e-4), loss=losses.CrossEntropy(VOID))
    return model


def of_segmentor(x, y) -> Callable:
    """A plain step of the segmentor."""
    model = segmentor()
    model.compile(keras.optimizers.AdamW(1e-3), loss=losses.CrossEntropy(VOID))
    return lambda: model.train_on_batch(x, y)


def of_game(x, y, filters: int, stride: int) -> Callable:
    """A step of the game."""
    model = game(filters, stride)
    return lambda: model.train_on_batch(x, y)


def of_discriminator(x, y, filters: int, stride: int) -> Callable:
    """A plain step of the discriminator on a real batch and one that is given."""
    parts = game(filters, stride)
    _, real, fake = parts.play(x, y)

    @tf.function
    def step(real, fake):
        return _judge(parts, real, fake)

    return lambda: step(real, fake).numpy()  # which waits for the device, as `train_on_batch` does


def of_textbook(x, y, filters: int, stride: int) -> Callable:
    """A step of the game as it is usually written: each half by itself."""
    parts = game(filters, stride)
    task, variables = losses.CrossEntropy(VOID), parts.segmentor.trainable_variables

    @tf.function
    def step(x, y):
        _, real, fake = parts.play(x, y)
        _judge(parts, real, fake)
        with tf.GradientTape() as tape:
            logits, _, fake = parts.play(x, y)
            verdict = parts.discriminator(fake, training=True)
            loss = task(y, logits) + WEIGHT * BCE(tf.ones_like(verdict), verdict)
        parts.optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return lambda: step(x, y).numpy()


def _judge(parts, real, fake):
    """The discriminator's half; its loss."""
    variables = parts.discriminator.trainable_variables
    with tf.GradientTape() as tape:
        on_real, on_fake = (parts.discriminator(shown, training=True) for shown in (real, fake))
        loss = BCE(tf.ones_like(on_real), on_real) + BCE(tf.zeros_like(on_fake), on_fake)
    parts.discriminator_optimizer.apply(tape.gradient(loss, variables), variables)
    return loss


def seconds(steps: dict[str, Callable], rounds: int) -> dict[str, np.ndarray]:
    """Times (rounds,) of each step, which take turns, after two that are not counted."""
    times = {name: [] for name in steps}
    for turn in range(rounds + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn >= 2:
                times[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in times.items()}


def main() -> None:
    """Measures and prints one table."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    defaults = resolved(Config()).trainer
    parser.add_argument("--filters", type=int, default=defaults.discriminator_filters, help="of the discriminator")
    parser.add_argument("--stride", type=int, default=defaults.label_stride, help="of what it sees")
    parser.add_argument("--precision", default=defaults.precision)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--costs", action="store_true", help="other discriminators instead")
    arguments = parser.parse_args()
    keras.config.set_dtype_policy(arguments.precision)
    x, y = pictures()
    if arguments.costs:
        print(costs(x, y, arguments.rounds))
        return
    chosen = arguments.filters, arguments.stride
    found = seconds(
        {
            "segmentor": of_segmentor(x, y),
            "discriminator": of_discriminator(x, y, *chosen),
            "game": of_game(x, y, *chosen),
            "textbook": of_textbook(x, y, *chosen),
        },
        arguments.rounds,
    )
    print(table(found, arguments))


def table(found: dict[str, np.ndarray], arguments) -> str:
    """Times and the two ratios, as Markdown."""
    parts = np.median(found["segmentor"]) + np.median(found["discriminator"])
    lines = [
        f"U-Net, two-branch discriminator of {arguments.filters} filters at stride {arguments.stride}, 240 x 180, batch {BATCH}, "
        f"{arguments.precision}, {arguments.rounds} rounds.",
        "",
        "| step | seconds | of segmentor + discriminator | of the textbook's |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, times in found.items():
        low, middle, high = np.percentile(times, (25, 50, 75))
        against = f"{middle / parts:.2f} | {middle / np.median(found['textbook']):.2f}"
        lines.append(f"| {name} | {middle:.3f} ({low:.3f} to {high:.3f}) | {against} |")
    of_parts, of_textbook = (np.median(found["game"]) / whole for whole in (parts, np.median(found["textbook"])))
    held = of_parts <= MOST_OF_PARTS and of_textbook <= MOST_OF_TEXTBOOK
    lines += ["", f"Bars {MOST_OF_PARTS} and {MOST_OF_TEXTBOOK}: {'held' if held else 'FAILED'}."]
    return "\n".join(lines)


def costs(x, y, rounds: int) -> str:
    """What a step of the game costs with other discriminators, as Markdown, in steps of the segmentor alone."""
    sizes = [(filters, stride) for filters in (8, 16, 32, 64) for stride in (1, 2, 4) if filters / stride <= 32]
    steps = {"segmentor": of_segmentor(x, y)} | {size: of_game(x, y, *size) for size in sizes}
    found = {name: np.median(times) for name, times in seconds(steps, rounds).items()}
    lines = ["| filters | stride | game's step, in plain steps |", "| ---: | ---: | ---: |"]
    lines += [
        f"| {filters} | {stride} | {found[filters, stride] / found['segmentor']:.2f} |" for filters, stride in sizes
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
