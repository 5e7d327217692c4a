"""Settings of the component trainer. Standard library only."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated, Literal

from pipeline.settings import encoders
from pipeline.settings.values import (
    Checked,
    Fraction,
    Items,
    Number,
    Place,
    PositiveInt,
    Rate,
    Seed,
    Side,
    Steps,
    Weight,
)

NETWORKS = pathlib.Path(__file__).resolve().parents[1] / "networks"


def _list_modules(folder: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (NETWORKS / folder).glob("[!_]*.py")))


MODELS = _list_modules("segmentors")
"""Networks: the modules in `pipeline/networks/segmentors/`."""
AUTO = "auto"
"""Value of `--model` that lets the planner choose; of settings of the game, what suits the game."""
DISCRIMINATORS = _list_modules("discriminators")
"""Values of `trainer.discriminator`: the modules in `pipeline/networks/discriminators/`."""

BET_PER_PIXEL = ("unet", "fully_convolutional")
"""Those whose output has the size of their input."""

DOMAIN_CLASSES = "_domain_classes"
"""The discriminator of features, which `trainer.discriminator` does not name."""

ADAPTATIONS = ("maps", "entropy", "features")
"""Values of `trainer.adaptation` with a discriminator between domains."""

MAPS_ALONE = (
    "patch_gan",
    "fully_convolutional",
    "large_fov",
    "large_fov_light",
    "small_fov",
    "small_fov_light",
    "unet",
)
"""Discriminators that may judge label maps without the image."""

Filters = Annotated[int, Number(minimum=1, maximum=4096, integer=True)]
"""Channels of a convolution."""
Scale = Annotated[float, Number(minimum=0.05, maximum=16)]
"""A factor on the sides of an image."""


@dataclasses.dataclass(frozen=True)
class Trainer(Checked):
    """Network, loss, game and schedule."""

    model: Literal[AUTO, *MODELS] = "unet"
    width: Literal["narrow", "paper"] = "narrow"  # paper: exactly the paper's network
    # of the narrow unet and light_fpn, fine to coarse; while they are these, light_fpn has 32,64,96,96,128
    filters: Annotated[tuple[Filters, ...], Items(minimum=2, maximum=8)] = encoders.UNET_FILTERS
    # trunk of the network, one of kseg.encoders; none: the network's own. Narrow, without weights, it has a quarter of its
    # channels if it comes in several widths; with weights it is as they were trained
    encoder: Literal[*encoders.STRIDES] | None = None
    # that the encoder begins with: imagenet, or a file of Keras's; none: random ones
    weights: Annotated[str, Place()] | None = None
    # factor of the learning rate for the trunk, weight decay included
    encoder_rate: Annotated[float, Number(minimum=0, maximum=10)] = 1.0
    # first steps of the segmentor in which the trunk's weights stay as they are; its batch statistics move
    freeze_steps: Steps = 0
    epochs: PositiveInt = 80
    # after so many batches validation follows; none: after each pass over the training pairs
    steps_per_epoch: Annotated[int, Number(minimum=1, maximum=1_000_000_000, integer=True)] | None = None
    validation_pairs: PositiveInt | None = None  # by which the best epoch is chosen; none: the whole split
    # learn from the validation split, too, which then says no more how well the network labels other images
    train_on_validation: bool = False
    batch_size: Annotated[int, Number(minimum=1, maximum=65_536, integer=True)] = 8
    learning_rate: Rate = 2e-3
    weight_decay: Fraction = 1e-4
    dice_weight: Weight = 0.0
    # The game; 0 trains the segmentor alone.
    adversarial_weight: Weight = 0.0
    game: Literal["adversarial", "embedding", "segan", "gambler"] = "adversarial"  # what both learn from each other
    discriminator: Literal[AUTO, *DISCRIMINATORS] = AUTO  # auto: unet for the gambler, otherwise two_branch
    discriminator_filters: Filters = 16  # of its first convolutions; 64 in the papers, 96 for LargeFOV and SmallFOV
    # of the discriminator's label maps; auto: scaling in the game adversarial, otherwise basic
    encoding: Literal[AUTO, "basic", "product", "scaling"] = AUTO
    discriminator_learning_rate: Rate = 2e-4
    # the discriminator sees image and label maps at 1/label_stride of the resolution
    label_stride: Annotated[int, Number(minimum=1, maximum=256, integer=True)] = 2
    spectral_normalization: bool = False  # of the discriminator's convolutions; always in the game segan
    objective: Literal["non_saturating", "minimax", "least_squares", "hinge"] = (
        "non_saturating"  # not of segan and gambler
    )
    label_smoothing: Annotated[float, Number(minimum=0, below=1)] = 0.0  # subtracted from the label 1 of real pairs
    pretrain_segmentor: Steps = 0  # steps in which the segmentor learns alone
    pretrain_discriminator: Steps = 0  # steps after these in which the discriminator learns alone
    # k: alternately the discriminator for k steps and the segmentor for k steps; 0: both in every step
    alternate_every: Steps = 0
    ramp: Steps = 0  # steps in which the adversarial weight then grows from 0
    on_nonfinite: Literal["stop", "restore"] = "stop"  # restore: return to the last state with finite losses
    # Images without masks, half of each batch: those of --target, of another domain, or of --unlabelled, of the same.
    # what a discriminator compares between the domains: predictions, their entropy, or features class by class
    adaptation: Literal["none", "maps", "entropy", "features"] = "none"
    domain_weight: Weight = 0.01  # of that discriminator in the segmentor's loss
    target_colours: bool = False  # whether pairs take the colours of the images of --target; true with it
    pseudo_label_weight: Weight = 1.0  # of the loss on the averaged teacher's labels; 0: no teacher
    # probability from which a pixel has a pseudo-label
    pseudo_label_threshold: Annotated[float, Number(above=0, maximum=1)] = 0.9
    teacher_decay: Annotated[float, Number(minimum=0, below=1)] = 0.99  # of its average of the segmentor's weights
    teacher_start: Steps | None = None  # first step with pseudo-labels; none: after a tenth of all
    cut_mix: bool = True  # whether a rectangle of the next image is pasted into images without masks
    # Training.
    # height, width of what a step sees of an image at its working size; None: all of it
    crop_size: tuple[Side, Side] | None = None
    scale: tuple[Scale, Scale] = (0.75, 2.0)  # smallest and largest scale of the augmentation, on the working size
    photometric: bool = True  # augmentation of brightness, contrast and colour
    strategy: Literal["one", "mirrored", "multiworker", "auto"] = "one"
    # auto: mixed_bfloat16 if the processor has instructions for it, otherwise float32
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    jit: bool = False  # compile the whole step by XLA; determinism is then XLA's
    seed: Seed = 0
    # the same bits again on one processor, or on one device of the same kind; some operations are refused
    deterministic: bool = True
    # between two checkpoints from which a killed training resumes
    checkpoint_seconds: Annotated[float, Number(minimum=0, maximum=604_800)] = 10.0

    def __post_init__(self):
        super().__post_init__()
        if self.scale[0] > self.scale[1]:
            raise ValueError(
                f"`scale` must be smallest,largest. Received: trainer.scale={self.scale[0]:g},{self.scale[1]:g}."
            )
        classified = self.objective, self.label_smoothing
        if self.game in ("segan", "gambler") and classified != ("non_saturating", 0):
            raise ValueError(
                "`objective` and `label_smoothing` must be left out of games that do not tell real from fake. Received: "
                f"trainer.objective={self.objective}, trainer.label_smoothing={self.label_smoothing:g} with "
                f"trainer.game={self.game}."
            )
        if self.objective == "hinge" and self.label_smoothing:
            raise ValueError(
                "`label_smoothing` must be 0 with the objective hinge, which has no labels. "
                f"Received: trainer.label_smoothing={self.label_smoothing:g}. Leave it out."
            )
        if self.adaptation in ADAPTATIONS:
            self._check_adaptation()
        if self.game == "gambler" and self.discriminator not in (AUTO, *BET_PER_PIXEL):
            raise ValueError(
                "`discriminator` must give a bet for each pixel that it sees, for trainer.game=gambler. "
                f"Received: trainer.discriminator={self.discriminator}. Leave it out, or take {' or '.join(BET_PER_PIXEL)}."
            )

    def _check_adaptation(self):
        """Refuses what does not go with a discriminator between domains."""
        received = f"with trainer.adaptation={self.adaptation}"
        if self.adversarial_weight:
            raise ValueError(
                "There must be one discriminator: between label maps, or between domains. Received: "
                f"trainer.adversarial_weight={self.adversarial_weight:g} {received}. Leave --adversarial-weight out, or take "
                "trainer.adaptation=none."
            )
        if self.game != "adversarial" or self.encoding not in (AUTO, "basic"):
            raise ValueError(
                "`game` and `encoding` must be left out between domains, whose discriminator sees no true label map. Received: "
                f"trainer.game={self.game}, trainer.encoding={self.encoding} {received}."
            )
        if self.adaptation == "features" and (self.objective, self.label_smoothing) != ("non_saturating", 0):
            raise ValueError(
                "`objective` and `label_smoothing` must be left out on features, whose discriminator has a loss of its own. "
                f"Received: trainer.objective={self.objective}, trainer.label_smoothing={self.label_smoothing:g} {received}."
            )
        fitting = () if self.adaptation == "features" else MAPS_ALONE
        if self.discriminator not in (AUTO, *fitting):
            cure = f"Leave it out, or take one of {', '.join(fitting)}." if fitting else "Leave it out."
            raise ValueError(
                "`discriminator` must judge what is compared between the domains, without the image. Received: "
                f"trainer.discriminator={self.discriminator} {received}. {cure}"
            )


def resolve_game(config: Trainer) -> Trainer:
    """The settings with the game's own discriminator, encoding and normalisation in place of `auto`."""
    found = {}
    if config.adaptation in ADAPTATIONS:
        found["encoding"] = "basic"
        if config.discriminator == AUTO and config.adaptation != "features":  # which have one of their own
            found["discriminator"] = "patch_gan"
        return dataclasses.replace(config, **found)
    if config.discriminator == AUTO:
        found["discriminator"] = "unet" if config.game == "gambler" else "two_branch"
    if config.encoding == AUTO:
        found["encoding"] = "scaling" if config.game == "adversarial" else "basic"
    if config.game == "segan":
        found["spectral_normalization"] = True
    return dataclasses.replace(config, **found)


