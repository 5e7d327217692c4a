"""The networks that `--model` and `trainer.discriminator` name, as wide as the settings say. Keras, through kseg's public names.

"narrow", the default, learns from scratch on two cores: few channels, batch normalisation, upsampling that learns. "paper" is the
network of the paper to the number.
"""

from __future__ import annotations

import keras

import kseg  # networks are taken from the lazy public face, so that only the chosen one enters the recipe
from pipeline.settings.trainer import Trainer

NARROW = {"width": 0.25, "batch_normalization": True}


def segmentor(config: Trainer, num_classes: int, channels: int) -> keras.Model:
    """The network that `config.model` names, from `image` (B, H, W, channels) to logits (B, H, W, num_classes).

    Args:
        config: the trainer's settings.
        num_classes: K.
        channels: of the images.
    """
    return SEGMENTORS[config.model](config, num_classes, input_shape=(None, None, channels))


def discriminator(config: Trainer, num_classes: int, channels: int) -> keras.Model:
    """The network that `config.discriminator` names, for label maps in `config.encoding`.

    Args:
        config: the trainer's settings.
        num_classes: K.
        channels: of the images, C.

    Returns: model from [`image` (B, H, W, C), `label_map` (B, H, W, K), or (B, H, W, C K) for "product"] to logits.
    """
    seen = num_classes * (channels if config.encoding == "product" else 1)
    settings = {"input_shape": (None, None, channels), "spectral_normalization": config.spectral_normalization}
    return DISCRIMINATORS[config.discriminator](config, seen, **settings)


def _unet(config, num_classes, **settings):
    if config.width == "narrow":
        settings |= {"filters": config.filters, "batch_normalization": True}
    return kseg.UNet(num_classes, **settings)


def _fcn(constructor):
    def build(config, num_classes, **settings):
        if config.width == "narrow":
            settings |= NARROW | {"upsampling_trainable": True}
        return constructor()(num_classes, **settings)

    return build


def _resnet(constructor):
    def build(config, num_classes, **settings):
        if config.width == "narrow":
            settings |= {"width": 0.25, "depth": 50}
        return constructor()(num_classes, **settings)

    return build


def _segnet(config, num_classes, **settings):
    return kseg.SegNet(num_classes, width=0.25 if config.width == "narrow" else 1.0, **settings)


def _segnet_basic(config, num_classes, **settings):
    return kseg.SegNetBasic(num_classes, width=0.5 if config.width == "narrow" else 1.0, **settings)


def _dilated(config, num_classes, **settings):
    if config.width == "narrow":
        settings |= NARROW | {"upsampling_trainable": True}
    return kseg.DilatedFrontEnd(num_classes, context="basic", **settings)


def _patch_classifier(config, num_classes, *, input_shape):
    settings = {"channels": input_shape[-1]}
    if config.width == "narrow":
        settings |= {"window": 32, "filters": (32, 32, 64), "kernel_sizes": (3, 3, 3), "dense_units": (128,)}
        settings |= {"batch_normalization": True}
    return kseg.convolutionalize(kseg.PatchClassifier(num_classes, **settings))


def _two_branch(config, seen, **settings):
    return kseg.discriminators.TwoBranch(seen, branch_filters=config.discriminator_filters, **settings)


def _field_of_view(constructor, light):
    def build(config, seen, **settings):
        return constructor()(seen, light=light, width=config.discriminator_filters / 96, **settings)

    return build


def _patch_gan(config, seen, **settings):
    return kseg.discriminators.PatchGAN(seen, filters=config.discriminator_filters, **settings)


def _fully_convolutional(config, seen, **settings):
    return kseg.discriminators.FullyConvolutional(seen, filters=config.discriminator_filters, **settings)


SEGMENTORS = {  # the keys of `pipeline.settings.config.MODELS`
    "unet": _unet,
    "fcn8s": _fcn(lambda: kseg.FCN8s),
    "fcn16s": _fcn(lambda: kseg.FCN16s),
    "fcn32s": _fcn(lambda: kseg.FCN32s),
    "segnet": _segnet,
    "segnet_basic": _segnet_basic,
    "deeplabv3": _resnet(lambda: kseg.DeepLabV3),
    "deeplabv3plus": _resnet(lambda: kseg.DeepLabV3Plus),
    "pspnet": _resnet(lambda: kseg.PSPNet),
    "dilated": _dilated,
    "patch_classifier": _patch_classifier,
}
DISCRIMINATORS = {  # the keys of `pipeline.settings.config.DISCRIMINATORS`
    "two_branch": _two_branch,
    "large_fov": _field_of_view(lambda: kseg.discriminators.LargeFOV, light=False),
    "large_fov_light": _field_of_view(lambda: kseg.discriminators.LargeFOV, light=True),
    "small_fov": _field_of_view(lambda: kseg.discriminators.SmallFOV, light=False),
    "small_fov_light": _field_of_view(lambda: kseg.discriminators.SmallFOV, light=True),
    "patch_gan": _patch_gan,
    "fully_convolutional": _fully_convolutional,
}
