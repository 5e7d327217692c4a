"""The encoder that `trainer.encoder` names, as an argument of the networks' constructors. Keras, through kseg."""

from __future__ import annotations

import functools
import pathlib

import keras

from kseg.encoders.names import encode
from kseg.encoders.weights import OtherChannels
from pipeline.networks.narrow import NARROW
from pipeline.settings.encoders import named_encoder
from pipeline.settings.trainer import Trainer


def encoder_option(config: Trainer, weights: str | pathlib.Path | None, **settings) -> dict:
    """The argument `encoder` of a network's constructor; nothing where the network's own is built into it.

    Narrow networks get a narrow encoder, where it comes in several widths. With weights it is as they were trained, and only
    what follows it is narrow.

    Args:
        config: the trainer's settings.
        weights: None for random weights, "imagenet", or a file.
        **settings: that the network wants of an encoder which has them, such as `output_stride`.
    """
    name = named_encoder(config)
    if name is None:
        return {}
    if weights is None and config.width == "narrow":
        settings |= NARROW
    return {"encoder": functools.partial(encode, encoder=name, weights=weights, **settings)}


def check_weights(config: Trainer):
    """Builds the encoder with its weights, to see before any work whether they are there and fit.

    The channels of the images are not known yet: a file for any number of them fits.

    Args:
        config: the trainer's settings, with an encoder and `weights`.

    Raises:
        ValueError: the file is damaged, or of another network; or keras.applications cannot be reached.
    """
    encoder = encoder_option(config, config.weights)["encoder"]
    try:
        encoder(keras.Input((None, None, 3), name="image"))
    except OtherChannels as error:
        encoder(keras.Input((None, None, error.channels), name="image"))
