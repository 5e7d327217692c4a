"""Backbones of keras-cv as encoders: ResNetV2 and CSPDarkNet. keras-cv needs TensorFlow; it is imported when one is built.

    kseg.UNet(11, encoder="resnet50_v2")

keras-cv is frozen (its last commit is of 2024) but runs under Keras 3. Its presets, which download, are not used.
"""

from __future__ import annotations

import keras

from kseg._extras import extra
from kseg.encoders.weight_files import load
from kseg.layers import ReflectionPadding2D

RESNETS = {"resnet18_v2": (2, 2, 2, 2), "resnet50_v2": (3, 4, 6, 3), "resnet101_v2": (3, 4, 23, 3)}
"""Units of each stage; ResNet-18 has basic ones."""
DARKNETS = {
    "csp_darknet_tiny": ((48, 96, 192, 384), (1, 3, 3, 1)),
    "csp_darknet_s": ((64, 128, 256, 512), (1, 3, 3, 1)),
    "csp_darknet_m": ((96, 192, 384, 768), (2, 6, 6, 2)),
}
"""Channels and depth of each stage."""


def encoder(name: str, image, *, weights=None, trainable: bool = True) -> list:
    """Features of one of keras-cv's backbones.

    Args:
        name: one of `RESNETS` or `DARKNETS`.
        image: (B, H, W, C) in [0, 255]; the backbone rescales it to [0, 1].
        weights: None for random weights, or a `.weights.h5` file of the same backbone.
        trainable: False freezes the encoder and its batch statistics.

    Returns: the last map at each of the strides 2, 4, 8, 16 and 32 that the backbone has, of the image extended by reflection to
        the next multiple of 32.

    Raises:
        FileNotFoundError: there is no such file of weights.
        ValueError: there is no encoder of that name, or the file does not hold its weights.
        ImportError: keras-cv is not installed.
    """
    if name not in RESNETS | DARKNETS:
        raise ValueError(f"`name` must be one of {', '.join(RESNETS | DARKNETS)}. Received: name={name!r}.")
    backbone = _backbone(name, image.shape[-1])
    if weights is not None:
        load(backbone, weights)
    levels = backbone.pyramid_level_inputs
    outputs = [backbone.get_layer(levels[level]).output for level in sorted(levels)]
    model = keras.Model(backbone.input, outputs, name=name)
    model.trainable = trainable
    return model(ReflectionPadding2D(0, multiple=32, name="border")(image))


def _backbone(name, channels) -> keras.Model:
    """Built from numbers, since keras-cv downloads even the configuration of a preset."""
    with extra("encoders"):
        from keras_cv import models

    settings = {"include_rescaling": True, "input_shape": (None, None, channels)}
    if name in DARKNETS:
        widths, depths = DARKNETS[name]
        return models.CSPDarkNetBackbone(
            stackwise_channels=widths, stackwise_depth=depths, use_depthwise=False, **settings
        )
    return models.ResNetV2Backbone(
        stackwise_filters=(64, 128, 256, 512),
        stackwise_blocks=RESNETS[name],
        stackwise_strides=(1, 2, 2, 2),
        block_type="basic_block" if name == "resnet18_v2" else "block",
        **settings,
    )
