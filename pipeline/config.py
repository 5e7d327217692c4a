"""The settings of a run: one frozen dataclass per component, flags for what people change most, `--set` for everything.

What stands in a component's dataclass enters its recipe, so changing it recomputes that component. What does not change a
result (places, the name, Beam's options) stands in `Config` itself. No framework is imported here, so `--help` answers at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import pathlib
import re
import typing
from typing import Annotated, Literal

from pipeline import values
from pipeline.values import Count, NotNegative, Number, Positive, Share, Whole

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


class _Checked:
    """Refuses what the annotations of its fields do not allow: a wrong number shall not be found out after hours."""

    def __post_init__(self):
        values.check(self, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower() + ".")


@dataclasses.dataclass(frozen=True)
class ExampleGen(_Checked):
    """How the source becomes a prepared data set of image, label map and key."""

    ignore_value: Whole | None = None  # raw mask value that means void; None: every pixel has a class
    max_pixels: Count = 50_000_000  # of one picture; larger ones are set aside unseen
    validation_share: Share = 0.1  # of a source without splits, drawn by a hash of each key
    test_share: Share = 0.1
    image_feature: str = "image"  # of a `tfds:` source
    mask_feature: str = "segmentation_mask"
    examples_per_shard: Count = 64
    streets_train: Count = 512  # generated streets: images a split, their size and seed
    streets_validation: Whole = 64
    streets_test: Whole = 96
    streets_size: tuple[Count, Count] = (96, 128)  # height, width
    streets_seed: Whole = 0


@dataclasses.dataclass(frozen=True)
class StatisticsGen(_Checked):
    """What counts as a near duplicate, and as tiny."""

    # by which the perceptual hashes of two images may differ
    near_duplicate_bits: Annotated[int, Number(least=0, most=128, whole=True)] = 10
    tiny_side: Whole = 16  # pixels; images with a shorter side are named


@dataclasses.dataclass(frozen=True)
class SchemaGen(_Checked):
    """The schema is inferred from the statistics, or the user's own; nothing to choose."""


@dataclasses.dataclass(frozen=True)
class ExampleValidator(_Checked):
    """How much of what is wrong is borne; docs/data_validation.md."""

    max_quarantined: Share = 0.01  # share of all pairs that cannot be used; more stop the run
    max_leaked: Share = 0.01  # share of a split's images that are in train too; more stop the run
    max_skew: Share = 0.15  # Jensen-Shannon distance of a split's classes or brightness from train's; more is a warning
    max_drift: Share = 0.15  # likewise of train's from that of the last pushed model


@dataclasses.dataclass(frozen=True)
class Transform(_Checked):
    """What the networks are shown."""

    image_size: tuple[Count, Count] | None = None  # height, width; None: the median size, its longer side at most 240
    class_weights: Literal["none", "inverse_square_root", "median_frequency"] = "inverse_square_root"
    examples_per_shard: Count = 64


@dataclasses.dataclass(frozen=True)
class Trainer(_Checked):
    """Network, loss and schedule."""

    model: Literal[*MODELS] = "unet"
    width: Literal["narrow", "paper"] = "narrow"  # paper: the network of the paper to the number
    filters: tuple[Count, ...] = (16, 32, 64, 128, 256)  # of the narrow U-Net, fine to coarse
    epochs: Count = 80
    batch_size: Count = 8
    learning_rate: Positive = 2e-3
    weight_decay: NotNegative = 1e-4
    dice_weight: NotNegative = 0.0
    adversarial_weight: NotNegative = 0.0
    discriminator: Literal[*DISCRIMINATORS] = "two_branch"
    discriminator_filters: Count = 16  # of its first convolutions; the papers' have 64, LargeFOV and SmallFOV 96
    encoding: Literal["basic", "product", "scaling"] = "scaling"  # of the label maps that it sees
    discriminator_learning_rate: Positive = 2e-4
    label_stride: Count = 2  # the discriminator sees image and label maps at 1/label_stride of the resolution
    spectral_normalization: bool = False  # of the discriminator's convolutions
    objective: Literal["non_saturating", "minimax", "least_squares", "hinge"] = "non_saturating"
    label_smoothing: Annotated[float, Number(least=0, below=1)] = 0.0  # the label of what is real is 1 less this
    pretrain_segmentor: Whole = 0  # steps that the segmentor learns alone
    pretrain_discriminator: Whole = 0  # steps after these that the discriminator learns alone
    alternate_every: Whole = 0  # k: then the discriminator for k steps, the segmentor for k, by turns; 0: both at each
    ramp: Whole = 0  # steps over which the weight of the verdict then grows from 0
    on_nonfinite: Literal["stop", "restore"] = "stop"  # where a game's loss is no number, or to the last good state
    scale: tuple[Positive, Positive] = (0.75, 2.0)  # of the augmentation
    photometric: bool = True
    strategy: Literal["one", "mirrored", "multiworker", "auto"] = "one"
    # auto: mixed_bfloat16 where the processor computes with it, else float32
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    jit: bool = False  # the whole step compiled by XLA, and `deterministic` left to it
    seed: Whole = 0
    # one processor, or one device of a kind, computes the same bits again; a few operations refuse, and no XLA
    deterministic: bool = True
    checkpoint_seconds: NotNegative = 10.0  # between two checkpoints from which a killed training goes on
    # of DenseCRF, which then refines what is served: auto, JSON or a file of tune_crf
    crf: dict[str, float] | None = None
    flips: tuple[str, ...] = ()  # horizontal, vertical: views that what is served averages, for one more pass each
    rotations: tuple[int, ...] = (0,)  # degrees, likewise
    tiles: bool = False  # what is served labels large images by tiles, too: the signature "tiles"

    def __post_init__(self):
        super().__post_init__()
        if self.scale[0] > self.scale[1]:
            raise ValueError(
                f"`scale` must be the smallest and the largest. Received: trainer.scale={self.scale[0]:g},{self.scale[1]:g}."
            )


