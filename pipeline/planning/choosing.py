"""Chooses network, sizes and length of a training from statistics, budget and measured seconds, with reasons.

Nothing is measured here: `measure` is given. docs/accuracy.md has what the rules rest on. Standard library only.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from pipeline.settings.changes import flatten, replace_setting
from pipeline.settings.trainer import AUTO, Trainer, in_batches, labelled_images, learned_splits
from pipeline.settings.transform import Transform
from pipeline.settings.values import as_text

NETWORK, ENCODER = "light_fpn", "efficientnet_lite0"
MIN_PASSES, MAX_PASSES = 2.0, 300.0
"""Times that training should show each part of each image at the working size: below, a smaller size scores better; above,
nothing is gained any more."""
SCALES = (1.0, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125, 0.0625)
"""Of the working size to the images' own."""
MAX_PIXELS = 1024 * 1024
"""Of images that are labelled as a whole; a larger size is neither chosen nor measured."""
MULTIPLE = 32
"""The coarsest map of the networks has one position for so many pixels: sides of crops are multiples."""
CROP_PIXELS = 256 * 192
"""Of a crop that training sees."""
BATCH_SIZE = 8
LEARNING_RATE, SCALE = 2e-3, (0.75, 1.25)
VALIDATION_SHARE, FEWEST_VALIDATIONS, MOST_VALIDATIONS = 0.1, 5, 40
"""Of the time, and how often: the best of so many epochs is exported."""
SPARE = 0.03
"""Share of the budget for checkpoints and pictures."""
TOLERANCE = 0.15
"""Share of the minutes above which a training that takes longer is warned of."""
FEW_STEPS = 300
MIXED_GAIN, MIXED_MINUTES = 0.9, 10
"""Mixed precision is taken where its step takes at most this share of the time in float32; it is tried for so many minutes."""
ORIENTATION = 0.9
"""Share of the images that are landscape, or portrait, where the box that they are fitted into is no square."""
THIN = 2.0
"""Pixels of width at the working size below which a class is likely to be lost."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """What was measured of a training: seconds of a step, seconds of validation for an image, peak of the process in bytes."""

    step: float
    image: float
    memory: int


@dataclasses.dataclass(frozen=True)
class Settings:
    """Of the components for which a plan chooses."""

    transform: Transform = dataclasses.field(default_factory=Transform)
    trainer: Trainer = dataclasses.field(default_factory=Trainer)


@dataclasses.dataclass
class Plan:
    """The settings so far, and why each was chosen.

    Attributes:
        settings: so far.
        given: names of the settings that are not to be chosen.
        choices: dictionaries of "topic", "settings" (name -> text), "reason" and "considered".
        warnings: sentences.
        measured: one row for each training that was measured.
        expected: steps, passes, seconds and memory of the training.
    """

    settings: Settings
    given: frozenset[str]
    choices: list[dict] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)
    measured: list[dict] = dataclasses.field(default_factory=list)
    expected: dict = dataclasses.field(default_factory=dict)

    def choose(self, topic: str, proposed: dict[str, object], reason: str, considered: tuple[str, ...] = ()):
        """Chooses those of the `proposed` settings that are not given, and notes the reason."""
        given = [name for name in proposed if name in self.given]
        self.assume(proposed)
        values = flatten(self.settings)
        if len(given) == len(proposed):
            reason, considered = "given", ()
        elif given:
            reason = f"{reason}; {', '.join(given)} given"
        texts = {name: as_text(values[name], name) for name in proposed}
        self.choices.append({"topic": topic, "settings": texts, "reason": reason, "considered": list(considered)})

    def assume(self, proposed: dict[str, object]):
        """Takes over those of the `proposed` settings that are not given."""
        for name, value in proposed.items():
            if name not in self.given:
                self.settings = replace_setting(self.settings, name, value)


def planned_network(trainer: Trainer) -> Trainer:
    """The settings with the network that a plan chooses where none is given."""
    if trainer.model != AUTO:
        return trainer
    return dataclasses.replace(trainer, model=NETWORK, encoder=trainer.encoder or ENCODER)


def choose(
    statistics: dict,
    settings: Settings,
    given: frozenset[str],
    minutes: float,
    *,
    cure_missing_weights: Callable[[str], str],
    measure: Callable[[Settings, tuple[int, int]], Cost],
    mixed_precision: str | None,
    devices: int = 1,
) -> Plan:
    """Plans a training.

    Args:
        statistics: of the data set, as statistics_gen leaves them.
        settings: of which the given ones stay.
        given: their names.
        minutes: of training.
        cure_missing_weights: name of an encoder -> how to get its ImageNet weights; empty where they are installed.
        measure: times a training of these settings, all of which are chosen but its length, on images of a working size
            (height, width).
        mixed_precision: policy that may be faster than float32; None where the machine has no instructions for one.
        devices: among which training divides a batch.

    Returns:
        Settings for all of `pipeline.settings.planner.PLANNED`.
    """
    plan = Plan(settings, given)
    train = statistics["splits"]["train"]
    _choose_network(plan, train["channels"], cure_missing_weights)
    _choose_batch(plan, statistics, devices)
    _choose_learning(plan, train)
    own = _own_size(train)
    _assume_size(plan, own)
    size = _working_size(plan, own)
    plan.assume({"trainer.crop_size": _crop_size(size)})
    measured = size, plan.settings.trainer.crop_size
    cost = _choose_precision(plan, size, measure, mixed_precision, minutes)
    _choose_working_size(plan, statistics, own, cost, minutes)
    size = _working_size(plan, own)
    _choose_crop(plan, size)
    if (size, plan.settings.trainer.crop_size) != measured:
        cost = _measure(plan, size, measure)
    _choose_length(plan, statistics, size, cost, minutes)
    return plan


def _choose_network(plan: Plan, channels: int, cure_missing_weights):
    if "trainer.model" in plan.given and plan.settings.trainer.model != NETWORK:
        plan.choose("network", {"trainer.model": plan.settings.trainer.model}, "given")
        return
    encoder = plan.settings.trainer.encoder if "trainer.encoder" in plan.given else ENCODER
    given = "trainer.weights" in plan.given
    cure = "" if given else cure_missing_weights(encoder)
    if cure:
        plan.warnings.append(f"The network starts from random weights, which costs many points of mean IoU. {cure}")
    weights = plan.settings.trainer.weights if given else None if cure else "imagenet"
    reasons, considered = ["a small pyramid"], ()
    if weights and not given:
        reasons.append("its trunk knows photographs of 1000 classes")
        considered = ("random weights: 11 points of mean IoU less on CamVid after 1305 steps (docs/accuracy.md)",)
    if weights and channels != 3:
        reasons.append(f"its first kernel's mean over red, green and blue stands for each channel of {channels}")
    plan.choose(
        "network",
        {"trainer.model": NETWORK, "trainer.encoder": encoder, "trainer.weights": weights},
        "; ".join(reasons),
        considered,
    )


def _choose_batch(plan: Plan, statistics: dict, devices: int):
    images = _training_images(plan, statistics)
    beside = "unlabelled" in statistics and in_batches(plan.settings.trainer)
    batch, reason = BATCH_SIZE, "enough for batch statistics"
    if (most := images * (1 + beside)) < batch:
        batch, reason = most, f"the {images} training pairs; {BATCH_SIZE} with more of them"
    part = devices * (1 + (beside and devices > 1))  # each device takes as many images with masks as without
    if batch % part:
        batch, reason = max(part, batch - batch % part), f"{reason}; each of {devices} devices takes as many"
    plan.choose("batch", {"trainer.batch_size": batch}, reason)


def _choose_learning(plan: Plan, train: dict):
    plan.choose(
        "learning",
        {"trainer.learning_rate": LEARNING_RATE, "trainer.scale": SCALE},
        "the best of those tried on CamVid (docs/accuracy.md)",
    )
    pixels = [count for count in train["class_pixels"] if count]
    ratio = max(pixels) / min(pixels) if pixels else 1.0
    plan.choose(
        "class weights",
        {"transform.class_weights": "inverse_square_root"},
        f"the most common class has {ratio:,.0f} times the pixels of the rarest",
    )


def _own_size(train: dict) -> tuple[int, int]:
    """The median (height, width) of the images; a square of the median longer side where landscape and portrait are mixed."""
    sizes = [(*map(int, size.split("x")), number) for size, number in train["sizes"].items()]
    landscape = sum(number for width, height, number in sizes if width >= height) / train["images"]
    if landscape < ORIENTATION and 1 - landscape < ORIENTATION:
        longer = sorted(max(width, height) for width, height, number in sizes for _ in range(number))
        return (longer[(len(longer) - 1) // 2],) * 2
    return train["height"]["median"], train["width"]["median"]


def _assume_size(plan: Plan, own: tuple[int, int]):
    """The largest size that may be chosen."""
    if "transform.image_scale" not in plan.given:
        sizes = [_scaled(own, scale) for scale in SCALES]
        plan.assume({"transform.image_size": next((size for size in sizes if _is_allowed(size)), sizes[-1])})


def _is_allowed(size: tuple[int, int]) -> bool:
    """Whether images of this size may be labelled as a whole."""
    return math.prod(size) <= MAX_PIXELS


def _working_size(plan: Plan, own: tuple[int, int]) -> tuple[int, int]:
    """(height, width) at which the network sees an image, where sizes differ that of the median."""
    transform = plan.settings.transform
    return _scaled(own, transform.image_scale) if transform.image_scale else tuple(transform.image_size)


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return tuple(max(1, round(scale * side)) for side in size)


def _crop_size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of at most `CROP_PIXELS`, in the proportions of `size` and not above it."""
    scale = min(1.0, math.sqrt(CROP_PIXELS / (size[0] * size[1])))
    return tuple(side if scale == 1 else min(side, MULTIPLE * max(1, round(scale * side / MULTIPLE))) for side in size)


