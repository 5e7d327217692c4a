"""The settings of a run: one frozen dataclass per component, flags for what people change most, `--set` for everything.

What stands in a component's dataclass enters its recipe, so changing it recomputes that component. What does not change a
result (places, the name, Beam's options) stands in `Config` itself. No framework is imported here, so `--help` answers at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import pathlib
import types
import typing

MODELS = {  # --model: the module that holds the network, and so enters the trainer's recipe
    "unet": "kseg.models.unet",
    "fcn8s": "kseg.models.fcn",
    "fcn16s": "kseg.models.fcn",
    "fcn32s": "kseg.models.fcn",
    "segnet": "kseg.models.segnet",
    "segnet_basic": "kseg.models.segnet",
    "deeplabv3": "kseg.models.deeplab_v3",
    "deeplabv3plus": "kseg.models.deeplab_v3",
    "pspnet": "kseg.models.pspnet",
    "dilated": "kseg.models.dilated",
    "patch_classifier": "kseg.models.patch_classifier",
}
DISCRIMINATORS = {  # trainer.discriminator: its module
    name: "kseg.models.discriminators"
    for name in (
        "two_branch", "large_fov", "large_fov_light", "small_fov", "small_fov_light", "patch_gan", "fully_convolutional",
    )
}  # fmt: skip
CRF = "kseg.densecrf"
"""The module of DenseCRF, which enters the recipes of what refines by it."""

CHOICES = {  # settings of the trainer that take one of a few names
    "model": MODELS,
    "discriminator": DISCRIMINATORS,
    "objective": ("non_saturating", "minimax", "least_squares", "hinge"),
    "encoding": ("basic", "product", "scaling"),
    "on_nonfinite": ("stop", "restore"),
    "strategy": ("one", "mirrored", "multiworker", "auto"),
    "precision": ("auto", "float32", "mixed_bfloat16", "mixed_float16"),
}


@dataclasses.dataclass(frozen=True)
class ExampleGen:
    """How the source becomes a prepared data set of image, label map and key."""

    ignore_value: int | None = None  # raw mask value that means void; None: every pixel has a class
    max_pixels: int = 50_000_000  # of one picture; larger ones are set aside unseen
    validation_share: float = 0.1  # of a source without splits, drawn by a hash of each key
    test_share: float = 0.1
    image_feature: str = "image"  # of a `tfds:` source
    mask_feature: str = "segmentation_mask"
    examples_per_shard: int = 64
    streets_train: int = 512  # generated streets: images a split, their size and seed
    streets_validation: int = 64
    streets_test: int = 96
    streets_size: tuple[int, int] = (96, 128)  # height, width
    streets_seed: int = 0


@dataclasses.dataclass(frozen=True)
class StatisticsGen:
    """What counts as a near duplicate, and as tiny."""

    near_duplicate_bits: int = 10  # of the 128 of a perceptual hash, by which two images may differ
    tiny_side: int = 16  # pixels; images with a shorter side are named


@dataclasses.dataclass(frozen=True)
class SchemaGen:
    """The schema is inferred from the statistics, or the user's own; nothing to choose."""


@dataclasses.dataclass(frozen=True)
class ExampleValidator:
    """How much of what is wrong is borne; docs/data_validation.md."""

    max_quarantined: float = 0.01  # share of all pairs that cannot be used; more stop the run
    max_leaked: float = 0.01  # share of a split's images that are in train too; more stop the run
    max_skew: float = 0.15  # Jensen-Shannon distance of a split's classes or brightness from train's; more is a warning
    max_drift: float = 0.15  # likewise of train's from that of the last pushed model


@dataclasses.dataclass(frozen=True)
class Transform:
    """What the networks are shown."""

    image_size: tuple[int, int] | None = None  # height, width; None: the median size, its longer side at most 240
    class_weights: str = "inverse_square_root"  # or "none", "median_frequency"
    examples_per_shard: int = 64


