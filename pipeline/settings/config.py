"""The settings of a run: one frozen dataclass per component, and what concerns the whole run.

The fields of a component's dataclass enter its recipe, so changing one recomputes that component. What does not change a result
(places, the model's name) is a field of `Config` itself. Standard library only, so `--help` answers at once.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from typing import Annotated

from pipeline.engine.hardware import mixed_precision
from pipeline.settings import refinements, values
from pipeline.settings.changes import flatten, replace_setting
from pipeline.settings.evaluator import Evaluator
from pipeline.settings.example_gen import ExampleGen
from pipeline.settings.example_validator import ExampleValidator
from pipeline.settings.exporter import Exporter
from pipeline.settings.fold import Folds
from pipeline.settings.infra_validator import InfraValidator
from pipeline.settings.planner import MINUTES, PLANNED, WITHOUT_INFLUENCE, Planner
from pipeline.settings.pusher import Pusher
from pipeline.settings.schema_gen import SchemaGen
from pipeline.settings.statistics_gen import StatisticsGen
from pipeline.settings.trainer import ADAPTATIONS, AUTO, Trainer, has_discriminator, in_batches, resolve_game
from pipeline.settings.transform import Transform
from pipeline.settings.values import Number, Place, Text, as_text

MAX_PIXELS = 2**27
"""Of a batch of training, and of an enlarged image: 16 channels of so many pixels take 8 GiB."""


MAX_NAME_BYTES = 100


@dataclasses.dataclass(frozen=True)
class Config:
    """The settings of a whole run.

    Of the places `data`, `classes`, `target`, `unlabelled` and `schema` the contents enter recipes, never the paths.
    """

    # of the model, pushed to savedmodels/<name>/<version>; files and TensorBoard's runs are named after it, too
    name: Annotated[str, Text("made of letters, digits, '_', '-' and '.'", MAX_NAME_BYTES, r"[^\W_][\w.-]*")] = (
        "streets"
    )
    data: Annotated[str, Place(pattern=".*")] = "streets"  # folder or CSV of pairs, "tfds:<name>", or "streets"
    classes: Annotated[str, Place()] | None = None  # file or text; None: classes.csv in the data folder
    # folder of images without masks: of another domain, for which the network is to be trained, or of that of the data
    target: Annotated[str, Place()] | None = None
    unlabelled: Annotated[str, Place()] | None = None
    schema: Annotated[str, Place()] | None = None  # a frozen schema.json; None: inferred
    root: Annotated[str, Place()] = "runs"
    push_to: Annotated[str, Place()] = "savedmodels"
    # seconds that each of several machines waits for the others before training
    wait_for_machines: Annotated[float, Number(minimum=0, maximum=604_800)] = 300.0
    # of a cross-validation, in which every pair but those of test is scored once; none: one training
    folds: Folds | None = None
    export_mean: bool = False  # export and push the mean of the networks of all folds
    example_gen: ExampleGen = dataclasses.field(default_factory=ExampleGen)
    statistics_gen: StatisticsGen = dataclasses.field(default_factory=StatisticsGen)
    schema_gen: SchemaGen = dataclasses.field(default_factory=SchemaGen)
    example_validator: ExampleValidator = dataclasses.field(default_factory=ExampleValidator)
    planner: Planner = dataclasses.field(default_factory=Planner)
    transform: Transform = dataclasses.field(default_factory=Transform)
    trainer: Trainer = dataclasses.field(default_factory=Trainer)
    exporter: Exporter = dataclasses.field(default_factory=Exporter)
    evaluator: Evaluator = dataclasses.field(default_factory=Evaluator)
    infra_validator: InfraValidator = dataclasses.field(default_factory=InfraValidator)
    pusher: Pusher = dataclasses.field(default_factory=Pusher)

    def __post_init__(self):
        values.check(self)


LEFT_OPEN = {
    "trainer.model": AUTO,
    "trainer.precision": AUTO,
    "trainer.encoder": None,
    "transform.image_size": None,
    "transform.image_scale": None,
}
"""Settings that a plan chooses although they are given, by the value that leaves them to it."""


def is_planned(config: Config) -> bool:
    """Whether the planner chooses what is not given."""
    return config.trainer.model == AUTO or config.planner.minutes is not None


def prepare_planner(config: Config, given: typing.Iterable[str]) -> Planner:
    """The planner's settings: minutes, and what it must not change.

    Args:
        config: settings of the run.
        given: names of settings that somebody set; so is what differs from the defaults.
    """
    values, defaults = flatten(config), flatten(Config())
    fixed = {name for name in given if name in PLANNED}
    fixed |= {name for name in values if name.startswith(("trainer.", "transform.")) and values[name] != defaults[name]}
    fixed -= {name for name, value in LEFT_OPEN.items() if values[name] == value}
    if config.transform.image_scale and config.trainer.crop_size is None:
        fixed -= {"trainer.crop_size"}  # images that differ in size are no batch without crops
    if "trainer.epochs" in fixed and config.planner.minutes is None:
        fixed |= {"trainer.steps_per_epoch"}  # epochs without minutes are passes over the pairs
    texts = tuple(f"{name}={as_text(values[name])}" for name in sorted(fixed) if name not in WITHOUT_INFLUENCE)
    return Planner(config.planner.minutes or MINUTES, texts)


def apply_plan(config: Config, plan: dict) -> Config:
    """The settings of a run with those that the planner chose.

    Args:
        config: settings of the run.
        plan: content of its `plan.json`.
    """
    return functools.reduce(lambda config, pair: replace_setting(config, *pair), plan["settings"].items(), config)


def resolve_auto(config: Config) -> Config:
    """Returns `config` with "auto" replaced by what it means here, since recipes hold what was really done."""
    if config.trainer.precision == AUTO and not is_planned(config):
        config = replace_setting(config, "trainer.precision", mixed_precision() or "float32")
    return dataclasses.replace(config, trainer=resolve_game(config.trainer))


def without_masks(config: Config) -> tuple[str, str] | None:
    """The option that names a folder of images without masks, and the folder; None where there is none."""
    if config.target:
        return "--target", config.target
    return ("--unlabelled", config.unlabelled) if config.unlabelled else None


def resolve_strategy(config: Config) -> Config:
    """Returns `config` with the one device on which an averaged teacher trains in place of "auto"."""
    teacher = without_masks(config) and config.trainer.pseudo_label_weight
    return replace_setting(config, "trainer.strategy", "one") if teacher and config.trainer.strategy == AUTO else config


OF_THE_TEACHER = ("pseudo_label_weight", "pseudo_label_threshold", "teacher_decay", "teacher_start", "cut_mix")
"""Settings of `trainer` for the averaged teacher."""


def check_game(config: Config):
    """Refuses a game that is chosen and not played.

    Raises:
        ValueError: the discriminator has no weight.
    """
    trainer = config.trainer
    if trainer.game != "adversarial" and not trainer.adversarial_weight:
        raise ValueError(
            "`game` must have a weight, without which the segmentor trains alone. "
            f"Received: trainer.game={trainer.game} with trainer.adversarial_weight=0. Add --adversarial-weight, or leave it out."
        )


def check_without_masks(config: Config):
    """Refuses what does not go with images without masks, and what goes with them alone.

    Raises:
        ValueError: the settings contradict each other.
    """
    trainer = config.trainer
    if config.target and config.unlabelled:
        raise ValueError(
            "Images without masks must be of one domain. "
            f"Received: --target {config.target} and --unlabelled {config.unlabelled}. Leave one out."
        )
    if trainer.adaptation in ADAPTATIONS and not config.target:
        raise ValueError(
            "`adaptation` must be given images of another domain, by --target. "
            f"Received: trainer.adaptation={trainer.adaptation} without --target. Add it, or leave the setting out."
        )
    if trainer.target_colours and not config.target:
        raise ValueError(
            "`target_colours` must go with --target. Received: trainer.target_colours=true without it. Leave it out."
        )
    if config.evaluator.chosen_with_target_labels and not config.target:
        raise ValueError(
            "`chosen_with_target_labels` must go with --target. Received: evaluator.chosen_with_target_labels=true without it. "
            "Leave it out."
        )
    if trainer.adaptation not in ADAPTATIONS and trainer.domain_weight != Trainer.domain_weight:
        raise ValueError(
            "`domain_weight` must go with a discriminator between domains. "
            f"Received: trainer.domain_weight={trainer.domain_weight:g} with trainer.adaptation={trainer.adaptation}. "
            "Choose one, or leave it out."
        )
    if (given := without_masks(config)) is None:
        for name in OF_THE_TEACHER:
            if (value := getattr(trainer, name)) != getattr(Trainer, name):
                raise ValueError(
                    f"`{name}` must go with --unlabelled or --target, whose images the averaged teacher labels. "
                    f"Received: trainer.{name}={as_text(value)} without either. Leave it out."
                )
        return
    flag, folder = given
    judged = trainer.adaptation in ADAPTATIONS and trainer.domain_weight
    if not (trainer.pseudo_label_weight or judged or trainer.target_colours):
        raise ValueError(
            f"Something must learn from the images of {flag}. Received: {flag} {folder} with trainer.pseudo_label_weight=0 "
            "and no discriminator between domains. Raise it, or leave the images out."
        )
    if trainer.pseudo_label_weight and trainer.strategy in ("mirrored", "multiworker"):
        raise ValueError(
            f"The averaged teacher, which labels the images of {flag}, must train on one device. "
            f"Received: {flag} {folder} with --strategy {trainer.strategy}. Choose --strategy one."
        )
    if config.folds:
        raise ValueError(
            f"A cross-validation trains on pairs alone. Received: {flag} {folder} with --folds {config.folds}. Leave one out."
        )
    if trainer.batch_size < 2 and in_batches(trainer):
        raise ValueError(
            f"`batch_size` must be at least 2 with {flag}: half of each batch are images without masks. "
            f"Received: trainer.batch_size={trainer.batch_size}."
        )


def check_splits(config: Config, splits: typing.Collection[str]):
    """Refuses settings that name a split which the data do not have.

    Args:
        config: settings of the run.
        splits: of the data.

    Raises:
        ValueError: the split to score, or the validation split to learn from, is none of them.
    """
    if config.evaluator.split not in ("auto", *splits):
        raise ValueError(
            f"`split` must be one of {', '.join(splits)}, or auto (test if there is one, else validation). "
            f"Received: evaluator.split={config.evaluator.split}. Choose one of them, or name pairs of the data so."
        )
    if config.trainer.train_on_validation and "validation" not in splits:
        raise ValueError(
            "`train_on_validation` must be of data with a validation split. "
            f"Received: trainer.train_on_validation=true with the splits {', '.join(splits)}. Leave it out."
        )


def check_sizes(config: Config):
    """Refuses sizes that only together take more memory than a machine has.

    Raises:
        ValueError: a batch, or an image that the augmentation enlarged, would be too large.
    """
    sizes = {"transform.image_size": config.transform.image_size, "trainer.crop_size": config.trainer.crop_size}
    given = {setting: size for setting, size in sizes.items() if size}
    if not given:  # derived from the data, and at most 240
        return
    trained, (height, width) = list(given.items())[-1]  # what a step of training sees
    largest = 1.0 if config.trainer.crop_size else max(1.0, config.trainer.scale[1])  # crops are enlarged alone
    for name, times in (("batch_size", config.trainer.batch_size), ("scale", largest**2)):
        if height * width * times > MAX_PIXELS:
            value = as_text(getattr(config.trainer, name))
            raise ValueError(
                f"`{trained.split('.')[1]}` and `{name}` must together stay below {MAX_PIXELS:,} pixels. Received: "
                f"{trained}={width}x{height}, trainer.{name}={value}, hence {height * width * times:,.0f}. "
                "Lower one of them; `exporter.tiles` lets a model of small images label large ones."
            )
    if has_discriminator(config.trainer) and config.trainer.label_stride > min(height, width):
        raise ValueError(
            "`label_stride` must not exceed the shorter side of the training images. Received: "
            f"trainer.label_stride={config.trainer.label_stride}, {trained}={width}x{height}. Lower it."
        )
    _check_evaluated(sizes["transform.image_size"])


def _check_evaluated(size: tuple[int, int] | None):
    """Refuses a working size of which one image, which no crop makes smaller in validation, is too large."""
    if size and size[0] * size[1] > MAX_PIXELS:
        raise ValueError(
            f"`image_size` must stay below {MAX_PIXELS:,} pixels. Received: transform.image_size={size[1]}x{size[0]}, hence "
            f"{size[0] * size[1]:,}. Lower it; `exporter.tiles` lets a model of small images label large ones."
        )


def check_machines(config: Config, number: int):
    """Refuses batches that several machines cannot share equally; the devices of each are known only to the trainer.

    Args:
        config: settings of the run.
        number: of machines.

    Raises:
        ValueError: the batch size is no multiple of it.
    """
    if config.trainer.batch_size % number:
        raise ValueError(
            "`batch_size` must be a multiple of the number of machines, so that each gets the same number of images. Received: "
            f"trainer.batch_size={config.trainer.batch_size} on {number} machines. "
            f"{-(-config.trainer.batch_size // number) * number} is the next that fits."
        )


def check_refinements(config: Config):
    """Refuses refinements that are unknown, unused or applied twice.

    Raises:
        ValueError: the settings contradict each other.
    """
    chosen = config.evaluator.refinements
    for name in chosen:
        refinements.check_name(name)
    if config.evaluator.crf is not None and "crf" not in chosen:
        raise ValueError(
            "`evaluator.crf` requires evaluator.refinements=crf. "
            f"Received: evaluator.refinements={','.join(chosen) or 'none'}. To refine what is served, set exporter.crf."
        )
    if config.exporter.crf is not None and "crf" in chosen:
        raise ValueError(
            "A model must not be refined twice. Received: exporter.crf, and crf in evaluator.refinements. Remove one: with "
            "exporter.crf, the served model is already refined."
        )