def _choose_precision(plan: Plan, size, measure, mixed_precision: str | None, minutes: float) -> Cost:
    plan.assume({"trainer.precision": "float32"})
    cost = _measure(plan, size, measure)
    setting = {"trainer.precision": plan.settings.trainer.precision}
    if mixed_precision is None or minutes < MIXED_MINUTES or "trainer.precision" in plan.given:
        missing = "the machine has no instructions for smaller numbers"
        short = f"{mixed_precision} is tried from {MIXED_MINUTES} minutes on"
        plan.choose("precision", setting, short if mixed_precision else missing)
        return cost
    whole = plan.settings
    plan.assume({"trainer.precision": mixed_precision})
    mixed = _measure(plan, size, measure)
    faster = mixed.step <= MIXED_GAIN * cost.step
    plan.settings = whole
    plan.choose(
        "precision",
        {"trainer.precision": mixed_precision} if faster else setting,
        f"a step takes {mixed.step:.2f} s in {mixed_precision}, {cost.step:.2f} s in float32",
    )
    return mixed if faster else cost


def _measure(plan: Plan, size, measure) -> Cost:
    trainer, cost = plan.settings.trainer, measure(plan.settings, size)
    plan.measured.append(
        {
            "model": trainer.model,
            "encoder": trainer.encoder,
            "precision": trainer.precision,
            "crop_size": list(trainer.crop_size or size),
            "working_size": list(size),
            "batch_size": trainer.batch_size,
            "step_seconds": cost.step,
            "validation_seconds_per_image": cost.image,
            "memory_bytes": cost.memory,
        }
    )
    return cost


