"""The settings of a run: one frozen dataclass per component, flags for what people change most, `--set` for everything.

What stands in a component's dataclass enters its recipe, so changing it recomputes that component. What does not change a
result (places, the name, Beam's options) stands in `Config` itself. No framework is imported here, so `--help` answers at once.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class ExampleGen:
    """How the source becomes a prepared data set of image, label map and key."""

    ignore_value: int | None = None  # raw mask value that means void; None: every pixel has a class
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
    """Counts need no setting."""


@dataclasses.dataclass(frozen=True)
class SchemaGen:
    """The schema is inferred from the statistics."""


@dataclasses.dataclass(frozen=True)
class ExampleValidator:
    """When unreadable or wrong pairs stop the run."""

    max_quarantined: float = 0.01  # share of all pairs


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
    filters: tuple[int, ...] = (16, 32, 64, 128, 256)
    epochs: int = 60
    batch_size: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    dice_weight: float = 0.0
    adversarial_weight: float = 0.0
    discriminator: str = "two_branch"
    discriminator_filters: int = 16
    discriminator_learning_rate: float = 2e-4
    label_stride: int = 2  # the discriminator sees image and label maps at 1/label_stride of the resolution
    scale: tuple[float, float] = (0.5, 2.0)
    strategy: str = "one"
    precision: str = "auto"  # auto: mixed_bfloat16 where the processor computes with it, else float32
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Evaluator:
    """The gate."""

    split: str = "auto"  # test where there is one, else validation
    min_gain: float = 0.1  # mean IoU above the label map that always says the commonest class
    min_mean_iou: float = 0.0


@dataclasses.dataclass(frozen=True)
class InfraValidator:
    """The exported model answers in a fresh process."""

    samples: int = 3


@dataclasses.dataclass(frozen=True)
class Pusher:
    """Blessed models are pushed; nothing to choose."""
