"""The networks that `--model` and `trainer.discriminator` name, as wide as the settings say. Keras, through kseg's public names.

One file a name, in `segmentors/` and `discriminators/`, each with a function `build`; the names are read from the folders, so
adding a file adds a choice. "narrow", the default, learns from scratch on two cores: few channels, batch normalisation,
upsampling that learns. "paper" is the network of the paper to the number.
"""

from __future__ import annotations

import importlib

import keras

from pipeline.settings.encoders import named_encoder
from pipeline.settings.trainer import Trainer, resolve_game


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
