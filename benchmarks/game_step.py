"""The cost of a step of the game, compared with the sum of its parts and with the textbook's step.

    python -m benchmarks.game_step                                # the pipeline's discriminator
    python -m benchmarks.game_step --filters 64 --stride 1        # the paper's: 64 channels, every pixel
    python -m benchmarks.game_step --costs                        # narrower and coarser discriminators
    python -m benchmarks.game_step --formulations                 # the other formulations, in CPU seconds

U-Net against the two-branch discriminator, one logit per image, 240 x 180, batch 8. The steps run alternately in one process,
so that a busy machine slows all equally; medians, quartiles in brackets. The textbook's step runs both networks once for each
half; its segmentor's half computes no gradient of the discriminator's weights (graphs prune unused results).

Limits: the game's step takes at most 1.15 of the segmentor's plus the discriminator's, and at most 0.85 of the textbook's. A step
with distances of features takes at most 1.10 of the game's with two backward passes through the same discriminator, which has
spectral normalisation for this; the gambler's at most 1.15 of the segmentor's plus that of the gambler alone. These are CPU
seconds of all threads, which other work on the machine changes least.
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
from kseg.games.formulations import FORMULATIONS, Shown, gambler
from kseg.labels import VOID
from pipeline.settings.config import Config, resolve_auto

SIZE, BATCH, CLASSES = (180, 240), 8, 8
WEIGHT = 0.1
MAX_OF_PARTS, MAX_OF_TEXTBOOK, MAX_OF_TWO_PASSES = 1.15, 0.85, 1.10
BCE = keras.losses.BinaryCrossentropy(from_logits=True)


def make_segmentor() -> keras.Model:
    """The pipeline's U-Net."""
    return kseg.UNet(CLASSES, filters=resolve_auto(Config()).trainer.filters, batch_normalization=True)


def make_batch() -> tuple[tf.Tensor, tf.Tensor]:
    """A batch of noise and its labels: the cost does not depend on the content."""
    random = np.random.default_rng(0)
    x = random.uniform(0, 255, (BATCH, *SIZE, 3)).astype("float32")
    return tf.constant(x), tf.constant(random.integers(0, CLASSES, (BATCH, *SIZE)).astype("uint8"))


def make_game(filters: int, stride: int) -> kseg.SegmentationGame:
    """The game, compiled."""
    discriminator = kseg.discriminators.TwoBranch(CLASSES, width=filters / 64)
    model = kseg.SegmentationGame(make_segmentor(), discriminator, weight=WEIGHT, label_stride=stride)
    model.compile(keras.optimizers.AdamW(1e-3), keras.optimizers.Adam(2e-4), loss=losses.CrossEntropy(VOID))
    return model


def make_formulation(formulation: str, filters: int, stride: int) -> kseg.SegmentationGame:
    """A game in one of the formulations, compiled; all but the gambler have the same discriminator, of two passes."""
    if formulation == "gambler":
        network = kseg.discriminators.UNet(CLASSES, base_filters=filters)
    else:
        network = kseg.discriminators.TwoBranch(CLASSES, width=filters / 64, spectral_normalization=True)
    model = kseg.SegmentationGame(
        make_segmentor(), network, weight=WEIGHT, formulation=formulation, label_stride=stride
    )
    model.compile(keras.optimizers.AdamW(1e-3), keras.optimizers.Adam(2e-4), loss=losses.CrossEntropy(VOID))
    return model


def make_formulation_step(x, y, formulation: str, filters: int, stride: int) -> Callable:
    """A step of a game in one of the formulations."""
    model = make_formulation(formulation, filters, stride)
    return lambda: model.train_on_batch(x, y)


def make_gambler_step(x, y, filters: int, stride: int) -> Callable:
    """A step of the gambler alone, against given predictions."""
    parts = make_formulation("gambler", filters, stride)
    logits, real, fake = parts.play(x, y)
    variables = parts.discriminator.trainable_variables

    @tf.function
    def step(real, fake, y, logits):
        with tf.GradientTape() as tape:
            loss = -gambler(parts, Shown(real, fake, y, logits, (1.0, 1.0))).adversarial_loss
        parts.discriminator_optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return lambda: step(real, fake, y, logits).numpy()


def make_segmentor_step(x, y) -> Callable:
    """A plain step of the segmentor."""
    model = make_segmentor()
    model.compile(keras.optimizers.AdamW(1e-3), loss=losses.CrossEntropy(VOID))
    return lambda: model.train_on_batch(x, y)


def make_game_step(x, y, filters: int, stride: int) -> Callable:
    """A step of the game."""
    model = make_game(filters, stride)
    return lambda: model.train_on_batch(x, y)


def make_discriminator_step(x, y, filters: int, stride: int) -> Callable:
    """A plain step of the discriminator on a real and a fake batch."""
    parts = make_game(filters, stride)
    _, real, fake = parts.play(x, y)

    @tf.function
    def step(real, fake):
        return _train_discriminator(parts, real, fake)

    return lambda: step(real, fake).numpy()  # which waits for the device, as `train_on_batch` does


