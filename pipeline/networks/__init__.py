"""The networks that `--model` and `trainer.discriminator` name, as wide as the settings say. Keras, through kseg's public names.

One file a name, in `segmentors/` and `discriminators/`, each with a function `build`; the names are read from the folders, so
adding a file adds a choice. "narrow", the default, learns from scratch on two cores: few channels, batch normalisation,
upsampling that learns. "paper" is the network of the paper to the number.
"""

from __future__ import annotations

import importlib

import keras

from pipeline.settings.encoders import named_encoder
from pipeline.settings.trainer import Trainer, discriminator_module, resolve_game


def segmentor(config: Trainer, num_classes: int, channels: int, *, weights=None) -> keras.Model:
    """The network that `config.model` names, from `image` (B, H, W, channels) to logits (B, H, W, num_classes).

    Args:
        config: the trainer's settings.
        num_classes: K.
        channels: of the images.
        weights: of a named encoder: a file, in place of `config.weights`.

    Raises:
        ValueError: settings or weights do not fit the network.
        ModuleNotFoundError: the package of an encoder or of its weights is not installed.
    """
    module = importlib.import_module(f"pipeline.networks.segmentors.{config.model}")
    options = {"input_shape": (None, None, channels)}
    if named_encoder(config):
        options["weights"] = weights or config.weights
    return module.build(config, num_classes, **options)


def discriminator(config: Trainer, num_classes: int, channels: int) -> keras.Model:
    """The network that `config.discriminator` names, for label maps in `config.encoding`.

    Args:
        config: the trainer's settings.
        num_classes: K.
        channels: of the images, C.

    Returns:
        Model from [`image` (B, H, W, C), `label_map` (B, H, W, K), or (B, H, W, C K) for "product"] to logits.
    """
    config = resolve_game(config)
    module = importlib.import_module(f"pipeline.networks.discriminators.{config.discriminator}")
    label_channels = num_classes * (channels if config.encoding == "product" else 1)
    options = {"input_shape": (None, None, channels), "spectral_normalization": config.spectral_normalization}
    return module.build(config, label_channels, **options)


def domain_discriminator(config: Trainer, num_classes: int, segmentor: keras.Model) -> tuple[keras.Model, str | None]:
    """The network that tells predictions, or features, of two domains apart, for `kseg.DomainGame`.

    Args:
        config: the trainer's settings.
        num_classes: K.
        segmentor: the network whose predictions or features it judges.

    Returns:
        Model from the maps (B, H, W, K) to logits, and None; or from features (B, h, w, F) to logits (B, h, w, 2 K), and the name
        of the segmentor's layer whose output they are.
    """
    spectral = {"spectral_normalization": config.spectral_normalization}
    name = discriminator_module(config)
    module = importlib.import_module(f"pipeline.networks.discriminators.{name}")
    if config.adaptation == "features":
        layer = feature_layer(segmentor)
        return module.build(config, num_classes, channels=layer.output.shape[-1], **spectral), layer.name
    # Statistics of a batch would tell the domains apart that are mixed in it.
    plain = {"batch_normalization": False} if name == "patch_gan" else {}
    return module.build(config, num_classes, input_shape=None, **plain, **spectral), None


def feature_layer(segmentor: keras.Model) -> keras.layers.Layer:
    """The layer whose output the segmentor's classifier sees: what comes before the last convolution to K channels."""
    num_classes = segmentor.output_shape[-1]
    scores = [layer for layer in segmentor.layers if hasattr(layer, "kernel") and layer.output.shape[-1] == num_classes]
    return next(layer for layer in segmentor.layers if layer.output is scores[-1].input)
