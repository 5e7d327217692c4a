"""Encoders by name, as networks take them: `kseg.UNet(11, encoder="resnet50")`. Modules are imported when they are named."""

from __future__ import annotations

import functools
import importlib
import inspect

import keras

from kseg._checks import check_choice

ENCODERS = {
    "alexnet": "kseg.encoders.alexnet",
    "efficientnet_lite0": "kseg.encoders.efficientnet_lite",
    "efficientnet_lite1": "kseg.encoders.efficientnet_lite",
    "efficientnet_lite2": "kseg.encoders.efficientnet_lite",
    "efficientnet_v2_b0": "kseg.encoders.applications",
    "mobilenet_v2": "kseg.encoders.applications",
    "mobilenet_v3_large": "kseg.encoders.applications",
    "mobilenet_v3_small": "kseg.encoders.applications",
    "resnet50": "kseg.encoders.resnet",
    "resnet101": "kseg.encoders.resnet",
    "vgg16": "kseg.encoders.vgg",
    "vgg16_dilated": "kseg.encoders.vgg",
    "csp_darknet_m": "kseg.encoders.keras_cv",
    "csp_darknet_s": "kseg.encoders.keras_cv",
    "csp_darknet_tiny": "kseg.encoders.keras_cv",
    "resnet18_v2": "kseg.encoders.keras_cv",
    "resnet50_v2": "kseg.encoders.keras_cv",
    "resnet101_v2": "kseg.encoders.keras_cv",
}
"""Module of each encoder by name."""


def encode(image, encoder, *, weights=None, **settings) -> list:
    """Features of the image by an encoder that is named or given.

    Args:
        image: (B, H, W, C) in [0, 255].
        encoder: a name in `ENCODERS`, or a function `image -> features`.
        weights: of a named encoder: None for a random start, "imagenet", or a file, see `kseg.encoders.weights.fill`.
        **settings: of the network that asks; a named encoder is built with those that it has, such as `width` or `output_stride`.

    Returns: features, fine to coarse. `trunk_weights` finds the encoder's layers in the network that is built on them.

    Raises:
        ValueError: there is no such encoder; `weights` come with a function, which has its own; or a function does not return
            maps.
    """
    if isinstance(encoder, str):
        check_choice("encoder", encoder, ENCODERS)
        function = _function(encoder)
        known = inspect.signature(function).parameters
        settings = {name: value for name, value in settings.items() if name in known}
        return _marked(image, function(image, weights=weights, **settings))
    if not callable(encoder):
        raise ValueError(
            f"`encoder` must be a name or a function `image -> features`. Received: encoder={encoder!r}. Names: "
            f"{', '.join(ENCODERS)}."
        )
    if weights is not None:
        raise ValueError(
            f"`weights` must be None with an encoder that is a function. Received: weights={weights!r}. Bind them to it: "
            "functools.partial(kseg.encoders.resnet50, weights=...)."
        )
    features = encoder(image)
    if not isinstance(features, list | tuple) or not features or not all(map(_is_map, features)):
        raise ValueError(
            "`encoder` must return a list of maps (B, h, w, F), fine to coarse. "
            f"Received: {features!r:.120} of {encoder!r:.80}. Take those of a network by keras.Model(network.inputs, [...])."
        )
    return _marked(image, list(features))


def _is_map(feature) -> bool:
    return isinstance(feature, keras.KerasTensor) and len(feature.shape) == 4


def _marked(image, features: list) -> list:
    """The features, after marking the layers between them and the image, which Keras's graph knows."""
    for layer in keras.Model(image, features).layers:
        layer.of_encoder = True
    return features


def trunk_weights(network: keras.Model) -> list:
    """The trainable weights of the encoder that a network was built on, given by its argument `encoder`.

    Args:
        network: as its constructor returned it; a network loaded from a file does not know any more.

    Raises:
        ValueError: it was built without `encoder`.
    """
    marked = [layer for layer in network.layers if getattr(layer, "of_encoder", False)]
    if not marked:
        raise ValueError(
            f"`network` must have been built with `encoder`. Received: {network.name}. Name one, such as "
            'encoder="efficientnet_lite0".'
        )
    return [weight for layer in marked for weight in layer.trainable_weights]


def _function(name: str):
    module = importlib.import_module(ENCODERS[name])
    if ENCODERS[name].endswith(".keras_cv"):
        return functools.partial(module.encoder, name)
    return getattr(module, name)