def _choose_working_size(plan: Plan, statistics: dict, own, cost: Cost, minutes: float):
    """The largest scale at which training shows all of every image often enough."""
    if "transform.image_scale" in plan.given:
        factor = plan.settings.transform.image_scale
        plan.choose("working size", {"transform.image_scale": factor}, "given")
        _warn_of_thin_classes(plan, statistics, factor, "A larger transform.image_scale shows more of them.")
        return
    images = _training_images(plan, statistics)
    seen = plan.settings.trainer.crop_size or _working_size(plan, own)
    budget = 60 * minutes * (1 - SPARE - VALIDATION_SHARE)
    pixels = budget / cost.step * _labelled_images(plan, statistics) * math.prod(seen)

    def passes(size):
        return pixels / (images * size[0] * size[1])

    sizes = {scale: _scaled(own, scale) for scale in SCALES}
    scale = next(
        (scale for scale, size in sizes.items() if _is_allowed(size) and passes(size) >= MIN_PASSES), SCALES[-1]
    )
    considered = [
        f"{_text(sizes[other])}: "
        + (f"{passes(sizes[other]):.1f} passes" if _is_allowed(sizes[other]) else f"more than {MAX_PIXELS:,} pixels")
        for other in SCALES[: SCALES.index(scale)]
    ]
    where = "the images' own" if scale == 1 else f"{scale:g} of the images' own"
    plan.choose(
        "working size",
        {"transform.image_size": sizes[scale]},
        f"{where}; {passes(sizes[scale]):,.1f} passes over all pixels, of which {MIN_PASSES:g} are enough",
        tuple(considered),
    )
    given = "transform.image_size" in plan.given
    by_minutes = not given and any(larger > scale and _is_allowed(size) for larger, size in sizes.items())
    cure = "More minutes allow a larger one." if by_minutes else "A larger --image-size shows more of them."
    _warn_of_thin_classes(plan, statistics, max(plan.settings.transform.image_size) / max(own), cure)


def _warn_of_thin_classes(plan: Plan, statistics: dict, scale: float, cure: str):
    """Names classes that are thin at `scale` of the images' own size, and the cure where they are less so at that size."""
    widths = zip(statistics["classes"], statistics["splits"]["train"]["class_widths"], strict=True)
    thin = [f"{name} ({scale * width:.1f})" for name, width in widths if width and scale * width < THIN]
    if thin:
        plan.warnings.append(f"Thin at this size, in pixels: {', '.join(thin)}.{f' {cure}' if scale < 1 else ''}")


def _choose_crop(plan: Plan, size):
    crop = _crop_size(size)
    reason = f"{CROP_PIXELS:,} pixels: more steps, each with other parts of the images"
    if crop == size:
        reason = "whole images of the median size" if plan.settings.transform.image_scale else "whole images"
    plan.choose("crop", {"trainer.crop_size": crop}, reason)