def make_textbook_step(x, y, filters: int, stride: int) -> Callable:
    """A step of the game as textbooks write it: one half after the other."""
    parts = make_game(filters, stride)
    task, variables = losses.CrossEntropy(VOID), parts.segmentor.trainable_variables

    @tf.function
    def step(x, y):
        _, real, fake = parts.play(x, y)
        _train_discriminator(parts, real, fake)
        with tf.GradientTape() as tape:
            logits, _, fake = parts.play(x, y)
            verdict = parts.discriminator(fake, training=True)
            loss = task(y, logits) + WEIGHT * BCE(tf.ones_like(verdict), verdict)
        parts.optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return lambda: step(x, y).numpy()


def _train_discriminator(parts, real, fake):
    """One step of the discriminator; returns its loss."""
    variables = parts.discriminator.trainable_variables
    with tf.GradientTape() as tape:
        on_real, on_fake = (parts.discriminator(shown, training=True) for shown in (real, fake))
        loss = BCE(tf.ones_like(on_real), on_real) + BCE(tf.zeros_like(on_fake), on_fake)
    parts.discriminator_optimizer.apply(tape.gradient(loss, variables), variables)
    return loss


def measure_seconds(
    steps: dict[str, Callable], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, np.ndarray]:
    """Times (rounds,) of each step by `clock`, run alternately, after two warm-up rounds."""
    times = {name: [] for name in steps}
    for turn in range(rounds + 2):
        for name, step in steps.items():
            start = clock()
            step()
            if turn >= 2:
                times[name].append(clock() - start)
    return {name: np.array(values) for name, values in times.items()}


def main() -> None:
    """Measures, and prints one table."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    defaults = resolve_auto(Config()).trainer
    parser.add_argument(
        "--filters", type=int, default=defaults.discriminator_filters, help="filters of the discriminator"
    )
    parser.add_argument("--stride", type=int, default=defaults.label_stride, help="stride of its inputs")
    parser.add_argument("--precision", default=defaults.precision)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--costs", action="store_true", help="compare other discriminators instead")
    parser.add_argument("--formulations", action="store_true", help="compare these instead")
    arguments = parser.parse_args()
    keras.config.set_dtype_policy(arguments.precision)
    x, y = make_batch()
    if arguments.costs:
        print(compare_costs(x, y, arguments.rounds))
        return
    chosen = arguments.filters, arguments.stride
    if arguments.formulations:
        print(compare_formulations(x, y, *chosen, arguments.rounds))
        return
    found = measure_seconds(
        {
            "segmentor": make_segmentor_step(x, y),
            "discriminator": make_discriminator_step(x, y, *chosen),
            "game": make_game_step(x, y, *chosen),
            "textbook": make_textbook_step(x, y, *chosen),
        },
        arguments.rounds,
    )
    print(format_table(found, arguments))


def format_table(found: dict[str, np.ndarray], arguments) -> str:
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
    of_parts, make_textbook_step = (np.median(found["game"]) / whole for whole in (parts, np.median(found["textbook"])))
    held = of_parts <= MAX_OF_PARTS and make_textbook_step <= MAX_OF_TEXTBOOK
    lines += ["", f"Limits {MAX_OF_PARTS} and {MAX_OF_TEXTBOOK}: {'held' if held else 'FAILED'}."]
    return "\n".join(lines)


def compare_costs(x, y, rounds: int) -> str:
    """The cost of the game's step with other discriminators, in steps of the segmentor alone, as Markdown."""
    sizes = [(filters, stride) for filters in (8, 16, 32, 64) for stride in (1, 2, 4) if filters / stride <= 32]
    steps = {"segmentor": make_segmentor_step(x, y)} | {size: make_game_step(x, y, *size) for size in sizes}
    found = {name: np.median(times) for name, times in measure_seconds(steps, rounds).items()}
    lines = ["| filters | stride | game's step, in plain steps |", "| ---: | ---: | ---: |"]
    lines += [
        f"| {filters} | {stride} | {found[filters, stride] / found['segmentor']:.2f} |" for filters, stride in sizes
    ]
    return "\n".join(lines)


def compare_formulations(x, y, filters: int, stride: int, rounds: int) -> str:
    """CPU seconds of a step in each formulation, and their ratios to what bounds them, as Markdown."""
    steps = {"segmentor": make_segmentor_step(x, y), "gambler alone": make_gambler_step(x, y, filters, stride)}
    steps |= {name: make_formulation_step(x, y, name, filters, stride) for name in FORMULATIONS}
    found = {name: np.median(times) for name, times in measure_seconds(steps, rounds, time.process_time).items()}
    parts = found["segmentor"] + found["gambler alone"]
    bounds = {"embedding": found["adversarial"], "segan": found["adversarial"], "gambler": parts}
    lines = ["| step | CPU seconds | of the bound |", "| --- | ---: | ---: |"]
    lines += [
        f"| {name} | {seconds:.3f} | {f'{seconds / bounds[name]:.2f}' if name in bounds else ''} |"
        for name, seconds in found.items()
    ]
    limits = {"embedding": MAX_OF_TWO_PASSES, "segan": MAX_OF_TWO_PASSES, "gambler": MAX_OF_PARTS}
    held = all(found[name] / bounds[name] <= limit for name, limit in limits.items())
    return "\n".join([*lines, "", f"Limits {MAX_OF_TWO_PASSES} and {MAX_OF_PARTS}: {'held' if held else 'FAILED'}."])


if __name__ == "__main__":
    main()
