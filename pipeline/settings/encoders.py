"""Which encoders `trainer.encoder` names, which networks take them, and where their weights are from. Standard library only.

Whatever can be refused is refused here, before data are read and Keras is imported. So the strides of features, which the
encoders themselves decide, stand here a second time; a test holds both together.
"""

from __future__ import annotations

import importlib.util
import itertools
import pathlib

from kseg._weight_packages import WEIGHT_PACKAGES
from pipeline.engine.contents import file_digest

ALL, FROM_4, TO_8 = (2, 4, 8, 16, 32), (4, 8, 16, 32), (2, 4, 8)
STRIDES = {
    "alexnet": FROM_4,
    "csp_darknet_m": FROM_4,
    "csp_darknet_s": FROM_4,
    "csp_darknet_tiny": FROM_4,
    "efficientnet_lite0": ALL,
    "efficientnet_lite1": ALL,
    "efficientnet_lite2": ALL,
    "efficientnet_v2_b0": ALL,
    "mobilenet_v2": ALL,
    "mobilenet_v3_large": ALL,
    "mobilenet_v3_small": ALL,
    "resnet101": ALL,
    "resnet101_v2": FROM_4,
    "resnet18_v2": FROM_4,
    "resnet50": ALL,
    "resnet50_v2": FROM_4,
    "vgg16": ALL,
    "vgg16_dilated": TO_8,
}
"""Of the features of each encoder: pixels of the image for one position."""
DILATING = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "resnet50", "resnet101")
"""Encoders that end at a smaller stride where the network asks for it."""
KERAS_CV = ("csp_darknet_m", "csp_darknet_s", "csp_darknet_tiny", "resnet18_v2", "resnet50_v2", "resnet101_v2")
WITHOUT_IMAGENET = ("alexnet", *KERAS_CV)
"""Encoders that have no ImageNet weights; those in neither this list nor `WEIGHT_PACKAGES` have them in keras.applications."""

OUTPUT_STRIDES = {"deeplabv3": 16, "deeplabv3plus": 16, "dilated": 8, "pspnet": 8}
"""Stride at which networks want their encoder to end, where it is not 32."""
DEFAULT = {"light_fpn": "efficientnet_lite0"}
"""Encoder of networks that always have a named one. The other networks' own are built into them."""


def _ends_with(*wanted: int):
    return lambda strides: strides[-len(wanted) :] == wanted


def _doubles(strides) -> bool:
    return all(coarse == 2 * fine for fine, coarse in itertools.pairwise(strides))


NEEDS = {
    "deeplabv3": ("the last at stride 16", _ends_with(16)),
    "deeplabv3plus": ("one at stride 4 and the last at stride 16", lambda strides: 4 in strides and strides[-1] == 16),
    "dilated": ("the last at stride 8", _ends_with(8)),
    "fcn16s": ("the last at strides 8, 16 and 32", _ends_with(8, 16, 32)),
    "fcn32s": ("the last at strides 8, 16 and 32", _ends_with(8, 16, 32)),
    "fcn8s": ("the last at strides 8, 16 and 32", _ends_with(8, 16, 32)),
    "fpn": ("one at each of the strides 4, 8, 16 and 32", lambda strides: set(FROM_4) <= set(strides)),
    "light_fpn": ("strides that double", _doubles),
    "pspnet": ("any strides", lambda strides: True),
    "unet": ("strides 2, 4, 8 and so on", lambda strides: strides[0] == 2 and _doubles(strides)),
}
"""Networks that take an encoder: what its features must be, in words and as a test of their strides."""
UNET_FILTERS = (16, 32, 64, 128, 256)
"""The default of `trainer.filters`."""
PYRAMID_FILTERS = {2: 32, 4: 64, 8: 96, 16: 96, 32: 128}
"""Of light_fpn by stride, where `trainer.filters` is the default."""
IMAGENET, FILE = "imagenet", "file"
"""Values of `trainer.weights` in a recipe; of a file the content enters it, not its place."""


def named_encoder(trainer) -> str | None:
    """The named encoder of the network: the given one, else the network's default; None where its own is built into it."""
    return trainer.encoder or DEFAULT.get(trainer.model)


def strides(model: str, encoder: str) -> tuple[int, ...]:
    """Strides of the encoder's features as the network asks for them."""
    found = STRIDES[encoder]
    wanted = OUTPUT_STRIDES.get(model)
    return found[: found.index(wanted) + 1] if wanted and encoder in DILATING else found


def filters(trainer) -> tuple[int, ...]:
    """Channels of the levels of the narrow unet and light_fpn, fine to coarse."""
    if trainer.model == "light_fpn" and trainer.filters == UNET_FILTERS:
        return tuple(PYRAMID_FILTERS[stride] for stride in strides(trainer.model, named_encoder(trainer)))
    return trainer.filters