def _choose_length(plan: Plan, statistics: dict, size, cost: Cost, minutes: float):
    """Steps that the minutes allow, and validation after equal parts of them."""
    train, trainer = statistics["splits"]["train"], plan.settings.trainer
    images = statistics["splits"].get("validation", train)["images"]
    training_images = _training_images(plan, statistics)
    seconds = 60 * minutes * (1 - SPARE)
    area = math.prod(trainer.crop_size or size)
    passes_a_step = _labelled_images(plan, statistics) * area / (training_images * math.prod(size))
    most = math.ceil(MAX_PASSES / passes_a_step)
    one_pass = max(1, training_images // _labelled_images(plan, statistics))
    an_epoch = (trainer.steps_per_epoch or one_pass) if "trainer.steps_per_epoch" in plan.given else None

    validations, pairs = _choose_validation(plan, images, an_epoch, cost, seconds)
    steps = max(1, min(most, int((seconds - validations * pairs * cost.image) / cost.step)))
    limited = f"; more than {MAX_PASSES:g} passes are not worth their time" if steps == most else ""
    if "trainer.epochs" in plan.given:
        limited = "" if an_epoch else limited
        an_epoch, epochs = an_epoch or max(1, steps // validations), validations
    elif an_epoch:
        fitting = int(seconds / (an_epoch * cost.step + pairs * cost.image))
        epochs = max(1, min(most // an_epoch, fitting))
    else:
        an_epoch, epochs = _divide(steps, validations)
    steps = an_epoch * epochs
    plan.choose(
        "length",
        {
            "trainer.steps_per_epoch": an_epoch,
            "trainer.epochs": epochs,
            "trainer.validation_pairs": None if pairs >= images else pairs,
        },
        f"{steps:,} steps of {cost.step:.2f} s, {epochs} validations of {pairs * cost.image:.1f} s{limited}",
    )
    expected = (steps * cost.step + epochs * pairs * cost.image) / (1 - SPARE)
    plan.expected = {
        "steps": steps,
        "passes": steps * passes_a_step,
        "seconds": expected,
        "memory_bytes": cost.memory,
    }
    if expected > (1 + TOLERANCE) * 60 * minutes:
        plan.warnings.append(f"Training takes {as_minutes(expected)}, more than --minutes {minutes:g}.")
    elif steps < FEW_STEPS and not limited:
        more = "--epochs" if {"trainer.epochs", "trainer.steps_per_epoch"} <= plan.given else "--minutes"
        plan.warnings.append(f"{steps:,} steps are few. Give more {more}, or lower trainer.crop_size.")


def _choose_validation(plan: Plan, images: int, an_epoch: int | None, cost: Cost, seconds: float) -> tuple[int, int]:
    """How often, and on how many pairs of `images`, where epochs of `an_epoch` steps are given, or none."""
    trainer, allowed = plan.settings.trainer, VALIDATION_SHARE * seconds
    pairs = min(images, trainer.validation_pairs or images)
    if "trainer.epochs" in plan.given:
        validations = trainer.epochs
    elif an_epoch:
        validations = max(1, int((seconds - allowed) / (an_epoch * cost.step)))
    else:
        validations = min(MOST_VALIDATIONS, max(FEWEST_VALIDATIONS, int(allowed / (pairs * cost.image))))
    if "trainer.validation_pairs" not in plan.given:
        pairs = max(1, min(images, int(allowed / (validations * cost.image))))
    return validations, pairs


def _divide(steps: int, parts: int) -> tuple[int, int]:
    """Steps of each part, and their number, at most `parts`, so that little of `steps` is left over.

    Example:
        >>> _divide(54, 15), _divide(4003, 34), _divide(3, 5)
        ((4, 13), (117, 34), (1, 3))
    """
    each = max((steps // parts or 1, -(-steps // parts)), key=lambda each: each * min(parts, steps // each))
    return each, min(parts, steps // each)


def _training_images(plan: Plan, statistics: dict) -> int:
    """How many pairs training learns from."""
    images = {split: counts["images"] for split, counts in statistics["splits"].items()}
    return sum(images[split] for split in learned_splits(plan.settings.trainer, images))


def _labelled_images(plan: Plan, statistics: dict) -> int:
    """How many images of a batch have masks."""
    return labelled_images(plan.settings.trainer, "unlabelled" in statistics)


def as_minutes(seconds: float) -> str:
    """A time as text.

    Example:
        >>> as_minutes(20), as_minutes(12_000)
        ('0.33 minutes', '200 minutes')
    """
    minutes = seconds / 60
    return f"{minutes:{'.0f' if minutes >= 10 else '.2g'}} minutes"


def _text(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