@dataclasses.dataclass(frozen=True)
class Trainer:
    """Network, loss and schedule."""

    model: str = "unet"
    width: str = "narrow"  # or "paper": the network of the paper to the number
    filters: tuple[int, ...] = (16, 32, 64, 128, 256)  # of the narrow U-Net, fine to coarse
    epochs: int = 80
    batch_size: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    dice_weight: float = 0.0
    adversarial_weight: float = 0.0
    discriminator: str = "two_branch"
    discriminator_filters: int = 16  # of its first convolutions; the papers' have 64, LargeFOV and SmallFOV 96
    encoding: str = "basic"  # of the label maps that it sees, or "product", "scaling"
    discriminator_learning_rate: float = 2e-4
    label_stride: int = 2  # the discriminator sees image and label maps at 1/label_stride of the resolution
    spectral_normalization: bool = False  # of the discriminator's convolutions
    objective: str = "non_saturating"  # or "minimax", "least_squares", "hinge"
    label_smoothing: float = 0.0  # the label of what is real is 1 less this
    pretrain_segmentor: int = 0  # steps that the segmentor learns alone
    pretrain_discriminator: int = 0  # steps after these that the discriminator learns alone
    alternate_every: int = (
        0  # k: then the discriminator for k steps and the segmentor for k, by turns; 0: both at every step
    )
    ramp: int = 0  # steps over which the weight of the verdict then grows from 0
    on_nonfinite: str = "stop"  # where a game's loss is no number; or "restore": back to the last good state
    scale: tuple[float, float] = (0.75, 2.0)  # of the augmentation
    photometric: bool = True
    strategy: str = "one"
    precision: str = "auto"  # auto: mixed_bfloat16 where the processor computes with it, else float32
    jit: bool = False  # the whole step compiled by XLA; false: as Keras chooses, which is so on a single GPU alone
    seed: int = 0
    deterministic: bool = (
        True  # one processor, or one device of a kind, computes the same bits again; a few operations refuse
    )
    checkpoint_seconds: float = 10.0  # between two checkpoints from which a killed training goes on
    crf: dict[str, float] | None = (
        None  # of DenseCRF, which then refines what is served: auto, JSON or a file of tune_crf
    )
    flips: tuple[str, ...] = ()  # horizontal, vertical: views that what is served averages, for one more pass each
    rotations: tuple[int, ...] = (0,)  # degrees, likewise
    tiles: bool = False  # what is served labels large images by tiles, too: the signature "tiles"


@dataclasses.dataclass(frozen=True)
class Evaluator:
    """The gate."""

    split: str = "auto"  # test where there is one, else validation
    min_gain: float = 0.1  # mean IoU above the label map that always says the commonest class
    min_mean_iou: float = 0.0
    margin: float | None = 0.03  # mean IoU by which the model may lie below the pushed one, surely; none: not compared
    thresholds: dict[str, float] = dataclasses.field(default_factory=dict)  # by name, see pipeline/gate.py
    boundary_tolerance: float = 2.0  # pixels by which a predicted outline may lie beside the true one
    refinements: tuple[str, ...] = ()  # scored beside the model as it is served, see pipeline/refinement_settings.py
    crf: dict[str, float] | None = None  # of the refinement crf, as trainer.crf; none: auto


@dataclasses.dataclass(frozen=True)
class InfraValidator:
    """The exported model answers in a fresh process."""

    samples: int = 3  # stored images that are sent
    max_latency: float | None = 30.0  # seconds an image, on average, one by one on the processors; none: any
    max_memory: float | None = 16.0  # GiB, peak of the whole process that serves; none: any


