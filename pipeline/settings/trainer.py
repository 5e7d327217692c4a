"""Settings of the component trainer. Standard library only."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated, Literal

from pipeline.settings.values import Checked, NonNegativeFloat, NonNegativeInt, Number, PositiveFloat, PositiveInt

NETWORKS = pathlib.Path(__file__).resolve().parents[1] / "networks"


def _list_modules(folder: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (NETWORKS / folder).glob("[!_]*.py")))


MODELS = _list_modules("segmentors")
"""Values of `--model`: the modules in `pipeline/networks/segmentors/`."""
DISCRIMINATORS = _list_modules("discriminators")
"""Values of `trainer.discriminator`: the modules in `pipeline/networks/discriminators/`."""


@dataclasses.dataclass(frozen=True)
class Trainer(Checked):
    """Network, loss, game, schedule and export."""

    model: Literal[*MODELS] = "unet"
    width: Literal["narrow", "paper"] = "narrow"  # paper: exactly the paper's network
    filters: tuple[PositiveInt, ...] = (16, 32, 64, 128, 256)  # of the narrow U-Net, fine to coarse
    epochs: PositiveInt = 80
    batch_size: PositiveInt = 8
    learning_rate: PositiveFloat = 2e-3
    weight_decay: NonNegativeFloat = 1e-4
    dice_weight: NonNegativeFloat = 0.0
    # The game; 0 trains the segmentor alone.
    adversarial_weight: NonNegativeFloat = 0.0
    discriminator: Literal[*DISCRIMINATORS] = "two_branch"
    discriminator_filters: PositiveInt = 16  # of its first convolutions; 64 in the papers, 96 for LargeFOV and SmallFOV
    encoding: Literal["basic", "product", "scaling"] = "scaling"  # of the discriminator's label maps
    discriminator_learning_rate: PositiveFloat = 2e-4
    label_stride: PositiveInt = 2  # the discriminator sees image and label maps at 1/label_stride of the resolution
    spectral_normalization: bool = False  # of the discriminator's convolutions
    objective: Literal["non_saturating", "minimax", "least_squares", "hinge"] = "non_saturating"
    label_smoothing: Annotated[float, Number(minimum=0, below=1)] = 0.0  # subtracted from the label 1 of real pairs
    pretrain_segmentor: NonNegativeInt = 0  # steps in which the segmentor learns alone
    pretrain_discriminator: NonNegativeInt = 0  # steps after these in which the discriminator learns alone
    # k: alternately the discriminator for k steps and the segmentor for k steps; 0: both in every step
    alternate_every: NonNegativeInt = 0
    ramp: NonNegativeInt = 0  # steps in which the adversarial weight then grows from 0
    on_nonfinite: Literal["stop", "restore"] = "stop"  # restore: return to the last state with finite losses
    # Training.
    scale: tuple[PositiveFloat, PositiveFloat] = (0.75, 2.0)  # smallest and largest scale of the augmentation
    photometric: bool = True  # augmentation of brightness, contrast and colour
    strategy: Literal["one", "mirrored", "multiworker", "auto"] = "one"
    # auto: mixed_bfloat16 if the processor has instructions for it, otherwise float32
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    jit: bool = False  # compile the whole step by XLA; determinism is then XLA's
    seed: NonNegativeInt = 0
    # the same bits again on one processor, or on one device of the same kind; some operations are refused
    deterministic: bool = True
    checkpoint_seconds: NonNegativeFloat = 10.0  # between two checkpoints from which a killed training resumes
    # The export.
    crf: dict[str, float] | None = None  # DenseCRF in the export: auto, JSON, or a file of tune_crf
    flips: tuple[str, ...] = ()  # horizontal, vertical: views that the export averages, one forward pass each
    rotations: tuple[int, ...] = (0,)  # degrees of further views
    tiles: bool = False  # adds the signature "tiles", which labels large images tile by tile

    def __post_init__(self):
        super().__post_init__()
        if self.scale[0] > self.scale[1]:
            raise ValueError(
                f"`scale` must be smallest,largest. Received: trainer.scale={self.scale[0]:g},{self.scale[1]:g}."
            )


def choices(config: Trainer) -> dict[str, list[str]]:
    """Which of several modules these settings use; the others enter no recipe.

    Returns:
        Package, or table of modules -> names in it that are used; see `pipeline.engine.code_digests.code`.
    """
    return {
        "kseg.encoders.names.ENCODERS": [],  # networks behind --model import their encoders
        "pipeline.networks.segmentors": [config.model],
        "pipeline.networks.discriminators": [config.discriminator] if config.adversarial_weight else [],
        **crf_choice(config.crf is not None),
    }


def crf_choice(used: bool) -> dict[str, list[str]]:
    """Whether the settings of a component use DenseCRF, in the form of `choices`."""
    return {} if used else {"kseg.postprocess.densecrf": []}