def discriminator_module(config: Trainer) -> str:
    """The module of `pipeline.networks.discriminators` whose network trains beside the segmentor, if one does."""
    return DOMAIN_CLASSES if config.adaptation == "features" else resolve_game(config).discriminator


def has_discriminator(config: Trainer) -> bool:
    """Whether a discriminator trains beside the network."""
    return bool(config.adversarial_weight) or config.adaptation in ADAPTATIONS


def learned_splits(config: Trainer, examples: dict[str, int]) -> list[str]:
    """The splits with pairs that the network learns from.

    Args:
        config: settings of the trainer.
        examples: number of pairs by split.
    """
    both = config.train_on_validation and examples.get("validation")
    return ["train", "validation"] if both else ["train"]


def labelled_images(config: Trainer, unlabelled: bool) -> int:
    """How many images of a batch have masks: all, or half where images without masks stand beside them.

    Args:
        config: settings of the trainer.
        unlabelled: whether there are images without masks.
    """
    return config.batch_size - config.batch_size // 2 if unlabelled and in_batches(config) else config.batch_size


def in_batches(config: Trainer) -> bool:
    """Whether images without masks take half of each batch, and do not only lend their colours."""
    return bool(config.pseudo_label_weight) or config.adaptation in ADAPTATIONS


def choices(config: Trainer) -> dict[str, list[str]]:
    """Which of several modules these settings use; the others enter no recipe.

    Returns:
        Package, or table of modules -> names in it that are used; see `pipeline.engine.code_digests.code`.
    """
    encoder = encoders.named_encoder(config)
    return {
        "kseg.encoders.names.ENCODERS": [encoder] if encoder else [],  # networks import their own
        "pipeline.networks.segmentors": [config.model],
        "pipeline.networks.discriminators": [discriminator_module(config)] if has_discriminator(config) else [],
        "kseg.postprocess.densecrf": [],
    }