@dataclasses.dataclass(frozen=True)
class Pusher:
    """Blessed models are pushed."""

    keep: int = 5  # versions that stay at the target; older ones are removed, what was rolled back is not counted


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole run. `data`, `classes`, `schema`, `root` and `push_to` are places: they enter no recipe, their contents do."""

    name: str = "streets"  # of the model: savedmodels/<name>/<version>
    data: str = "streets"  # folder or CSV of pairs, "tfds:<name>", or "streets"
    classes: str | None = None  # classes.csv; None: the one in the data folder
    schema: str | None = None  # a frozen schema.json; None: inferred
    root: str = "runs"
    push_to: str = "savedmodels"
    wait_for_machines: float = 300.0  # seconds that a machine of several waits for the others before training
    example_gen: ExampleGen = ExampleGen()
    statistics_gen: StatisticsGen = StatisticsGen()
    schema_gen: SchemaGen = SchemaGen()
    example_validator: ExampleValidator = ExampleValidator()
    transform: Transform = Transform()
    trainer: Trainer = Trainer()
    evaluator: Evaluator = Evaluator()
    infra_validator: InfraValidator = InfraValidator()
    pusher: Pusher = Pusher()


def changed(config: Config, setting: str, value) -> Config:
    """`config` with one setting replaced.

    Args:
        config: the settings to start from.
        setting: "component.field", or the name of a field of `Config` itself.
        value: a value of the field's type, or text to be read as one.

    Raises:
        ValueError: there is no such setting, or the text is no such value; the message names the nearest right one.
    """
    component, _, field = setting.rpartition(".")
    owner = getattr(config, component, None) if component else config
    names = settings(config)
    if setting not in names:
        nearest = difflib.get_close_matches(setting, names, n=1, cutoff=0.5)
        cure = f" Did you mean {nearest[0]!r}?" if nearest else f" There are: {', '.join(names)}."
        raise ValueError(f"Unknown setting {setting!r}. Received: --set {setting}={value}.{cure}")
    if isinstance(value, str):
        value = _read(value, typing.get_type_hints(type(owner))[field], setting)
    owner = dataclasses.replace(owner, **{field: value})
    return dataclasses.replace(config, **{component: owner}) if component else owner


def settings(config: Config) -> dict[str, object]:
    """Every setting and its value, by the name that `changed` takes."""
    result = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            result |= {f"{field.name}.{inner.name}": getattr(value, inner.name) for inner in dataclasses.fields(value)}
        else:
            result[field.name] = value
    return result


def resolved(config: Config) -> Config:
    """`config` with "auto" replaced by what this machine makes of it, so that a recipe says what was done."""
    if config.trainer.precision == "auto":
        config = changed(config, "trainer.precision", "mixed_bfloat16" if _computes_bfloat16() else "float32")
    return config


def _computes_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16; without that mixed precision is slower than float32."""
    try:
        flags = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def chosen_modules(config: Trainer) -> list[str]:
    """Modules of the chosen networks, and of DenseCRF where it is exported: editing another network retrains nothing.

    Raises:
        ValueError: there is no network of that name, or another of `CHOICES` is none.
    """
    for field, known in CHOICES.items():
        name = getattr(config, field)
        if name not in known:
            raise ValueError(f"`{field}` must be one of {', '.join(known)}. Received: trainer.{field}={name}.")
    return [
        MODELS[config.model],
        *([DISCRIMINATORS[config.discriminator]] if config.adversarial_weight else []),
        *([CRF] if config.crf is not None else []),
    ]


def image_size(text: str) -> tuple[int, int]:
    """Reads WIDTHxHEIGHT as people write it; returns (height, width) as arrays have it."""
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise ValueError(
            f"An image size must be WIDTHxHEIGHT in pixels. Received: {text!r}. Write for example 240x180."
        )
    return int(height), int(width)


def _read(text: str, kind, setting: str):
    """`text` as a value of the annotated type `kind`."""
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if type(None) in options and text.lower() in ("none", ""):
        return None
    kind = next(option for option in options if option is not type(None))
    try:
        if setting == "transform.image_size" and "x" in text.lower():
            return image_size(text)
        if typing.get_origin(kind) is tuple:
            return tuple(typing.get_args(kind)[0](part) for part in text.strip("()[] ").split(",") if part.strip())
        if typing.get_origin(kind) is dict:
            return _read_object(text)
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (KeyError, ValueError) as error:
        if setting == "transform.image_size":
            raise
        expected = getattr(kind, "__name__", str(kind))
        raise ValueError(f"{setting} must be of type {expected}. Received: {setting}={text}.") from error


def _read_object(text: str) -> dict:
    """A JSON object.

    Raises:
        ValueError: it is none.
    """
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(text)
    return value
