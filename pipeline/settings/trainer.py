"""Settings of the component trainer. Standard library only."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated, Literal

from pipeline.settings.values import Checked, NonNegativeFloat, NonNegativeInt, Number, PositiveFloat, PositiveInt

NETWORKS = pathlib.Path(__file__).resolve().parents[1] / "networks"


def _names(kind: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (NETWORKS / kind).glob("[!_]*.py")))


MODELS = _names("segmentors")
"""What `--model` may name: one file each in `pipeline/networks/segmentors/`."""
DISCRIMINATORS = _names("discriminators")
"""What `trainer.discriminator` may name, likewise."""


@dataclasses.dataclass(frozen=True)
class Trainer(Checked):
    """Network, loss and schedule."""

    model: Literal[*MODELS] = "unet"
    width: Literal["narrow", "paper"] = "narrow"  # paper: the network of the paper to the number
    filters: tuple[PositiveInt, ...] = (16, 32, 64, 128, 256)  # of the narrow U-Net, fine to coarse
    epochs: PositiveInt = 80
    batch_size: PositiveInt = 8
    learning_rate: PositiveFloat = 2e-3
    weight_decay: NonNegativeFloat = 1e-4
    dice_weight: NonNegativeFloat = 0.0
    adversarial_weight: NonNegativeFloat = 0.0
    discriminator: Literal[*DISCRIMINATORS] = "two_branch"
    discriminator_filters: PositiveInt = 16  # of its first convolutions; the papers' have 64, LargeFOV and SmallFOV 96
    encoding: Literal["basic", "product", "scaling"] = "scaling"  # of the label maps that it sees
    discriminator_learning_rate: PositiveFloat = 2e-4
    label_stride: PositiveInt = 2  # the discriminator sees image and label maps at 1/label_stride of the resolution
    spectral_normalization: bool = False  # of the discriminator's convolutions
    objective: Literal["non_saturating", "minimax", "least_squares", "hinge"] = "non_saturating"
    label_smoothing: Annotated[float, Number(minimum=0, below=1)] = 0.0  # the label of what is real is 1 less this
    pretrain_segmentor: NonNegativeInt = 0  # steps that the segmentor learns alone
    pretrain_discriminator: NonNegativeInt = 0  # steps after these that the discriminator learns alone
    alternate_every: NonNegativeInt = (
        0  # k: then the discriminator for k steps, the segmentor for k, by turns; 0: both at each
    )
    ramp: NonNegativeInt = 0  # steps over which the weight of the verdict then grows from 0
    on_nonfinite: Literal["stop", "restore"] = "stop"  # where a game's loss is no number, or to the last good state
    scale: tuple[PositiveFloat, PositiveFloat] = (0.75, 2.0)  # of the augmentation
    photometric: bool = True
    strategy: Literal["one", "mirrored", "multiworker", "auto"] = "one"
    # auto: mixed_bfloat16 where the processor computes with it, else float32
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    jit: bool = False  # the whole step compiled by XLA, and `deterministic` left to it
    seed: NonNegativeInt = 0
    # one processor, or one device of a kind, computes the same bits again; a few operations refuse, and no XLA
    deterministic: bool = True
    checkpoint_seconds: NonNegativeFloat = 10.0  # between two checkpoints from which a killed training goes on
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


def choices(config: Trainer) -> dict[str, list[str]]:
    """Which modules these settings use where there are several to choose from; the others enter no recipe.

    Returns:
        Name of a package -> names in it that are used; see `pipeline.engine.fingerprints`.
    """
    return {
        "pipeline.networks.segmentors": [config.model],
        "pipeline.networks.discriminators": [config.discriminator] if config.adversarial_weight else [],
        **crf_choice(config.crf is not None),
    }


def crf_choice(used: bool) -> dict[str, list[str]]:
    """The choice whether DenseCRF is used, by what refines predictions or exports."""
    return {} if used else {"kseg.postprocess.densecrf": []}