@dataclasses.dataclass(frozen=True)
class Evaluator(_Checked):
    """The gate."""

    split: Literal["auto", "train", "validation", "test"] = "auto"  # test where there is one, else validation
    # mean IoU above the label map that always says the commonest class
    min_gain: Annotated[float, Number(least=-1, most=1)] = 0.1
    min_mean_iou: Share = 0.0
    # mean IoU by which the model may lie below the pushed one, surely; none: not compared
    margin: NotNegative | None = 0.03
    thresholds: dict[str, float] = dataclasses.field(default_factory=dict)  # by name, see pipeline/gate.py
    boundary_tolerance: NotNegative = 2.0  # pixels by which a predicted outline may lie beside the true one
    refinements: tuple[str, ...] = ()  # scored beside the model as it is served, see pipeline/refinement_settings.py
    crf: dict[str, float] | None = None  # of the refinement crf, as trainer.crf; none: auto


@dataclasses.dataclass(frozen=True)
class InfraValidator(_Checked):
    """The exported model answers in a fresh process."""

    samples: Count = 3  # stored images that are sent
    max_latency: Positive | None = 30.0  # seconds an image, on average, one by one on the processors; none: any
    max_memory: Positive | None = 16.0  # GiB, peak of the whole process that serves; none: any


@dataclasses.dataclass(frozen=True)
class Pusher(_Checked):
    """Blessed models are pushed."""

    keep: Count = 5  # versions that stay at the target; older ones are removed, what was rolled back is not counted


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole run. `data`, `classes`, `schema`, `root` and `push_to` are places: they enter no recipe, their contents do."""

    name: str = "streets"  # of the model: savedmodels/<name>/<version>
    data: str = "streets"  # folder or CSV of pairs, "tfds:<name>", or "streets"
    classes: str | None = None  # classes.csv; None: the one in the data folder
    schema: str | None = None  # a frozen schema.json; None: inferred
    root: str = "runs"
    push_to: str = "savedmodels"
    wait_for_machines: NotNegative = 300.0  # seconds that a machine of several waits for the others before training
    example_gen: ExampleGen = ExampleGen()
    statistics_gen: StatisticsGen = StatisticsGen()
    schema_gen: SchemaGen = SchemaGen()
    example_validator: ExampleValidator = ExampleValidator()
    transform: Transform = Transform()
    trainer: Trainer = Trainer()
    evaluator: Evaluator = Evaluator()
    infra_validator: InfraValidator = InfraValidator()
    pusher: Pusher = Pusher()

    def __post_init__(self):
        values.check(self)


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
        value = values.read(value, typing.get_type_hints(type(owner))[field], setting)
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
    """Modules of the chosen networks, and of DenseCRF where it is exported: editing another network retrains nothing."""
    return [
        MODELS[config.model],
        *([DISCRIMINATORS[config.discriminator]] if config.adversarial_weight else []),
        *([CRF] if config.crf is not None else []),
    ]