def check(trainer) -> None:
    """Refuses an encoder that the network does not take, weights that the encoder does not have, and a missing package.

    Args:
        trainer: settings of the trainer.

    Raises:
        ValueError: settings contradict each other, or a package's file of weights is not the one known here.
        FileNotFoundError: `trainer.weights` is no file.
        ModuleNotFoundError: the package of the encoder or of its weights is not installed.
    """
    encoder = named_encoder(trainer)
    if trainer.encoder and trainer.model not in NEEDS:
        raise ValueError(
            f"`trainer.encoder` goes with networks that take one: {', '.join(NEEDS)}. Received: "
            f"trainer.model={trainer.model}, trainer.encoder={trainer.encoder}. Leave it out, or choose one of them by --model."
        )
    if encoder:
        _check_strides(trainer, encoder)
        if encoder in KERAS_CV and importlib.util.find_spec("keras_cv") is None:
            raise ModuleNotFoundError(
                f"trainer.encoder={encoder} needs the package keras-cv. Install it: pip install 'kseg[encoders]'."
            )
    _check_needs_encoder(trainer, encoder)
    if trainer.weights is not None:
        weights_file(encoder, trainer.weights)


def _check_needs_encoder(trainer, encoder):
    given = {"weights": (trainer.weights, None), "encoder_rate": (trainer.encoder_rate, 1)}
    given |= {"freeze_steps": (trainer.freeze_steps, 0)}
    for name, (value, default) in given.items():
        if value != default and not encoder:
            named = "Name one, such as trainer.encoder=efficientnet_lite0"
            cure = named if trainer.model in NEEDS else f"Leave it out: {trainer.model} takes none"
            raise ValueError(
                f"`trainer.{name}` needs `trainer.encoder`, whose it is. Received: trainer.model={trainer.model}, "
                f"trainer.encoder=none, trainer.{name}={value}. {cure}."
            )


def _check_strides(trainer, encoder: str):
    words, fits = NEEDS[trainer.model]
    found = strides(trainer.model, encoder)
    if not fits(found):
        others = [name for name in STRIDES if fits(strides(trainer.model, name))]
        raise ValueError(
            f"The features of `trainer.encoder` must have, for {trainer.model}, {words}. Received: trainer.encoder={encoder}, "
            f"whose features are at strides {', '.join(map(str, found))}. Choose one of {', '.join(others)}."
        )
    levels = len(filters(trainer))
    wrong = {"unet": levels < len(found), "light_fpn": levels != len(found)}.get(trainer.model)
    if wrong and trainer.width == "narrow":
        raise ValueError(
            f"`trainer.filters` must have {'at least ' if trainer.model == 'unet' else ''}one number for each feature of the "
            f"encoder. Received: trainer.filters={','.join(map(str, trainer.filters))} for the {len(found)} features of "
            f"{encoder}."
        )


def weights_file(encoder: str, weights: str) -> pathlib.Path | None:
    """The file that `trainer.weights` means; None where keras.applications has it.

    Args:
        encoder: name of the encoder.
        weights: "imagenet" or a path.

    Raises:
        ValueError: the encoder has no ImageNet weights, or the package's file is not the one known here.
        FileNotFoundError: there is no such file.
        ModuleNotFoundError: the package of the weights is not installed.
    """
    if weights != IMAGENET:
        path = pathlib.Path(weights)
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "not a regular file" if path.exists() else "no such file"
            raise FileNotFoundError(
                f"`trainer.weights` must be none, imagenet or a file. Received: trainer.weights={weights} [{kind}]. Check the "
                "path, or take imagenet."
            )
        return path
    if encoder in WITHOUT_IMAGENET:
        raise ValueError(
            f"There are no ImageNet weights for {encoder}. Received: trainer.encoder={encoder}, trainer.weights=imagenet. Give a "
            "file, or choose another encoder, such as efficientnet_lite0."
        )
    package = WEIGHT_PACKAGES.get(encoder)
    return package and package.find()


def cure_missing_weights(encoder: str) -> str:
    """How to get the encoder's ImageNet weights, as a sentence; empty where they are installed. Nothing is downloaded."""
    if encoder in WITHOUT_IMAGENET:
        return f"There are no ImageNet weights for {encoder}."
    if encoder not in WEIGHT_PACKAGES:
        return f"With a connection, trainer.weights=imagenet downloads those of {encoder}."
    try:
        WEIGHT_PACKAGES[encoder].find()
    except ModuleNotFoundError as error:
        return str(error)
    return ""


def describe_weights(trainer, file: pathlib.Path | None) -> dict | None:
    """What is known of the weights that a training began with, for its record; None where it began from random ones.

    Args:
        trainer: settings of the trainer.
        file: of the weights, where there is one.

    Returns:
        "encoder", "weights" ("imagenet" or "file"), "sha256", "package" (name and version of the package that holds them),
        "licence" (SPDX identifier) and "source"; None for what is not known.
    """
    if trainer.weights is None:
        return None
    encoder, imagenet = named_encoder(trainer), trainer.weights == IMAGENET
    facts = {"encoder": encoder, "weights": IMAGENET if imagenet else FILE}
    if imagenet and encoder in WEIGHT_PACKAGES:
        package = WEIGHT_PACKAGES[encoder]
        name = f"{package.name} {package.version()}"
        return facts | {"sha256": package.sha256, "package": name, "licence": package.licence, "source": package.source}
    source = f"keras.applications, {encoder}, trained on ImageNet" if imagenet else "a file of the user's"
    return facts | {"sha256": file and file_digest(file), "package": None, "licence": None, "source": source}
